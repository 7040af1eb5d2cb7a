"""Datasets of a small run, as the stages write them, and the sections made of them."""

import io
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from prolepsis.report import checks, downstream, frames, timelines, words
from prolepsis.report.blocks import Section

CLASSES = ["background", "walk", "kick", "jump", "cart_wheel", "crawl", "back_flip"]
DETECTORS = ("frame_only", "rnn", "trn", "oadtr")
SPLITS = ["train"] * 5 + ["val"] * 2 + ["test"] * 3
VIDEOS = [f"{split}_{i:02d}" for i, split in enumerate(SPLITS)]
ACTIONS = [(2.0, 5.0, 1), (4.5, 6.5, 2), (9.0, 11.5, 4), (13.0, 14.0, 6), (16.0, 19.0, 5)]
RATE = 6.25
STEPS = 125


@pytest.fixture(scope="session")
def run() -> SimpleNamespace:
    return make_run()


@pytest.fixture(scope="session")
def sections(run: SimpleNamespace) -> list[Section]:
    return make_sections(run)


def make_run() -> SimpleNamespace:
    parts = (_corpus(), _tokenization(), _word_vectors(), _bert(), _downstream(), _videos(), _detection())
    datasets = {name: data for part in parts for name, data in part.items()}
    return SimpleNamespace(class_names=CLASSES, validation_results=_validation_results(), **datasets)


def make_sections(run: SimpleNamespace) -> list[Section]:
    return [
        words.describe_corpus(**run.corpus),
        words.describe_tokenizers(
            run.tokenization_metrics, run.tokenization_tables, run.vocabulary_sweeps, run.word_map
        ),
        words.describe_word_vectors(
            run.word2vec_metrics, run.word2vec_curves, run.word_neighbours, run.word_map
        ),
        words.describe_bert(run.bert_metrics, run.bert_curves),
        downstream.describe_downstream(
            run.downstream_metrics, run.downstream_per_class, run.downstream_curves, run.word_map
        ),
        frames.describe_videos(
            run.video_manifest, run.set_aside_videos, run.action_instances, CLASSES, run.video_metrics
        ),
        frames.describe_features(run.feature_metrics),
        frames.describe_detectors(
            run.detection_metrics, run.per_class_table, run.training_curves, run.training_metrics
        ),
        frames.describe_temporal(run.temporal_table, run.detection_metrics),
        frames.describe_anticipation(run.anticipation_table, run.detection_metrics),
        timelines.timelines_section([make_timeline(run, "test_07")], 3),
        checks.describe_checks(run.validation_results),
    ]


def make_timeline(run: SimpleNamespace, video: str, pictures: Sequence[Any] = ()) -> timelines.Timeline:
    data = timelines.timeline_data(
        video, run.frame_labels, run.action_instances, run.detector_scores, pictures
    )
    return timelines.draw_timeline(data, CLASSES)


def _corpus() -> dict[str, Any]:
    steps = [
        ("reading", 2000, 2000, 5_000_000, 4_950_000),
        ("language", 2000, 1990, 4_950_000, 4_900_000),
        ("gopher_quality", 1990, 1800, 4_900_000, 4_500_000),
        ("exact_duplicates", 1800, 1700, 4_500_000, 4_300_000),
        ("near_duplicates", 1700, 1640, 4_300_000, 4_120_000),
    ]
    columns = ["filter", "documents_before", "documents_after", "bytes_before", "bytes_after"]
    groups = [
        ("language", "und", 0, "reading", 2000, 2000),
        ("language", "de", 1, "language", 600, 600),
        ("language", "de", 2, "gopher_quality", 600, 450),
        ("language", "de", 3, "exact_duplicates", 450, 450),
        ("language", "de", 4, "near_duplicates", 450, 450),
        ("language", "xx", 1, "language", 10, 0),
        ("source", "books/", 0, "reading", 2000, 2000),
    ]
    dropped = {
        "filter": ["gopher_quality"] * 4 + ["exact_duplicates"] * 3 + ["near_duplicates"],
        "reason": ["gopher_short_doc"] * 3
        + ["gopher_too_many_hashes"]
        + ["exact_duplicate"] * 3
        + ["near_duplicate"],
        "score": [3.0, 4.0, 5.0, 0.2, None, None, None, 0.91],
        "language": ["en", "de", "fr", "ja", "en", "ru", "en", "de"],
        "source": ["a.txt", "b.html"] * 4,
        "id": [f"d{i}" for i in range(8)],
        "excerpt": ["Lorem ipsum <script>alert(1)</script> & more " * 9] * 8,
    }
    datasets = {
        "corpus_waterfall": pl.DataFrame(steps, schema=columns, orient="row").with_row_index("step"),
        "corpus_waterfall_by_group": pl.DataFrame(
            groups,
            schema=["by", "group", "step", "filter", "documents_before", "documents_after"],
            orient="row",
        ),
        "dropped_examples": pl.DataFrame(dropped),
        "corpus_files": pl.DataFrame(
            {"file": ["a.txt"], "encoding": ["cp1252"], "replaced_bytes": [2], "documents": [2000]}
        ),
        "set_aside_files": pl.DataFrame({"file": ["broken.txt"], "reason": ["not UTF-8 at byte 17"]}),
        "corpus_metrics": {"files": {"read": 5, "set_aside": 1}, "splits": {"train": 1500, "val": 140}},
    }
    return {"corpus": datasets}


