"""The graph of the demonstration data: words and frames, each in a namespace and so a stage of its own."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from prolepsis.pipelines.demo_data.nodes import make_demo_corpus
from prolepsis.pipelines.demo_data.video_nodes import render_demo_videos


def create_pipeline(**_: Any) -> Pipeline:
    """From installed packages to `raw_corpus`, `raw_videos` and `raw_annotations`, with their manifests."""
    return _text() + _video()


def _text() -> Pipeline:
    outputs = ["raw_corpus", "demo_text_manifest"]
    return Pipeline(
        [Node(make_demo_corpus, "params:demo_data.text", outputs, name="make_demo_corpus")],
        namespace="demo_text",
        outputs=set(outputs),
        parameters={"params:demo_data.text": "params:demo_data.text"},
    )


def _video() -> Pipeline:
    outputs = ["raw_videos", "raw_annotations", "demo_video_manifest"]
    return Pipeline(
        [Node(render_demo_videos, "params:demo_data.video", outputs, name="render_demo_videos")],
        namespace="demo_video",
        outputs=set(outputs),
        parameters={"params:demo_data.video": "params:demo_data.video"},
    )
