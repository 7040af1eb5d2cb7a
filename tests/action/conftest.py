"""Videos small enough to reason about, and one thread: the machine has other work."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from prolepsis.action.windows import LabelledVideo

MakeVideo = Callable[..., LabelledVideo]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def make_video() -> MakeVideo:
    """A video whose step k has the feature (k, k, ...) and a random class of its own."""

    def make(name: str, steps: int, classes: int = 3, size: int = 2) -> LabelledVideo:
        random = np.random.default_rng(sum(name.encode()))
        labels = np.eye(classes, dtype=np.uint8)[random.integers(classes, size=steps)]
        features = np.repeat(np.arange(steps, dtype=np.float16)[:, None], size, axis=1)
        return LabelledVideo(name, features, labels, random.random(steps) < 0.2)

    return make