def _tokenization() -> dict[str, Any]:
    def table(fertility: float) -> pl.DataFrame:
        columns = {
            "language": ["all", "de", "en", "ja"],
            "num_documents": [140, 40, 60, 40],
            "fertility": [fertility + shift for shift in (0, 0.2, -0.3, 0.6)],
            "exact_round_trip": [1.0, 1.0, 1.0, None],
        }
        return pl.DataFrame(columns)

    def sweep(fertility: float) -> pl.DataFrame:
        figures = ("bytes_per_token", "characters_per_token", "renyi_efficiency", "vocabulary_use")
        columns = {
            "tokenizer": ["plugin"] * 4,
            "vocabulary_size": [4000, 4000, 8000, 8000],
            "num_ids": [4000, 4000, 7500, 7500],
            "language": ["all", "en"] * 2,
            "fertility": [fertility, fertility - 0.1, fertility - 0.2, fertility - 0.3],
            **{name: [3.5] * 4 for name in (*figures, "unknown_rate", "exact_round_trip")},
        }
        return pl.DataFrame(columns)

    return {
        "tokenization_metrics": {
            "wordpiece": {"vocabulary_size": 8192, "fertility": 1.52, "unknown_rate": 0.0012},
            "byte_bpe": {"vocabulary_size": 16384, "fertility": 1.41, "unknown_rate": 0.0},
            "word_level": {"vocabulary_size": 32000, "fertility": 1.2, "unknown_rate": 0.0666},
        },
        "tokenization_tables": {"wordpiece": table(1.52), "byte_bpe": table(1.41), "word_level": table(1.2)},
        "vocabulary_sweeps": {"wordpiece": sweep(1.6), "byte_bpe": sweep(1.5), "word_level": sweep(1.4)},
    }


def _word_vectors() -> dict[str, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 3))
    figure.subplots().scatter([0, 1, 2], [2, 1, 3])
    png = io.BytesIO()
    figure.savefig(png, format="png")
    similarity = {"spearman": 0.41, "pairs": 353, "covered": 293, "coverage": 0.83}
    analogies = {"accuracy": 0.12, "questions": 900, "answered": 450, "coverage": 0.5, "sections": {}}
    neighbours = {
        "word": ["king", "wasser"],
        "language": ["en", "de"],
        "occurrences": [510, 90],
        "neighbours": ["queen 0.70, throne 0.61", "milch 0.60"],
        "nearest_cosine": [0.7, 0.6],
    }
    return {
        "word2vec_metrics": {"words": 9000, "similarity": {"wordsim353": similarity}, "analogies": analogies},
        "word2vec_curves": [{"epoch": i, "train_loss": 2.5 - 0.1 * i} for i in range(1, 10)],
        "word_neighbours": pl.DataFrame(neighbours),
        "word_map": png.getvalue(),
    }


def _bert() -> dict[str, Any]:
    curves = [
        {
            "epoch": epoch,
            "step": 50 * epoch,
            "learning_rate": 1e-4,
            "train_loss": 8.0 / epoch**0.3,
            "train_masked_loss": 7.4 / epoch**0.3,
            "validation_loss": 8.1 / epoch**0.28,
            "validation_masked_loss": 7.5 / epoch**0.28,
            "validation_masked_accuracy": 0.04 * epoch,
            "unigram_entropy": 6.2,
        }
        for epoch in range(1, 9)
    ]
    metrics = {
        "validation_loss": 4.8,
        "validation_masked_loss": 4.2,
        "validation_masked_accuracy": 0.32,
        "unigram_entropy": 6.2,
    }
    return {"bert_curves": curves, "bert_metrics": metrics}


