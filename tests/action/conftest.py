"""Videos small enough to reason about, and one thread: the machine has other work."""

from collections.abc import Callable

import numpy as np
import pytest

from prolepsis.action.windows import LabelledVideo

MakeVideo = Callable[..., LabelledVideo]


@pytest.fixture(autouse=True)
def in_one_thread(one_thread: None) -> None:
    """Every test here."""


@pytest.fixture
def make_video() -> MakeVideo:
    """A video whose step k has the feature (k, k, ...) and a random class of its own."""

    def make(name: str, steps: int, classes: int = 3, size: int = 2) -> LabelledVideo:
        random = np.random.default_rng(sum(name.encode()))
        labels = np.eye(classes, dtype=np.uint8)[random.integers(classes, size=steps)]
        features = np.repeat(np.arange(steps, dtype=np.float16)[:, None], size, axis=1)
        return LabelledVideo(name, features, labels, random.random(steps) < 0.2)

    return make
