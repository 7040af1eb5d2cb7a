"""When a class is worth a word: hysteresis, a least length, and a pause between two alerts of a class."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from prolepsis.action.evaluation.frames import BACKGROUND
from prolepsis.action.hysteresis import FoundSegment, Hysteresis, SegmentFinder

Float32s = NDArray[np.float32]


@dataclass(frozen=True)
class AlertRule:
    """When an alert is given.

    Attributes:
        hysteresis: when an action goes on, in steps.
        cool_down_steps: from one alert of a class to the next, at least.
        classes: those that give alerts; None for all.
    """

    hysteresis: Hysteresis
    cool_down_steps: int = 0
    classes: Collection[int] | None = None


@dataclass(frozen=True)
class Expectation:
    """The action that most probably follows: a class, when it is most probable, and how much it is so."""

    label: int
    steps_ahead: int
    probability: float


class Alerts:
    """The rule on one stream, step by step."""

    def __init__(self, num_classes: int, rule: AlertRule) -> None:
        self._rule = rule
        self._num_classes = num_classes
        self._step = 0
        self._last_scores: Float32s | None = None
        # Whether an alert was given of the segment that goes on; and until when the class is silent.
        self._told = np.zeros(num_classes, dtype=bool)
        self._quiet_until = np.zeros(num_classes, dtype=np.int64)
        self._passed = 0
        self._first = 0
        self._finder = SegmentFinder(num_classes, rule.hysteresis, BACKGROUND)

    def step(self, step: int, scores: Float32s) -> tuple[list[int], list[FoundSegment]]:
        """Takes the probabilities `[C]` of a step; returns the classes to tell of, and what is over.

        Steps that were dropped before this one count as if the last one had gone on: so an action that lasts
        through them is not cut in two, and lengths are lengths of time.
        """
        over: list[FoundSegment] = []
        while self._last_scores is not None and self._step < step:
            over.extend(self._advance(self._last_scores))
        if self._last_scores is None:
            self._first = self._step = step
        over.extend(self._advance(scores))
        self._last_scores = scores
        running = self._finder.running
        due = running & ~self._told & (self._passed > self._quiet_until)
        self._told &= running
        self._told |= due
        self._quiet_until[due] = self._passed + self._rule.cool_down_steps - 1
        return [int(label) for label in np.flatnonzero(due) if self._wanted(int(label))], over

    def finish(self) -> list[FoundSegment]:
        """What the end of the stream ends; then another stream may begin, whose steps count from 0."""
        over = self._wanted_of(self._finder.finish())
        self._finder = SegmentFinder(self._num_classes, self._rule.hysteresis, BACKGROUND)
        self._told[:] = False
        self._last_scores = None
        return over

    def _advance(self, scores: Float32s) -> list[FoundSegment]:
        self._step += 1
        self._passed += 1
        over = self._finder.step(scores)
        for segment in over:
            self._told[segment.label] = False
        return self._wanted_of(over)

    def _wanted_of(self, segments: list[FoundSegment]) -> list[FoundSegment]:
        """Those of classes that give alerts, their steps counted as the stream counts them."""
        return [
            replace(segment, start=segment.start + self._first, end=segment.end + self._first)
            for segment in segments
            if self._wanted(segment.label)
        ]

    def _wanted(self, label: int) -> bool:
        return self._rule.classes is None or label in self._rule.classes


def expected_action(anticipation: Float32s | None, label: int) -> Expectation | None:
    """The most probable action other than background and `label` in `[F, C]`; None without a look ahead."""
    if anticipation is None or anticipation.shape[1] <= 2:
        return None
    others = np.array(anticipation)
    others[:, [BACKGROUND, label]] = -1.0
    ahead, other = np.unravel_index(int(others.argmax()), others.shape)
    return Expectation(int(other), int(ahead) + 1, float(others[ahead, other]))
