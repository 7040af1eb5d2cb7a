"""The node that makes the demonstration videos."""

from collections.abc import Iterator
from typing import Any

from prolepsis.pipelines.demo_data.video_params import DemoVideoParams
from prolepsis.video.demo import count_instances, plan_videos, render_videos, write_annotations


def render_demo_videos(
    parameters: DemoVideoParams,
) -> tuple[Iterator[tuple[str, bytes]], bytes, dict[str, Any]]:
    """Untrimmed videos of people who act, their annotations, and what was planted, counted."""
    videos = plan_videos(parameters)
    return render_videos(videos, parameters), write_annotations(videos), count_instances(videos, parameters)
