"""When in an action it is recognised: AP by stage, and the delay until it is noticed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prolepsis.action.evaluation.frames import BACKGROUND, Bools, Floats, average_precisions

NUM_STAGES = 10


@dataclass(frozen=True)
class StageEvaluation:
    """mAP and mcAP of each stage, from the first to the last, over the classes that have a frame in it.

    A stage that no frame falls into (all instances are shorter) has NaN.
    """

    mean_average_precision: tuple[float, ...]
    mean_calibrated_average_precision: tuple[float, ...]


@dataclass(frozen=True)
class Delays:
    """How long instances had run when they were first noticed.

    Attributes:
        seconds: of each noticed instance.
        num_missed: instances that were not noticed before they ended.
    """

    seconds: npt.NDArray[np.float64]
    num_missed: int

    @property
    def noticed_share(self) -> float:
        total = len(self.seconds) + self.num_missed
        return len(self.seconds) / total if total else float("nan")

    @property
    def median(self) -> float:
        """Of the noticed ones; NaN where none was."""
        return float(np.median(self.seconds)) if len(self.seconds) else float("nan")


def evaluate_stages(
    labels: Sequence[Bools],
    scores: Sequence[Floats],
    counted: Sequence[Bools],
    num_stages: int = NUM_STAGES,
    background: int | None = BACKGROUND,
) -> StageEvaluation:
    """AP with the positives of one stage of their instances, and all negatives (TVSeries; LSTR's perstage).

    The frames of an instance are split into `num_stages` equal parts: frame i of n is in the stage
    floor(i * num_stages / n).

    Args:
        labels: bool `[T, C]` of each video, multi-hot.
        scores: `[T, C]` of each video.
        counted: bool `[T]` of each video: the steps that are scored. They do not change where an instance
            begins and ends.
    """
    stages = [_stage_of_steps(one, num_stages) for one in labels]
    plain: list[list[float]] = [[] for _ in range(num_stages)]
    calibrated: list[list[float]] = [[] for _ in range(num_stages)]
    for label in range(labels[0].shape[1] if labels else 0):
        if label == background:
            continue
        belief = np.concatenate([one[kept, label] for one, kept in zip(scores, counted, strict=True)])
        stage = np.concatenate([one[kept, label] for one, kept in zip(stages, counted, strict=True)])
        for number in range(num_stages):
            chosen = (stage == number) | (stage < 0)
            if (stage == number).any():
                precision, calibrated_precision = average_precisions(stage[chosen] == number, belief[chosen])
                plain[number].append(precision)
                calibrated[number].append(calibrated_precision)
    return StageEvaluation(tuple(map(_mean, plain)), tuple(map(_mean, calibrated)))


def evaluate_delays(
    labels: Sequence[Bools],
    scores: Sequence[Floats],
    rate: float,
    background: int = BACKGROUND,
) -> Delays:
    """The time from an instance's first step to the first one at which its class is the most probable.

    Of the classes of a step with several, the most probable action counts: an instance is noticed where no
    other class that is not true there has a higher score.

    Args:
        labels: bool `[T, C]` of each video, multi-hot.
        scores: `[T, C]` of each video.
        rate: steps per second.
    """
    seconds: list[float] = []
    missed = 0
    for truth, belief in zip(labels, scores, strict=True):
        rivals = np.where(truth, -np.inf, belief).max(axis=1)
        noticed = belief > rivals[:, None]
        for label, start, end in runs(truth):
            if label == background:
                continue
            hits = np.flatnonzero(noticed[start:end, label])
            if len(hits):
                seconds.append(int(hits[0]) / rate)
            else:
                missed += 1
    return Delays(np.array(seconds, dtype=np.float64), missed)


def runs(labels: Bools) -> list[tuple[int, int, int]]:
    """Class, first step and the one after the last of each run of each class of bool `[T, C]`."""
    padded = np.zeros((labels.shape[1], len(labels) + 2), dtype=np.int8)
    padded[:, 1:-1] = labels.T
    change = np.diff(padded, axis=1)
    classes, starts = np.nonzero(change == 1)
    _, ends = np.nonzero(change == -1)
    return list(zip(classes.tolist(), starts.tolist(), ends.tolist(), strict=True))


def _stage_of_steps(labels: Bools, num_stages: int) -> npt.NDArray[np.int64]:
    """Int `[T, C]`: the stage of the instance that a class has at a step, or -1."""
    stages = np.full(labels.shape, -1, dtype=np.int64)
    for label, start, end in runs(labels):
        stages[start:end, label] = np.arange(end - start) * num_stages // (end - start)
    return stages


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