def _downstream() -> dict[str, Any]:
    def method(accuracy: float, deviation: float | None) -> dict[str, Any]:
        figures = {"accuracy": accuracy, "macro_f1": accuracy - 0.01}
        if deviation is not None:
            figures |= {"accuracy_deviation": deviation, "macro_f1_deviation": deviation}
        return {"runs": 1 if deviation is None else 3, "validation": figures, "test": figures}

    reached = {
        "majority": (0.34, None),
        "tf_idf": (0.82, None),
        "encoder": (0.913, 0.012),
        "untrained_encoder": (0.797, 0.02),
    }
    sizes = {"train": 1500, "validation": 300, "test": 900}
    language = {name: method(*figures) for name, figures in reached.items()}
    questions = {name: method(*reached[name]) for name in ("encoder", "untrained_encoder")}
    tasks = {
        "language": {"main_metric": "accuracy", "examples": sizes, "methods": language},
        "questions": {"main_metric": "accuracy", "examples": sizes, "methods": questions},
    }
    classes = [
        ("language", name, seed, split, label, 300, 290, 0.8, 0.7, figures[0] + shift + 0.01 * (seed or 0))
        for name, figures in reached.items()
        for seed in ([None] if figures[1] is None else [0, 1, 2])
        for split in ("validation", "test")
        for label, shift in (("en", 0.0), ("fr", -0.05))
    ]
    columns = ["task", "method", "seed", "split", "label", "support", "predicted", "precision", "recall"]
    curves = [
        {"task": task, "method": name, "seed": seed, "epoch": epoch, "validation_score": 0.5 + 0.1 * epoch}
        for task in tasks
        for name in ("encoder", "untrained_encoder")
        for seed in (0, 1, 2)
        for epoch in (1, 2, 3)
    ]
    return {
        "downstream_metrics": {"num_tasks": 2, "tasks": tasks},
        "downstream_per_class": pl.DataFrame(classes, schema=[*columns, "f1"], orient="row"),
        "downstream_curves": curves,
    }


def _videos() -> dict[str, Any]:
    count = len(VIDEOS)
    manifest = {
        "video": VIDEOS,
        "split": SPLITS,
        "path": [f"{split}/{name}.mp4" for split, name in zip(SPLITS, VIDEOS, strict=True)],
        "container": ["mp4"] * count,
        "codec": ["h264"] * count,
        "width": [224] * count,
        "height": [168] * count,
        "rotation": [0] * count,
        "fps": [12.5] * count,
        "nominal_fps": [12.5] * count,
        "duration": [STEPS / RATE] * count,
        "num_frames": [250] * count,
        "num_steps": [STEPS] * count,
        "problems": pl.Series([[]] * count, dtype=pl.List(pl.String)),
    }
    instances = [
        (name, split, start, end, CLASSES[index], index)
        for name, split in zip(VIDEOS, SPLITS, strict=True)
        for start, end, index in ACTIONS
    ]
    # An instance of an ignored class, as video ingestion marks it.
    instances.append(("test_07", "test", 7.0, 7.8, "ambiguous", -1))
    columns = ["video", "split", "start", "end", "label", "class_index"]
    return {
        "video_manifest": pl.DataFrame(manifest),
        "action_instances": pl.DataFrame(instances, schema=columns, orient="row"),
        "set_aside_videos": pl.DataFrame(schema={"path": pl.String, "reason": pl.String}),
        "video_metrics": {"set_aside": 0, "classes": len(CLASSES) - 1, "actions_without_step": 0},
        "feature_metrics": {
            "encoder": "efficientnet_lite0",
            "videos": count,
            "steps": count * STEPS,
            "hours": count * STEPS / RATE / 3600,
            "rate": RATE,
            "dimension": 1280,
            "frames_per_second": 91.3,
        },
        "frame_labels": pl.concat(map(_frame_labels, VIDEOS, SPLITS)),
    }


def _frame_labels(video: str, split: str) -> pl.DataFrame:
    times = (np.arange(STEPS) + 0.5) / RATE
    rows = {
        "video": [video] * STEPS,
        "split": [split] * STEPS,
        "step": np.arange(STEPS, dtype=np.int32),
        "time": times,
        "labels": pl.Series(_truth().tolist(), dtype=pl.List(pl.UInt8)),
        "ignore": (times > 7) & (times < 7.8),
    }
    return pl.DataFrame(rows)


def _truth() -> np.ndarray:
    times = (np.arange(STEPS) + 0.5) / RATE
    labels = np.zeros((STEPS, len(CLASSES)), dtype=np.uint8)
    for start, end, index in ACTIONS:
        labels[(start <= times) & (times < end), index] = 1
    labels[labels.sum(1) == 0, 0] = 1
    return labels


