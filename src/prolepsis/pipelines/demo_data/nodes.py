"""The node that makes the demonstration corpus; the videos' node is in `video_nodes`."""

from typing import Any

from prolepsis.pipelines.demo_data.params import DemoTextParams


def make_demo_corpus(parameters: DemoTextParams) -> tuple[list[tuple[str, bytes]], dict[str, Any]]:
    """The files of a corpus in several formats and languages, and what was planted in it, counted."""
    from prolepsis.text.demo import make_demo_text

    return make_demo_text(parameters)
