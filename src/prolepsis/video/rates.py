"""The rate of steps or images: what it may be, and that every later stage has the manifest's."""

from typing import Annotated

import polars as pl
from pydantic import Field

from prolepsis.errors import ProlepsisError
from prolepsis.video.labels import num_steps

# Beyond a thousand a second no camera and no label goes; a typing error does, and fills the disk with steps.
Rate = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]


def check_rate(video_manifest: pl.DataFrame, rate: float) -> None:
    """Raises ProlepsisError when the manifest counted its steps at another rate."""
    for video, duration, found in video_manifest.select("video", "duration", "num_steps").iter_rows():
        # One step of tolerance: a duration is a rounded number.
        if abs(num_steps(duration, rate) - found) > 1:
            raise ProlepsisError(
                f"The manifest has {found} steps for {duration:.2f} s, which is not {rate} a second.",
                where=f"video_manifest: {video}",
                remedy="Set feature_rate in globals.yml, for all pipelines, and ingest the videos again.",
            )
