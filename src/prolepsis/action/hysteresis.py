"""Per-frame probabilities to segments, one step after the other or a whole video at once.

A class's segment begins where its probability reaches `start_threshold` and ends where it has been below
`end_threshold` for `release_steps` steps; what is shorter than `min_steps` is none. So a belief that flickers
around one threshold makes one segment, not many. Nothing looks ahead: what is live has the same rule.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_ROUNDING = 1e-6  # what a product of seconds and rate may be off, in steps

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Hysteresis:
    """The rule.

    Attributes:
        start_threshold, end_threshold: probabilities, 0 <= end_threshold <= start_threshold <= 1.
        min_steps: how long a segment is at least.
        release_steps: how many steps in a row below `end_threshold` end one.
    """

    start_threshold: float = 0.5
    end_threshold: float = 0.3
    min_steps: int = 1
    release_steps: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.end_threshold <= self.start_threshold <= 1:
            raise ValueError(
                "0 <= end_threshold <= start_threshold <= 1 does not hold of "
                f"{self.end_threshold} and {self.start_threshold}"
            )
        if self.min_steps < 1 or self.release_steps < 1:
            raise ValueError("min_steps and release_steps must be at least 1")


def steps_of(seconds: float, rate: float) -> int:
    """The fewest steps that last at least so long.

    >>> steps_of(0.6, 5.0), steps_of(0.61, 5.0)
    (3, 4)
    """
    return math.ceil(seconds * rate - _ROUNDING)


@dataclass(frozen=True)
class FoundSegment:
    """Steps `start` to `end`, the one after the last; `score` is the mean probability of the class there."""

    label: int
    start: int
    end: int
    score: float


class SegmentFinder:
    """The rule, step by step; the state is a few numbers per class."""

    def __init__(self, num_classes: int, rule: Hysteresis, background: int | None = 0) -> None:
        self._rule = rule
        self._actions = np.array([label != background for label in range(num_classes)])
        self._step = 0
        self._start = np.full(num_classes, -1)
        self._below = np.zeros(num_classes, dtype=np.int64)
        self._sum = np.zeros(num_classes)
        self._sum_at_last = np.zeros(num_classes)

    @property
    def running(self) -> npt.NDArray[np.bool_]:
        """Bool `[C]`: the classes whose segment has begun, and is as long as it must be."""
        return np.asarray(
            (self._start >= 0) & (self._step - self._below - self._start >= self._rule.min_steps)
        )

    def step(self, scores: Floats) -> list[FoundSegment]:
        """Takes the probabilities `[C]` of the next step; returns the segments that are over."""
        open_before = self._start >= 0
        begins = self._actions & ~open_before & (scores >= self._rule.start_threshold)
        self._start[begins] = self._step
        self._below[begins] = 0
        self._sum[begins] = 0.0
        is_open = open_before | begins
        self._sum[is_open] += scores[is_open]
        above = is_open & (scores >= self._rule.end_threshold)
        self._below = np.where(above, 0, self._below + is_open)
        self._sum_at_last[above] = self._sum[above]
        self._step += 1
        return self._close(is_open & (self._below >= self._rule.release_steps))

    def finish(self) -> list[FoundSegment]:
        """The segments that the end of the video ends."""
        return self._close(self._start >= 0)

    def _close(self, which: npt.NDArray[np.bool_]) -> list[FoundSegment]:
        found = []
        for label in np.flatnonzero(which):
            start, end = int(self._start[label]), self._step - int(self._below[label])
            if end - start >= self._rule.min_steps:
                found.append(
                    FoundSegment(int(label), start, end, float(self._sum_at_last[label] / (end - start)))
                )
        self._start[which] = -1
        self._below[which] = 0
        return found


def find_segments(scores: Floats, rule: Hysteresis, background: int | None = 0) -> list[FoundSegment]:
    """The segments of a whole video's probabilities `[T, C]`, by class and start, as `SegmentFinder` has."""
    return [
        segment
        for label in range(scores.shape[1])
        if label != background
        for segment in _segments_of(scores[:, label].astype(np.float64), label, rule)
    ]


def _segments_of(belief: npt.NDArray[np.float64], label: int, rule: Hysteresis) -> list[FoundSegment]:
    on = np.flatnonzero(belief >= rule.start_threshold)
    if not len(on):
        return []
    # Steps at or above `end_threshold`, grouped where fewer than `release_steps` steps lie between them.
    held = np.flatnonzero(belief >= rule.end_threshold)
    breaks = np.flatnonzero(np.diff(held) > rule.release_steps)
    firsts = held[np.concatenate([[0], breaks + 1])]
    lasts = held[np.concatenate([breaks, [len(held) - 1]])]
    sums = np.concatenate([[0.0], np.cumsum(belief)])
    found = []
    for first, last in zip(firsts, lasts, strict=True):
        reached = np.searchsorted(on, first)
        if reached == len(on) or on[reached] > last:
            continue
        start, end = int(on[reached]), int(last) + 1
        if end - start >= rule.min_steps:
            found.append(FoundSegment(label, start, end, float((sums[end] - sums[start]) / (end - start))))
    return found
