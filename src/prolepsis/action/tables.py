"""Labels and scores as tables, a row per step of a video, and as the arrays that the library takes."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from prolepsis.action.evaluation.videos import ScoredVideo
from prolepsis.action.scoring import VideoScores
from prolepsis.action.windows import LabelledVideo
from prolepsis.errors import ProlepsisError

SCORED_SPLITS = ("val", "test")
"""The splits that detectors score and are measured on; the other one they learn from."""

# Times are rounded; steps of the highest rates lie further apart.
_TIME_TOLERANCE_S = 1e-4

SCORES_SCHEMA: dict[str, pl.DataType] = {
    "video": pl.String(),
    "split": pl.String(),
    "step": pl.Int32(),
    "time": pl.Float64(),
    "scores": pl.List(pl.Float32),
    "anticipation": pl.List(pl.List(pl.Float32)),
}


def check_rate(frame_labels: pl.DataFrame, rate: float) -> None:
    """Raises ProlepsisError where the labels are not of as many steps a second as the features.

    Step k lies at (k + 0.5) / rate seconds.
    """
    steps = frame_labels.select("step", "time").filter(
        ((pl.col("step") + 0.5) / rate - pl.col("time")).abs() > _TIME_TOLERANCE_S
    )
    if len(steps):
        step, time = steps.row(0)
        raise ProlepsisError(
            f"The features have {rate:g} steps a second, the labels {(step + 0.5) / time:g}.",
            where="frame_features, frame_labels",
            remedy="Set feature_rate in globals.yml, for all pipelines, and make labels and features again.",
        )


def labelled_videos(
    frame_labels: pl.DataFrame, features: Mapping[str, npt.NDArray[np.floating]], split: str
) -> list[LabelledVideo]:
    """The videos of a split in the order of their names, features beside labels.

    Args:
        frame_labels: video, split, step, labels (multi-hot, of equal length), ignore; any order of rows.
        features: `[T, D]` by video.

    Raises:
        ProlepsisError: a video has no features, or another number of steps than the labels have.
    """
    return [
        LabelledVideo(
            video, _features_of(video, features, len(rows)), _labels(rows), rows["ignore"].to_numpy()
        )
        for video, rows in _videos(frame_labels, split)
    ]


def score_frames(scores: Iterable[VideoScores], frame_labels: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """A frame of `SCORES_SCHEMA` for each scored video; split and time are those of the labels."""
    rows = frame_labels.select("video", "split", "step", "time").partition_by("video", as_dict=True)
    for one in scores:
        steps = rows[(one.video,)].sort("step")
        # An array of three axes as it is: polars takes no list of matrices.
        anticipation = [None] * len(steps) if one.anticipation is None else one.anticipation
        yield steps.with_columns(
            pl.Series("scores", one.scores).cast(SCORES_SCHEMA["scores"]),
            pl.Series("anticipation", anticipation).cast(SCORES_SCHEMA["anticipation"]),
        )


def scored_videos(scores: pl.LazyFrame, frame_labels: pl.DataFrame, split: str) -> list[ScoredVideo]:
    """The scored videos of a split in the order of their names, beliefs beside labels.

    Raises:
        ProlepsisError: the scores are not of the videos and steps that the labels are of.
    """
    believed = dict(_videos(scores.filter(pl.col("split") == split).collect(), split))
    labelled = dict(_videos(frame_labels, split))
    for video in labelled.keys() ^ believed.keys():
        raise _mismatch(video, "has labels or scores, but not both")
    videos = []
    for video, rows in labelled.items():
        belief = believed[video]
        if len(belief) != len(rows):
            raise _mismatch(video, f"has {len(rows)} labelled and {len(belief)} scored steps")
        videos.append(
            ScoredVideo(
                _labels(rows) > 0,
                rows["ignore"].to_numpy(),
                _array(belief["scores"], len(belief)),
                _anticipation(belief["anticipation"]),
            )
        )
    return videos


def _videos(frame: pl.DataFrame, split: str) -> Iterator[tuple[str, pl.DataFrame]]:
    """The rows of each video of a split, in the order of their steps, which must be 0, 1, 2, ..."""
    rows = frame.filter(pl.col("split") == split).sort("video", "step")
    for (video,), steps in rows.group_by(["video"], maintain_order=True):
        if not (steps["step"] == pl.int_range(len(steps), eager=True)).all():
            raise ProlepsisError(
                "The steps of a video are not 0, 1, 2, ... without a gap.",
                where=f"video {video!r}, split {split!r}",
                remedy="make the labels and scores again",
            )
        yield str(video), steps


def _features_of(
    video: str, features: Mapping[str, npt.NDArray[np.floating]], num_steps: int
) -> npt.NDArray[np.floating]:
    if video not in features:
        raise _mismatch(video, "has labels but no features")
    if len(features[video]) != num_steps:
        raise _mismatch(video, f"has {num_steps} labelled steps and features of {len(features[video])}")
    return features[video]


def _labels(rows: pl.DataFrame) -> npt.NDArray[np.uint8]:
    return _array(rows["labels"], len(rows))


def _anticipation(series: pl.Series) -> npt.NDArray[np.float32] | None:
    if series.null_count() == len(series):
        return None
    return _array(series, len(series), series.list.len()[0])


def _array(series: pl.Series, *shape: int) -> npt.NDArray[Any]:
    """Nested lists of equal lengths as an array of the given first axes and one more."""
    while series.dtype.is_nested():
        series = series.explode()
    return series.to_numpy().reshape(*shape, -1)


def _mismatch(video: str, what: str) -> ProlepsisError:
    return ProlepsisError(
        f"The video {what}.",
        where=f"video {video!r}",
        remedy="run the stages before this one again, so that all are of the same videos and feature rate",
    )
