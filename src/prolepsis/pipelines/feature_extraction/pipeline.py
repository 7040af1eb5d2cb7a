"""The graph of feature extraction."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from prolepsis.pipelines.feature_extraction.nodes import extract_features, measure_features


def create_pipeline(**kwargs: Any) -> Pipeline:
    """From videos and their manifest to `frame_features` and `feature_metrics`."""
    return Pipeline(
        [
            Node(
                extract_features,
                inputs=["raw_videos", "video_manifest", "params:feature_extraction"],
                outputs=["frame_features", "extraction_clock"],
                name="extract_features",
            ),
            Node(
                measure_features,
                inputs=["frame_features", "extraction_clock"],
                outputs="feature_metrics",
                name="measure_features",
            ),
        ]
    )
