"""What a user writes under `demo_data.text`; the videos' parameters are in `video_params`."""

from prolepsis.text.demo import DemoTextConfig


class DemoTextParams(DemoTextConfig):
    """See `prolepsis.text.demo.DemoTextConfig`."""
