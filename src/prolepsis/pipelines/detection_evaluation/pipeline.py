"""All `<variant>.scores` to `detection_metrics`, three tables and a picture."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from prolepsis.pipelines.detection_evaluation.nodes import draw_detection_picture, evaluate_detectors
from prolepsis.variants import VARIANTS


def create_pipeline(**_: Any) -> Pipeline:
    """Takes the scores of each variant of `prolepsis.variants.VARIANTS["action_detection"]`."""
    scores = {name: f"{name}.scores" for name in VARIANTS["action_detection"]}
    return Pipeline(
        [
            Node(
                evaluate_detectors,
                {
                    "frame_labels": "frame_labels",
                    "class_names": "class_names",
                    "parameters": "params:detection_evaluation",
                    **scores,
                },
                ["detection_metrics", "per_class_table", "anticipation_table", "temporal_table"],
                name="evaluate_detectors",
            ),
            Node(
                draw_detection_picture,
                ["detection_metrics", "per_class_table", "anticipation_table"],
                "detection_picture",
                name="draw_detection_picture",
            ),
        ]
    )
