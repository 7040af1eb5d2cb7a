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
    return max(1, math.floor(duration * rate + 1e-6))


def step_times(steps: int, rate: float) -> npt.NDArray[np.float64]:
    """The centre of each step in seconds, [T]."""
    return (np.arange(steps, dtype=np.float64) + 0.5) / rate


def steps_with_centre(start: float, end: float, rate: float, steps: int) -> slice:
    """The steps whose centre lies in [start, end)."""
    first, stop = np.searchsorted(step_times(steps, rate), [start, end], side="left")
    return slice(int(first), int(stop))


# From (start, end, rate, number of steps) to the steps an instance labels.
RULES: dict[str, Callable[[float, float, float, int], slice]] = {"centre": steps_with_centre}


def rasterise(
    instances: Iterable[ActionInstance], *, steps: int, rate: float, num_classes: int, rule: str = "centre"
) -> StepLabels:
    """The labels of one video's steps.

    Args:
        steps: how many steps the video has.
        rate: steps per second.
        num_classes: columns, background included.
        rule: a key of `RULES`.

    Raises:
        ValueError: a class index is not one of the columns.
        KeyError: there is no such rule.
    """
    labels = np.zeros((steps, num_classes), dtype=np.uint8)
    ignore = np.zeros(steps, dtype=np.bool_)
    covered = RULES[rule]
    for instance in instances:
        rows = covered(instance.start, instance.end, rate, steps)
        if instance.class_index == IGNORED:
            ignore[rows] = True
        elif 1 <= instance.class_index < num_classes:
            labels[rows, instance.class_index] = 1
        else:
            raise ValueError(f"class {instance.class_index} is not one of the columns 1 to {num_classes - 1}")
    labels[:, 0] = ~labels[:, 1:].any(axis=1)
    return StepLabels(labels, ignore)
