"""The graph of downstream."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from prolepsis.pipelines.downstream.nodes import (
    draw_downstream,
    evaluate_downstream,
    fine_tune_encoders,
    gather_predictions,
    prepare_tasks,
    run_baselines,
)


def create_pipeline(**_: Any) -> Pipeline:
    """From `documents`, `bert_model` and `word_vectors` to `downstream_scores` and a model for each task."""
    return Pipeline(
        [
            Node(
                prepare_tasks,
                ["documents", "params:downstream"],
                "downstream_examples",
                name="prepare_tasks",
            ),
            Node(
                fine_tune_encoders,
                ["downstream_examples", "bert_model", "params:downstream"],
                ["encoder_predictions", "downstream_models", "downstream_curves"],
                name="fine_tune_encoders",
                tags="resumable",
            ),
            Node(
                run_baselines,
                ["downstream_examples", "word_vectors", "word_level.tokenizer", "params:downstream"],
                "baseline_predictions",
                name="run_baselines",
            ),
            Node(
                gather_predictions,
                ["baseline_predictions", "encoder_predictions"],
                "downstream_predictions",
                name="gather_predictions",
            ),
            Node(
                evaluate_downstream,
                ["downstream_examples", "downstream_predictions"],
                ["downstream_scores", "downstream_per_class", "downstream_metrics"],
                name="evaluate_downstream",
            ),
            Node(draw_downstream, "downstream_metrics", "downstream_picture", name="draw_downstream"),
        ]
    )
