"""Segment mAP at thresholds of temporal IoU, as ActivityNet's evaluation defines it.

Per class, the detections of all videos are taken by falling score. Each finds the instance of its video with
the highest tIoU that no earlier detection has taken; at or above the threshold it is true, else false. AP is
the area under the precision-recall curve whose precision is made monotone (VOC2011's, all points).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

THUMOS_TIOU_THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
ACTIVITYNET_TIOU_THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)

# Annotations that differ by less are the same one (ActionFormer, OpenTAD).
_SAME_S = 1e-3


@dataclass(frozen=True)
class Segments:
    """N spans of videos, each of a class: columns of equal length.

    Attributes:
        videos: int `[N]`, any number that tells one video from another.
        starts, ends: seconds `[N]`.
        labels: int `[N]`, the class.
        scores: `[N]`, how sure a detector is; of annotations, all 1.
    """

    videos: Ints
    starts: Floats
    ends: Floats
    labels: Ints
    scores: Floats

    @classmethod
    def of(
        cls, rows: Sequence[tuple[int, float, float, int] | tuple[int, float, float, int, float]]
    ) -> "Segments":
        """From rows of video, start, end, class and, of a detection, score."""
        table = np.array([[*row, 1.0][:5] for row in rows], dtype=np.float64).reshape(-1, 5)
        return cls(
            table[:, 0].astype(np.int64), table[:, 1], table[:, 2], table[:, 3].astype(np.int64), table[:, 4]
        )

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, chosen: npt.NDArray[np.bool_] | Ints) -> "Segments":
        return Segments(
            self.videos[chosen],
            self.starts[chosen],
            self.ends[chosen],
            self.labels[chosen],
            self.scores[chosen],
        )


@dataclass(frozen=True)
class SegmentEvaluation:
    """AP of each class that has an instance, at each threshold.

    Attributes:
        classes: int `[C]`, those that have an instance, ascending.
        num_instances: int `[C]`.
        average_precision: `[C, K]`.
    """

    tiou_thresholds: tuple[float, ...]
    classes: Ints
    num_instances: Ints
    average_precision: Floats

    @property
    def mean_average_precision(self) -> Floats:
        """mAP at each threshold, `[K]`; NaN where no class has an instance."""
        if not len(self.classes):
            return np.full(len(self.tiou_thresholds), np.nan)
        return np.asarray(self.average_precision.mean(axis=0))

    @property
    def average(self) -> float:
        """The mean over the thresholds."""
        return float(self.mean_average_precision.mean())


def evaluate_segments(
    truth: Segments,
    detections: Segments,
    tiou_thresholds: Sequence[float] = THUMOS_TIOU_THRESHOLDS,
    *,
    ambiguous: Segments | None = None,
) -> SegmentEvaluation:
    """Segment mAP.

    Detections of a class without an instance count nowhere, as in ActivityNet's evaluation. Of detections
    with equal scores the one given first comes first.

    Args:
        truth: the instances; `without_duplicates` gives those that ActionFormer and OpenTAD count.
        ambiguous: spans of any class; a false detection that overlaps one in time is not counted, as in the
            official evaluation of THUMOS'14. Without it, it is false.
    """
    thresholds = np.asarray(tiou_thresholds, dtype=np.float64)
    classes, num_instances = np.unique(truth.labels, return_counts=True)
    by_score = detections[np.argsort(-detections.scores, kind="stable")]
    uncounted = (
        np.zeros(len(by_score), dtype=np.bool_) if ambiguous is None else _overlaps(by_score, ambiguous)
    )
    precisions = np.zeros((len(classes), len(thresholds)))
    for row, (label, count) in enumerate(zip(classes, num_instances, strict=True)):
        ours = by_score.labels == label
        true = _match(truth[truth.labels == label], by_score[ours], thresholds)
        for column in range(len(thresholds)):
            counted = true[:, column] | ~uncounted[ours]
            precisions[row, column] = _area(true[counted, column], int(count))
    return SegmentEvaluation(tuple(map(float, thresholds)), classes, num_instances, precisions)


def without_duplicates(truth: Segments) -> Segments:
    """Without instances that end where they start, and of those of one class and video that begin and end
    within a millisecond of each other only the first, as ActionFormer and OpenTAD count them."""
    kept: list[int] = []
    seen: dict[tuple[int, int], list[int]] = {}
    for i in range(len(truth)):
        others = seen.setdefault((int(truth.videos[i]), int(truth.labels[i])), [])
        same = (np.abs(truth.starts[others] - truth.starts[i]) <= _SAME_S) & (
            np.abs(truth.ends[others] - truth.ends[i]) <= _SAME_S
        )
        if truth.ends[i] > truth.starts[i] and not same.any():
            kept.append(i)
            others.append(i)
    return truth[np.array(kept, dtype=np.int64)]


def temporal_iou(starts: Floats, ends: Floats, other_starts: Floats, other_ends: Floats) -> Floats:
    """The shared time of two spans over the time that either covers; shapes broadcast."""
    shared = np.maximum(0.0, np.minimum(ends, other_ends) - np.maximum(starts, other_starts))
    either = (ends - starts) + (other_ends - other_starts) - shared
    return np.asarray(np.divide(shared, either, out=np.zeros_like(shared), where=either > 0))


def _match(truth: Segments, detections: Segments, thresholds: Floats) -> npt.NDArray[np.bool_]:
    """Which detections, in their order, are true at each threshold: bool `[N, K]`; all of one class."""
    true = np.zeros((len(detections), len(thresholds)), dtype=np.bool_)
    levels = thresholds.tolist()
    for here, found in _by_video(truth, detections):
        overlaps = temporal_iou(
            detections.starts[found, None],
            detections.ends[found, None],
            truth.starts[here],
            truth.ends[here],
        )
        # Few pairs overlap enough to be looked at: a detection with each instance, the best instance first.
        rows, columns = np.nonzero(overlaps >= thresholds.min())
        order = np.lexsort((-overlaps[rows, columns], rows))
        pairs = zip(
            found[rows[order]].tolist(),
            columns[order].tolist(),
            overlaps[rows, columns][order].tolist(),
            strict=True,
        )
        taken: set[tuple[int, int]] = set()
        done: set[tuple[int, int]] = set()
        for place, instance, overlap in pairs:
            for level, threshold in enumerate(levels):
                if overlap < threshold or (level, place) in done or (level, instance) in taken:
                    continue
                done.add((level, place))
                taken.add((level, instance))
                true[place, level] = True
    return true


def _by_video(truth: Segments, detections: Segments) -> Iterator[tuple[Ints, Ints]]:
    """The places of the instances and of the detections of each video that has both."""
    order = np.argsort(detections.videos, kind="stable")
    sorted_videos = detections.videos[order]
    for video in np.unique(truth.videos):
        first, last = np.searchsorted(sorted_videos, [video, video + 1])
        if last > first:
            yield np.flatnonzero(truth.videos == video), order[first:last]


def _overlaps(detections: Segments, ambiguous: Segments) -> npt.NDArray[np.bool_]:
    """Bool `[N]`: whether a detection shares time with one of the spans of its video."""
    touched = np.zeros(len(detections), dtype=np.bool_)
    for i in range(len(ambiguous)):
        touched |= (
            (detections.videos == ambiguous.videos[i])
            & (detections.starts < ambiguous.ends[i])
            & (detections.ends > ambiguous.starts[i])
        )
    return touched


def _area(true: npt.NDArray[np.bool_], num_instances: int) -> float:
    """Under the precision-recall curve of detections in their order, its precision made monotone."""
    if not true.any():
        return 0.0
    precision = np.cumsum(true) / np.arange(1, len(true) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[true].sum() / num_instances)
