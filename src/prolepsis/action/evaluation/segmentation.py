"""Frame-wise labels as a row of segments: segmental F1 and Edit score, as in temporal segmentation.

Lea et al., CVPR 2017 (F1@k, Edit); counted as the evaluation of TCN and MS-TCN does. Both punish a belief
that flickers, which frame accuracy hardly notices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

OVERLAPS = (0.10, 0.25, 0.50)

Labels = npt.NDArray[np.integer]


@dataclass(frozen=True)
class SegmentalScores:
    """Fractions between 0 and 1.

    Attributes:
        f1: at each of `overlaps`, from the true and false segments of all videos together.
        edit: the mean over the videos.
    """

    overlaps: tuple[float, ...]
    f1: tuple[float, ...]
    edit: float


def evaluate_segmentation(
    predicted: Sequence[Labels],
    truth: Sequence[Labels],
    overlaps: Sequence[float] = OVERLAPS,
    background: int | None = None,
) -> SegmentalScores:
    """Segmental F1 at IoU thresholds, and the Edit score.

    Args:
        predicted, truth: the class of each step `[T]`, of each video.
        background: a class whose segments count in neither, or None.
    """
    counts = np.zeros((len(overlaps), 3), dtype=np.int64)
    edits = []
    for ours, theirs in zip(predicted, truth, strict=True):
        found, real = _segments(ours, background), _segments(theirs, background)
        for row, overlap in enumerate(overlaps):
            counts[row] += _count(found, real, overlap)
        edits.append(edit_score([one[0] for one in found], [one[0] for one in real]))
    f1 = tuple(_f1(*(int(count) for count in row)) for row in counts)
    return SegmentalScores(tuple(overlaps), f1, float(np.mean(edits)) if edits else float("nan"))


def edit_score(predicted: Sequence[int], truth: Sequence[int]) -> float:
    """1 - Levenshtein's distance of two rows of labels over the length of the longer; 1 of two empty ones."""
    longest = max(len(predicted), len(truth))
    if longest == 0:
        return 1.0
    previous = np.arange(len(truth) + 1)
    reference = np.asarray(truth)
    for row, label in enumerate(predicted, 1):
        # Without insertions in this row; they follow as running minima.
        current = np.empty_like(previous)
        current[0] = row
        current[1:] = np.minimum(previous[1:] + 1, previous[:-1] + (reference != label))
        steps = np.arange(len(truth) + 1)
        previous = np.minimum.accumulate(current - steps) + steps
    return 1.0 - float(previous[-1]) / longest


def _segments(labels: Labels, background: int | None) -> list[tuple[int, int, int]]:
    """Class, first step and the one after the last, of each run."""
    borders = np.flatnonzero(np.diff(labels)) + 1
    edges = [0, *borders.tolist(), len(labels)]
    runs = [(int(labels[start]), start, end) for start, end in pairwise(edges) if end > start]
    return [run for run in runs if run[0] != background]


def _count(
    found: Sequence[tuple[int, int, int]], real: Sequence[tuple[int, int, int]], overlap: float
) -> tuple[int, int, int]:
    """True positives, false positives and false negatives of one video.

    Each found segment, in its order, looks at the real one of its class with the highest IoU: enough, and not
    taken before, it is true, else false.
    """
    if not real:
        return 0, len(found), 0
    labels, starts, ends = (np.array(column) for column in zip(*real, strict=True))
    taken = np.zeros(len(real), dtype=np.bool_)
    true = 0
    for label, start, end in found:
        shared = np.minimum(end, ends) - np.maximum(start, starts)
        iou = np.where(labels == label, shared / (np.maximum(end, ends) - np.minimum(start, starts)), 0.0)
        best = int(iou.argmax())
        if iou[best] >= overlap and not taken[best]:
            taken[best] = True
            true += 1
    return true, len(found) - true, len(real) - true


def _f1(true: int, false: int, missed: int) -> float:
    return 2 * true / (2 * true + false + missed) if true else 0.0
