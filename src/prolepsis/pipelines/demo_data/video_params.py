"""Parameters of the demonstration videos."""

from prolepsis.video.demo import DemoVideoConfig


class DemoVideoParams(DemoVideoConfig):
    """`demo_data.video`; see `prolepsis.video.demo.DemoVideoConfig`."""