def _detection() -> dict[str, Any]:
    random = np.random.default_rng(0)
    metrics: dict[str, Any] = {}
    for rank, name in enumerate(DETECTORS):
        figures = {
            "mean_average_precision": 0.31 + 0.09 * rank,
            "calibrated_mean_average_precision": 0.55 + 0.07 * rank,
            "frame_accuracy": 0.6 + 0.02 * rank,
            "num_frames": 370,
        }
        if rank:
            figures["gain_over_frame_only"] = 0.09 * rank
            figures["calibrated_gain_over_frame_only"] = 0.07 * rank
        metrics[name] = {"val": figures, "test": figures}
    per_class = [
        (name, split, index, label, 20 + index, random.random())
        for name in DETECTORS
        for split in ("val", "test")
        for index, label in enumerate(CLASSES)
        if index
    ]
    # A class without a positive step has no precision.
    per_class = [(*row[:4], 0, None) if row[3] == "jump" else row for row in per_class]
    anticipation = [
        (name, split, step, step / RATE, 0.5 - 0.03 * step, 0.5 - 0.05 * step, 0.4 - 0.04 * step)
        for name in ("trn", "oadtr")
        for split in ("val", "test")
        for step in range(1, 9)
    ]
    return {
        "detection_metrics": metrics,
        "per_class_table": pl.DataFrame(
            per_class,
            schema=["detector", "split", "class_index", "class_name", "num_positives", "average_precision"],
            orient="row",
        ),
        "anticipation_table": pl.DataFrame(
            anticipation,
            schema=[
                "detector",
                "split",
                "step",
                "seconds",
                "mean_average_precision",
                "persistence_mean_average_precision",
                "baseline_mean_average_precision",
            ],
            orient="row",
        ),
        "temporal_table": pl.DataFrame(
            [
                (name, split, measure, at, 0.6 - 0.3 * at)
                for name in DETECTORS
                for split in ("val", "test")
                for measure in ("segment_map", "segmental_f1", "stage_map")
                for at in (0.1, 0.5)
            ],
            schema=["detector", "split", "measure", "at", "value"],
            orient="row",
        ),
        "training_curves": {
            name: [
                {
                    "epoch": epoch,
                    "train_loss": 2 / epoch,
                    "mean_average_precision": 0.04 * epoch + 0.01 * rank,
                }
                for epoch in range(1, 9)
            ]
            for rank, name in enumerate(DETECTORS)
        },
        "training_metrics": {
            name: {"parameters": 10_000 * (rank + 1), "steps": 800, "best_epoch": 8}
            for rank, name in enumerate(DETECTORS)
        },
        "detector_scores": {name: _scores(random, rank).lazy() for rank, name in enumerate(DETECTORS)},
    }


def _scores(random: np.random.Generator, sharpness: int) -> pl.DataFrame:
    """Beliefs that follow the truth the closer the later the detector comes in the list."""
    frames = []
    for video, split in zip(VIDEOS, SPLITS, strict=True):
        if split == "train":
            continue
        truth = _truth().astype(float)
        logits = 2.5 * (1 + sharpness) * truth + random.normal(size=truth.shape)
        shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        rows = {
            "video": [video] * STEPS,
            "split": [split] * STEPS,
            "step": np.arange(STEPS, dtype=np.int32),
            "scores": pl.Series(shares.tolist(), dtype=pl.List(pl.Float32)),
        }
        frames.append(pl.DataFrame(rows))
    return pl.concat(frames)


def _validation_results() -> list[dict[str, Any]]:
    def result(dataset: str, success: bool) -> dict[str, Any]:
        passed = [
            {"expectation": name, "column": column, "success": True, "unexpected_count": 0, "examples": []}
            for name, column in (
                ("expect_column_values_to_not_be_null", "id"),
                ("expect_table_row_count_to_be_between", None),
            )
        ]
        last = {
            "expectation": "expect_column_values_to_be_unique",
            "column": "id",
            "success": success,
            "unexpected_count": 0 if success else 3,
            "examples": [] if success else ["a", "b"],
        }
        return {
            "dataset": dataset,
            "suite": dataset,
            "success": success,
            "checked_rows": 500 if dataset == "documents" else 140,
            "total_rows": 1640 if dataset == "documents" else 140,
            "when": "load",
            "results": [*passed, last],
        }

    return [result("documents", True), result("frame_labels", True), result("scores", False)]
