"""The graph that takes over features and labels."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from prolepsis.pipelines.precomputed_features.nodes import import_features, measure_import


def create_pipeline(**_: Any) -> Pipeline:
    """From a folder of NumPy files to `frame_features`, `frame_labels` and `class_names`."""
    return Pipeline(
        [
            Node(
                import_features,
                inputs=["raw_precomputed", "params:precomputed_features"],
                outputs=["frame_features", "frame_labels", "class_names"],
                name="import_features",
            ),
            Node(
                measure_import,
                inputs=["frame_features", "frame_labels", "class_names"],
                outputs="precomputed_metrics",
                name="measure_import",
            ),
        ]
    )
