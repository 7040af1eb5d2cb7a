"""Average precision over frames, plain and calibrated, per class and as a mean over classes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BACKGROUND = 0

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class ClassResult:
    """One class of which at least one frame is positive."""

    class_index: int
    num_positives: int
    average_precision: float
    calibrated_average_precision: float


@dataclass(frozen=True)
class FrameEvaluation:
    """The classes with positives, those without (`skipped`), and how many frames were scored."""

    classes: tuple[ClassResult, ...]
    skipped: tuple[int, ...]
    num_frames: int

    @property
    def mean_average_precision(self) -> float:
        """mAP over the classes that have positives; NaN where none has."""
        return _mean([one.average_precision for one in self.classes])

    @property
    def mean_calibrated_average_precision(self) -> float:
        """mcAP, likewise."""
        return _mean([one.calibrated_average_precision for one in self.classes])


def evaluate_frames(labels: Bools, scores: Floats, background: int | None = BACKGROUND) -> FrameEvaluation:
    """Per-frame mAP as THUMOS'14 defines it, and mcAP as TVSeries does, of frames pooled over videos.

    A class without a positive frame has no average precision: it is skipped and listed, as LSTR and MiniROAD
    do.

    Args:
        labels: bool `[N, C]`, multi-hot. Frames that do not count are not in it.
        scores: `[N, C]`, the higher the surer; only their order within a class matters.
        background: the class that is no action and is left out, or None to take all.
    """
    if labels.shape != scores.shape:
        raise ValueError(f"labels {labels.shape} and scores {scores.shape} differ in shape")
    counts = labels.sum(axis=0)
    actions = [index for index in range(labels.shape[1]) if index != background]
    classes = tuple(
        ClassResult(index, int(counts[index]), *average_precisions(labels[:, index], scores[:, index]))
        for index in actions
        if counts[index] > 0
    )
    skipped = tuple(index for index in actions if counts[index] == 0)
    return FrameEvaluation(classes, skipped, len(labels))


def average_precisions(positive: Bools, scores: Floats) -> tuple[float, float]:
    """Average precision and calibrated average precision of one class.

    AP is the mean over the positives of the precision at their score, not interpolated; frames with equal
    scores are one threshold, as in `sklearn.metrics.average_precision_score`. The calibrated one (De Geest et
    al., ECCV 2016) counts a false positive 1/w times, w being the number of negatives per positive, so that a
    class's share of the frames does not matter: cPrec = w TP / (w TP + FP).

    Args:
        positive: bool `[N]`, at least one True.
        scores: `[N]`, without NaN.
    """
    if np.isnan(scores).any():
        raise ValueError("a score is NaN")
    num_positives = int(positive.sum())
    if num_positives == 0:
        raise ValueError("average precision is not defined without a positive")
    order = np.argsort(scores, kind="stable")[::-1]
    thresholds = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    true = np.cumsum(positive[order])[thresholds]
    false = thresholds + 1 - true
    # Without negatives any weight gives a precision of one.
    weight = max(1, len(positive) - num_positives) / num_positives
    share = np.diff(true, prepend=0) / num_positives
    plain = true / (true + false)
    calibrated = weight * true / (weight * true + false)
    return float(share @ plain), float(share @ calibrated)


def frame_accuracy(labels: Bools, scores: Floats) -> float:
    """The share of frames whose most probable class is among their true ones, background included."""
    return float(labels[np.arange(len(labels)), scores.argmax(axis=1)].mean())


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
