"""The graph of pretraining on frames."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from prolepsis.pipelines.moco_pretraining.nodes import (
    collect_frames,
    draw_moco,
    evaluate_moco,
    pretrain_moco,
)


def create_pipeline(**_: Any) -> Pipeline:
    """From videos and their manifest to `moco_model`; with their labels, to what its features are worth."""
    return Pipeline(
        [
            Node(
                collect_frames,
                inputs=["raw_videos", "video_manifest", "params:moco_pretraining"],
                outputs="frame_images",
                name="collect_frames",
            ),
            Node(
                pretrain_moco,
                inputs=["frame_images", "params:moco_pretraining"],
                outputs=["moco_model", "moco_curves"],
                name="pretrain_moco",
                tags="resumable",
            ),
            Node(
                evaluate_moco,
                inputs=["moco_model", "frame_images", "frame_labels", "params:moco_pretraining"],
                outputs="moco_metrics",
                name="evaluate_moco",
            ),
            Node(draw_moco, inputs=["moco_curves", "moco_metrics"], outputs="moco_picture", name="draw_moco"),
        ]
    )
