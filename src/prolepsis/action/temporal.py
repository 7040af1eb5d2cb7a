"""How a detector's belief holds together over time: segments, starts, stages and delays of scored videos.

The instances are the runs of the per-step labels, so they begin and end on the grid of the steps; spans of
ignored steps are ambiguous ones.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from prolepsis.action.evaluation.frames import BACKGROUND, Bools, Floats
from prolepsis.action.evaluation.points import PointEvaluation, evaluate_starts
from prolepsis.action.evaluation.segmentation import SegmentalScores, evaluate_segmentation
from prolepsis.action.evaluation.segments import SegmentEvaluation, Segments, evaluate_segments
from prolepsis.action.evaluation.stages import (
    Delays,
    StageEvaluation,
    evaluate_delays,
    evaluate_stages,
    runs,
)
from prolepsis.action.evaluation.videos import Protocol, ScoredVideo
from prolepsis.action.hysteresis import Hysteresis, find_segments

TEMPORAL_SCHEMA = pl.Schema(
    {
        "detector": pl.String,
        "split": pl.String,
        "measure": pl.String,
        "at": pl.Float64,
        "value": pl.Float64,
    }
)
MEASURES = ("segment_map", "start_map", "segmental_f1", "stage_map")
"""At a tIoU, within so many seconds, at an IoU, and in a part of the action (its end, between 0 and 1)."""


@dataclass(frozen=True)
class Temporal:
    """The measures of one detector on one split."""

    segments: SegmentEvaluation
    starts: PointEvaluation
    segmentation: SegmentalScores
    stages: StageEvaluation
    delays: Delays

    def figures(self) -> dict[str, float]:
        """By name; what has no instance to be measured on is left out."""
        found = {
            "segment_mean_average_precision": self.segments.average,
            "start_mean_average_precision": float(self.starts.mean_average_precision.mean()),
            "edit_score": self.segmentation.edit,
            "noticed_share": self.delays.noticed_share,
            "median_delay_seconds": self.delays.median,
        }
        return {name: value for name, value in found.items() if not np.isnan(value)}

    def rows(self) -> Iterable[tuple[str, float, float]]:
        """Measure, at what, and the value."""
        stages = self.stages.mean_average_precision
        series: tuple[tuple[Sequence[float], Sequence[float]], ...] = (
            (self.segments.tiou_thresholds, self.segments.mean_average_precision.tolist()),
            (self.starts.offsets, self.starts.mean_average_precision.tolist()),
            (self.segmentation.overlaps, self.segmentation.f1),
            ([(number + 1) / len(stages) for number in range(len(stages))], stages),
        )
        for measure, (places, values) in zip(MEASURES, series, strict=True):
            for place, value in zip(places, values, strict=True):
                if not np.isnan(value):
                    yield measure, float(place), float(value)


def measure_temporal(
    videos: Sequence[ScoredVideo],
    protocol: Protocol,
    *,
    rate: float,
    rule: Hysteresis,
    tiou_thresholds: Sequence[float],
    start_offsets: Sequence[float],
    ambiguous_counts: bool = False,
) -> Temporal:
    """All measures of the scores of one split.

    Segments, starts and delays are of whole videos; the protocol says which steps count in the stages.
    Ignored steps count in none, and end what runs up to them: they are ambiguous spans to segments, and
    background to starts and segmentation, whatever a detector says there.

    Args:
        rate: steps per second.
        ambiguous_counts: a false segment counts though it overlaps an ambiguous span; the official
            evaluation of THUMOS'14 does not count it.
    """
    labels = [_without_ignored(video) for video in videos]
    scores = [video.scores for video in videos]
    ambiguous = _instances([video.ignore[:, None] for video in videos], rate, background=None)
    return Temporal(
        evaluate_segments(
            _instances(labels, rate),
            _found(scores, rule, rate),
            tiou_thresholds,
            ambiguous=None if ambiguous_counts else ambiguous,
        ),
        evaluate_starts(labels, scores, rate, start_offsets, counted=[~video.ignore for video in videos]),
        evaluate_segmentation(
            [np.where(video.ignore, BACKGROUND, video.scores.argmax(axis=1)) for video in videos],
            [one.argmax(axis=1) for one in labels],
            background=BACKGROUND,
        ),
        evaluate_stages(
            labels, scores, [protocol.predicting(len(video.labels)) & ~video.ignore for video in videos]
        ),
        evaluate_delays(labels, scores, rate),
    )


def temporal_table(measured: Iterable[tuple[str, str, Temporal]]) -> pl.DataFrame:
    """A row per detector, split, measure and the threshold, offset or stage that it is at."""
    rows = [(detector, split, *row) for detector, split, temporal in measured for row in temporal.rows()]
    return pl.DataFrame(rows, schema=TEMPORAL_SCHEMA, orient="row")


def _without_ignored(video: ScoredVideo) -> Bools:
    labels = video.labels.copy()
    labels[video.ignore] = False
    return labels


def _instances(
    labels: Sequence[Bools],
    rate: float,
    background: int | None = BACKGROUND,
) -> Segments:
    return Segments.of(
        [
            (number, start / rate, end / rate, label)
            for number, one in enumerate(labels)
            for label, start, end in runs(one)
            if label != background
        ]
    )


def _found(scores: Sequence[Floats], rule: Hysteresis, rate: float) -> Segments:
    return Segments.of(
        [
            (number, one.start / rate, one.end / rate, one.label, one.score)
            for number, belief in enumerate(scores)
            for one in find_segments(belief, rule, BACKGROUND)
        ]
    )
