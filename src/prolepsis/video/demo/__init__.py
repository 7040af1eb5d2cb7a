"""Demonstration videos: real recorded motion on a drawn body, cut into untrimmed videos with known labels."""

from prolepsis.video.demo.render import render_frames, render_video, render_videos
from prolepsis.video.demo.script import (
    DemoVideo,
    DemoVideoConfig,
    Instance,
    count_instances,
    plan_videos,
    write_annotations,
)

__all__ = [
    "DemoVideo",
    "DemoVideoConfig",
    "Instance",
    "count_instances",
    "plan_videos",
    "render_frames",
    "render_video",
    "render_videos",
    "write_annotations",
]
