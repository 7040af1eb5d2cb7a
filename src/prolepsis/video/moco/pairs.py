"""Pairs of views, in batches made by worker processes.

A pair depends on the seed, the epoch and the frame alone: neither on how many workers there are, nor on which
of them draws it, nor on what was drawn before.
"""

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from prolepsis.video.frame_images import FrameImages
from prolepsis.video.moco.config import Augmentation
from prolepsis.video.moco.views import draw_view

# What a generator draws; part of its seed.
_TRAINING_PAIR, _VALIDATION_PAIR, _ORDER, _COMPANY = range(4)

Place = tuple[int, int]
"""An epoch, -1 in validation, whose views stay the same; and the number of a frame in its split."""


@dataclass(frozen=True)
class PairBatch:
    """Views, uint8 `[B, S, S, 3]`, and the permutation in which the keys are encoded."""

    queries: Tensor
    keys: Tensor
    order: Tensor

    def to(self, device: torch.device) -> "PairBatch":
        return PairBatch(
            *(part.to(device, non_blocking=True) for part in (self.queries, self.keys, self.order))
        )


class FramePairs(Dataset[tuple[Tensor, Tensor]]):
    """A query and a key for each frame of a split.

    Args:
        images: all frames.
        split: whose frames are meant.
        size: of the views.
        positive_seconds: the key's frame is one of the same video at most so far from the query's.
    """

    def __init__(
        self,
        images: FrameImages,
        split: str,
        *,
        size: int,
        augmentation: Augmentation,
        positive_seconds: float,
        seed: int,
    ) -> None:
        videos = images.of_split(split)
        self._images = images
        self._size = size
        self._augmentation = augmentation
        self._reach = int(positive_seconds * images.rate + 1e-6)
        self._seed = seed
        # Of each frame of the split: its place among all frames, and where its video begins and ends there.
        self._frames = np.concatenate([np.arange(one.start, one.stop) for one in videos] or [np.arange(0)])
        lengths = [one.stop - one.start for one in videos]
        self._first = np.repeat([one.start for one in videos], lengths)
        self._last = np.repeat([one.stop - 1 for one in videos], lengths)

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, place: Place) -> tuple[Tensor, Tensor]:
        """Two views, uint8 `[S, S, 3]`."""
        epoch, number = place
        kind = _VALIDATION_PAIR if epoch < 0 else _TRAINING_PAIR
        generator = np.random.default_rng([self._seed, kind, max(epoch, 0), number])
        query, key = self.draw_frames(number, generator)
        return self._view(query, generator), self._view(key, generator)

    def draw_frames(self, number: int, generator: np.random.Generator) -> tuple[int, int]:
        """Which of all frames a pair is of: the query's and the key's."""
        query = int(self._frames[number])
        if self._reach == 0:
            return query, query
        first = max(int(self._first[number]), query - self._reach)
        last = min(int(self._last[number]), query + self._reach)
        return query, int(generator.integers(first, last, endpoint=True))

    def _view(self, frame: int, generator: np.random.Generator) -> Tensor:
        view = draw_view(self._images.frames[frame], self._size, self._augmentation, generator)
        return torch.from_numpy(view)


def training_batches(
    pairs: FramePairs,
    epoch: int,
    first_step: int,
    *,
    batch_size: int,
    seed: int,
    num_workers: int,
    pin_memory: bool,
) -> Iterator[PairBatch]:
    """Whole batches of an epoch, each frame at most once, from a step on."""
    shuffled = np.random.default_rng([seed, _ORDER, epoch]).permutation(len(pairs)).tolist()
    num_steps = len(pairs) // batch_size
    batches = [
        [(epoch, number) for number in shuffled[step * batch_size : (step + 1) * batch_size]]
        for step in range(first_step, num_steps)
    ]
    loaded = _load(pairs, batches, num_workers, pin_memory)
    for step, (queries, keys) in enumerate(loaded, start=first_step):
        company = np.random.default_rng([seed, _COMPANY, epoch, step]).permutation(batch_size)
        yield PairBatch(queries, keys, torch.from_numpy(company))


def validation_batches(
    pairs: FramePairs, *, batch_size: int, num_workers: int, pin_memory: bool
) -> Iterator[PairBatch]:
    """All frames in their order, with the same views every time."""
    numbers = range(len(pairs))
    batches = [[(-1, number) for number in numbers[start:][:batch_size]] for start in numbers[::batch_size]]
    for queries, keys in _load(pairs, batches, num_workers, pin_memory):
        yield PairBatch(queries, keys, torch.arange(len(queries)))


def _load(
    pairs: FramePairs, batches: Sequence[list[Place]], num_workers: int, pin_memory: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        pairs,
        batch_sampler=batches,
        num_workers=num_workers,
        pin_memory=pin_memory,
        worker_init_fn=_leave_on_request,
        # Without one of its own it would draw from the global generator, which the training's state includes.
        generator=torch.Generator().manual_seed(0),
    )
    yield from loader


def _leave_on_request(_: int) -> None:
    """A worker ends when it is told to, though the training it is forked from first saves what it has."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
