"""Per-step labels from action instances. How they are cut into steps moves published scores by points of mAP,
so the rule has a name, stands in the parameters, and lives in this one place.

Step k of a video covers [k / rate, (k + 1) / rate) seconds; its centre is at (k + 0.5) / rate.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BACKGROUND = "background"
IGNORED = -1

# What is a whole number of frames is a little less in floating point.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class ActionInstance:
    """An action from `start` to `end` seconds; `class_index` is its column (1 or more), or `IGNORED`."""

    start: float
    end: float
    class_index: int


@dataclass(frozen=True)
class StepLabels:
    """`labels` uint8 [T, C], multi-hot, with column 0 set where no other is; `ignore` bool [T]."""

    labels: npt.NDArray[np.uint8]
    ignore: npt.NDArray[np.bool_]


def num_steps(duration: float, rate: float) -> int:
    """How many whole steps a video of `duration` seconds has; at least one."""
    # A duration of 2 s is 1.9999999 in many a file.
    return max(1, math.floor(duration * rate + _ROUNDING))


def step_times(steps: int, rate: float) -> npt.NDArray[np.float64]:
    """The centre of each step in seconds, [T]."""
    return (np.arange(steps, dtype=np.float64) + 0.5) / rate


Rule = Callable[[float, float, float, int, float], slice]
"""From start, end, steps per second, how many steps there are, and the video's frames per second."""


def _centre(start: float, end: float, rate: float, steps: int, frames_per_second: float) -> slice:
    return _times_between(start, end, step_times(steps, rate))


def _inclusive(start: float, end: float, rate: float, steps: int, frames_per_second: float) -> slice:
    return slice(int(start * rate), min(int(end * rate) + 1, steps))


def _chunk(start: float, end: float, rate: float, steps: int, frames_per_second: float) -> slice:
    centre_frames = np.floor(step_times(steps, rate) * frames_per_second + _ROUNDING)
    return _times_between(start, end, centre_frames / frames_per_second)


def _times_between(start: float, end: float, times: npt.NDArray[np.float64]) -> slice:
    first, stop = np.searchsorted(times, [start, end], side="left")
    return slice(int(first), int(stop))


RULES: dict[str, Rule] = {"centre": _centre, "inclusive": _inclusive, "chunk": _chunk}
"""Which steps an action from `start` to `end` seconds labels.

- `centre`: those whose centre lies in [start, end).
- `inclusive`: from step int(start · rate) to step int(end · rate), both in; the labels that LSTR's authors
  publish were made so (amazon-science/stochastic-backpropagation, perframe_label_generation.py).
- `chunk`: a step is a chunk of frames, and has the label of its centre frame, by when that frame begins.
"""


def num_labelled_steps(
    start: float, end: float, *, steps: int, rate: float, frames_per_second: float, rule: str = "centre"
) -> int:
    """How many steps an action labels; none where it is shorter than a step and no centre is in it.

    The arguments are those of `rasterise`.
    """
    return len(range(steps)[RULES[rule](start, end, rate, steps, frames_per_second)])


def rasterise(
    instances: Iterable[ActionInstance],
    *,
    steps: int,
    rate: float,
    num_classes: int,
    frames_per_second: float,
    rule: str = "centre",
) -> StepLabels:
    """The labels of one video's steps.

    Args:
        steps: how many steps the video has.
        rate: steps per second.
        num_classes: columns, background included.
        frames_per_second: of the video; only `chunk` asks for it.
        rule: a key of `RULES`.

    Raises:
        ValueError: a class index is not one of the columns.
        KeyError: there is no such rule.
    """
    labels = np.zeros((steps, num_classes), dtype=np.uint8)
    ignore = np.zeros(steps, dtype=np.bool_)
    covered = RULES[rule]
    for instance in instances:
        rows = covered(instance.start, instance.end, rate, steps, frames_per_second)
        if instance.class_index == IGNORED:
            ignore[rows] = True
        elif 1 <= instance.class_index < num_classes:
            labels[rows, instance.class_index] = 1
        else:
            raise ValueError(f"class {instance.class_index} is not one of the columns 1 to {num_classes - 1}")
    labels[:, 0] = ~labels[:, 1:].any(axis=1)
    return StepLabels(labels, ignore)


def segments(labels: npt.NDArray[np.uint8], rate: float) -> list[ActionInstance]:
    """The runs of each class but the background, by class and time: what `rasterise` labelled, given back.

    Args:
        labels: multi-hot [T, C].
        rate: steps per second.
    """
    found = []
    for class_index in range(1, labels.shape[1]):
        edges = np.flatnonzero(np.diff(labels[:, class_index], prepend=0, append=0))
        found += [
            ActionInstance(first / rate, stop / rate, class_index)
            for first, stop in edges.reshape(-1, 2).tolist()
        ]
    return found
