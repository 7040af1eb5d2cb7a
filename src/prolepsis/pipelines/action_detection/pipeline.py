"""`frame_features` and `frame_labels` to `<variant>.model` and `<variant>.scores`, for each variant."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from prolepsis.pipelines.action_detection.nodes import score_videos, train_detector
from prolepsis.variants import VARIANTS


def create_pipeline(**_: Any) -> Pipeline:
    """One namespace for each variant of `prolepsis.variants.VARIANTS["action_detection"]`."""
    return sum((_variant(name) for name in VARIANTS["action_detection"]), Pipeline([]))


def _variant(name: str) -> Pipeline:
    return Pipeline(
        [
            Node(
                train_detector,
                ["frame_features", "frame_labels", "class_names", "params:detector"],
                ["model", "training_curves", "training_metrics"],
                name="train_detector",
                tags="resumable",
            ),
            Node(
                score_videos,
                ["frame_features", "frame_labels", "model", "params:detector"],
                "scores",
                name="score_videos",
            ),
        ],
        namespace=name,
        inputs={"frame_features", "frame_labels", "class_names"},
        parameters={"params:detector": f"params:action_detection.{name}"},
    )
