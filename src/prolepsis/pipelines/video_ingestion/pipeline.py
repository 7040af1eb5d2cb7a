"""The graph of video ingestion."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from prolepsis.pipelines.video_ingestion.nodes import (
    build_video_manifest,
    measure_videos,
    rasterise_labels,
    read_annotations,
)


def create_pipeline(**_: Any) -> Pipeline:
    parameters = "params:video_ingestion"
    return Pipeline(
        [
            Node(
                build_video_manifest,
                inputs=["raw_videos", parameters],
                outputs=["video_manifest", "set_aside_videos"],
                name="build_video_manifest",
            ),
            Node(
                read_annotations,
                inputs=["raw_annotations", "video_manifest", "set_aside_videos", parameters],
                outputs=["action_instances", "class_names"],
                name="read_annotations",
            ),
            Node(
                rasterise_labels,
                inputs=["video_manifest", "action_instances", "class_names", parameters],
                outputs="frame_labels",
                name="rasterise_labels",
            ),
            Node(
                measure_videos,
                inputs=[
                    "video_manifest",
                    "set_aside_videos",
                    "action_instances",
                    "frame_labels",
                    "class_names",
                ],
                outputs="video_metrics",
                name="measure_videos",
            ),
        ]
    )
