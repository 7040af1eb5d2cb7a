"""The nodes of the report that do more than describe datasets; `prolepsis.report` has the others."""

from pathlib import Path
from typing import Any

import polars as pl

from prolepsis.pipelines.report.params import ReportParams

_THUMBNAIL_WIDTH = 160
_LEAD = "What this run made of its words and frames. Every figure and picture is of this run."


def gather_variants(**datasets: Any) -> dict[str, Any]:
    """The same dataset of several variants, by their names."""
    return datasets


def draw_timelines(
    raw_videos: Path,
    video_manifest: pl.DataFrame,
    frame_labels: pl.DataFrame,
    action_instances: pl.DataFrame,
    class_names: list[str],
    scores: dict[str, Any],
    parameters: ReportParams,
) -> Any:
    """A timeline for each test video, up to a number."""
    from prolepsis.report import timelines
    from prolepsis.training.progress import track
    from prolepsis.video.media import frames_at

    test = video_manifest.filter(pl.col("split") == "test").sort("video")
    shown = test.head(parameters.timelines).rows(named=True)
    drawn = []
    for video in track(shown, "Drawing timelines", unit="videos"):
        times = [(i + 0.5) * video["duration"] / parameters.thumbnails for i in range(parameters.thumbnails)]
        height = max(1, round(_THUMBNAIL_WIDTH * video["height"] / video["width"]))
        size = (height, _THUMBNAIL_WIDTH)
        thumbnails = frames_at(raw_videos / video["path"], times, size, image_folder_rate=video["fps"])
        data = timelines.timeline_data(
            video["video"], frame_labels, action_instances, scores, list(thumbnails)
        )
        drawn.append(timelines.draw_timeline(data, class_names))
    return timelines.timelines_section(drawn, len(test))


def describe_checks(validation_results: list[Any], *others: Any) -> Any:
    """What was expected of the data and what was found.

    The other sections come first: some datasets are checked as these load them.
    """
    from prolepsis.report import checks

    return checks.describe_checks(validation_results)


def render_report(parameters: ReportParams, *sections: Any) -> str:
    """The page as HTML."""
    from prolepsis.report.page import render_page

    return render_page(parameters.title, _LEAD, sections)
