"""Point-level mAP of action starts (ODAS): how early and how precisely starts are noticed.

A start is said where the most probable class changes to an action; its score is that class's probability
there. Per class, the starts said in all videos are taken by falling score. Each looks at the nearest true
start of its video: within the offset, and not taken before, it is true, else false, even if another true
start is in reach. AP is VOC2007's mean of the precisions at the recalls 0, .1, ..., 1.
(StartNet, Gao et al., ICCV 2019; matched as woad-pytorch and CMeRT do.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prolepsis.action.evaluation.frames import BACKGROUND, Bools, Floats

STARTNET_OFFSETS = tuple(float(seconds) for seconds in range(1, 11))
_RECALLS = np.linspace(0, 1, 11)


@dataclass(frozen=True)
class PointEvaluation:
    """AP of each class that starts somewhere, at each offset.

    Attributes:
        offsets: seconds.
        classes: those that start somewhere.
        average_precision: `[C, K]`.
    """

    offsets: tuple[float, ...]
    classes: tuple[int, ...]
    average_precision: npt.NDArray[np.float64]

    @property
    def mean_average_precision(self) -> npt.NDArray[np.float64]:
        """p-mAP at each offset, `[K]`; NaN where no class starts."""
        if not self.classes:
            return np.full(len(self.offsets), np.nan)
        return np.asarray(self.average_precision.mean(axis=0))


def evaluate_starts(
    labels: Sequence[Bools],
    scores: Sequence[Floats],
    rate: float,
    offsets: Sequence[float] = STARTNET_OFFSETS,
    background: int = BACKGROUND,
    *,
    counted: Sequence[Bools] | None = None,
) -> PointEvaluation:
    """Point-level mAP over videos.

    Steps that do not count end what runs up to them: an action that goes on behind them starts there, in the
    labels as in what is said.

    Args:
        labels: bool `[T, C]` of each video, multi-hot.
        scores: `[T, C]` of each video.
        rate: steps per second.
        offsets: seconds within which a start is found; reaching them exactly counts.
        background: the class that is no action.
        counted: bool `[T]` of each video, the steps that count; all by default.
    """
    num_classes = labels[0].shape[1] if labels else 0
    if counted is None:
        counted = [np.ones(len(one), dtype=np.bool_) for one in labels]
    true_starts = [_runs_starting(one & kept[:, None]) for one, kept in zip(labels, counted, strict=True)]
    said = [_said_starts(one, background, kept) for one, kept in zip(scores, counted, strict=True)]
    classes = tuple(
        label
        for label in range(num_classes)
        if label != background and any(starts[:, label].any() for starts in true_starts)
    )
    precisions = np.zeros((len(classes), len(offsets)))
    for row, label in enumerate(classes):
        points = [np.flatnonzero(starts[:, label]) for starts in true_starts]
        for column, offset in enumerate(offsets):
            precisions[row, column] = _precision(points, said, scores, label, offset * rate)
    return PointEvaluation(tuple(map(float, offsets)), classes, precisions)


def _precision(
    points: Sequence[npt.NDArray[np.intp]],
    said: Sequence[npt.NDArray[np.intp]],
    scores: Sequence[Floats],
    label: int,
    reach: float,
) -> float:
    candidates = [
        (float(scores[video][step, label]), video, step)
        for video, starts in enumerate(said)
        for step in np.flatnonzero(starts == label)
    ]
    candidates.sort(key=lambda one: -one[0])
    taken: set[tuple[int, int]] = set()
    true = np.zeros(len(candidates), dtype=np.bool_)
    for rank, (_, video, step) in enumerate(candidates):
        if not len(points[video]):
            continue
        distances = np.abs(points[video] - step)
        nearest = int(distances.argmin())
        if distances[nearest] <= reach and (video, nearest) not in taken:
            taken.add((video, nearest))
            true[rank] = True
    total = sum(map(len, points))
    recall = np.cumsum(true) / total
    precision = np.cumsum(true) / np.arange(1, len(true) + 1)
    return float(np.mean([precision[recall >= level - 1e-12].max(initial=0.0) for level in _RECALLS]))


def _runs_starting(labels: Bools) -> Bools:
    """Where each class's runs begin, `[T, C]`."""
    before = np.zeros_like(labels)
    before[1:] = labels[:-1]
    return labels & ~before


def _said_starts(scores: Floats, background: int, counted: Bools) -> npt.NDArray[np.intp]:
    """Int `[T]`: the class whose start is said at a step, or -1."""
    best = np.where(counted, scores.argmax(axis=1), background)
    changed = np.ones(len(best), dtype=np.bool_)
    changed[1:] = best[1:] != best[:-1]
    return np.where(changed & (best != background), best, -1)
