"""The graph of the report: a node for each section of the page, and one that puts them together."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from prolepsis.pipelines.report.nodes import (
    describe_checks,
    draw_timelines,
    gather_variants,
    render_report,
)
from prolepsis.report import downstream, frames, words
from prolepsis.variants import VARIANTS

_TOKENIZERS = VARIANTS["tokenization"]
_DETECTORS = VARIANTS["action_detection"]


def create_pipeline(**_: Any) -> Pipeline:
    """From every metric, table and picture to `report`."""
    described = [
        _describe(
            words.describe_corpus,
            [
                "corpus_waterfall",
                "corpus_waterfall_by_group",
                "dropped_examples",
                "corpus_files",
                "set_aside_files",
                "corpus_metrics",
            ],
        ),
        _describe(
            words.describe_tokenizers,
            [
                "all_tokenization_metrics",
                "all_tokenization_table",
                "all_vocabulary_sweep",
                "tokenizer_comparison",
            ],
        ),
        _describe(
            words.describe_word_vectors,
            ["word2vec_metrics", "word2vec_curves", "word_neighbours", "word_map"],
        ),
        _describe(words.describe_bert, ["bert_metrics", "bert_curves"]),
        _describe(
            downstream.describe_downstream,
            ["downstream_metrics", "downstream_per_class", "downstream_curves", "downstream_picture"],
        ),
        _describe(
            frames.describe_videos,
            ["video_manifest", "set_aside_videos", "action_instances", "class_names", "video_metrics"],
        ),
        _describe(frames.describe_features, ["feature_metrics"]),
        _describe(
            frames.describe_detectors,
            ["detection_metrics", "per_class_table", "all_training_curves", "all_training_metrics"],
        ),
        _describe(frames.describe_temporal, ["temporal_table", "detection_metrics"]),
        _describe(frames.describe_anticipation, ["anticipation_table", "detection_metrics"]),
        Node(
            draw_timelines,
            [
                "raw_videos",
                "video_manifest",
                "frame_labels",
                "action_instances",
                "class_names",
                "all_scores",
                "params:report",
            ],
            "timelines_section",
            name="draw_timelines",
        ),
    ]
    sections = [section for node in described for section in node.outputs]
    return Pipeline(
        [
            _gather(_TOKENIZERS, "tokenization_metrics"),
            _gather(_TOKENIZERS, "tokenization_table"),
            _gather(_TOKENIZERS, "vocabulary_sweep"),
            _gather(_DETECTORS, "training_curves"),
            _gather(_DETECTORS, "training_metrics"),
            _gather(_DETECTORS, "scores"),
            *described,
            Node(
                describe_checks,
                ["validation_results", *sections],
                "checks_section",
                name="describe_checks",
            ),
            Node(
                render_report,
                ["params:report", *sections, "checks_section"],
                "report",
                name="render_report",
            ),
        ]
    )


def _describe(function: Any, datasets: list[str]) -> Node:
    name: str = function.__name__
    return Node(function, datasets, f"{name.removeprefix('describe_')}_section", name=name)


def _gather(variants: tuple[str, ...], dataset: str) -> Node:
    """One dataset of every variant, as a dictionary by the variant's name."""
    return Node(
        gather_variants,
        {variant: f"{variant}.{dataset}" for variant in variants},
        f"all_{dataset}",
        name=f"gather_{dataset}",
    )
