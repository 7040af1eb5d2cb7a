"""Labelled videos, and the pieces of them that a detector learns from.

Every epoch cuts each video anew: windows of equal length, one after the other, from an offset drawn for the
video. With a window of one step this is every step of the video (OadTR's stride of 1). What is drawn depends
on the seed, the epoch and the step only, so that a resumed training sees what an uninterrupted one sees.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch

from prolepsis.action.detectors.base import WindowBatch
from prolepsis.action.sampling import SamplingConfig
from prolepsis.errors import ProlepsisError


@dataclass(frozen=True)
class LabelledVideo:
    """A video's features and labels.

    Attributes:
        name: the video's id.
        features: `[T, D]`, any float type; may be a view of a file.
        labels: `[T, C]`, multi-hot, 0 or 1.
        ignore: bool `[T]`, the steps whose labels do not count.
    """

    name: str
    features: npt.NDArray[np.floating]
    labels: npt.NDArray[np.uint8]
    ignore: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Window:
    """The steps `start` to `stop` (not included) of a video by its index."""

    video: int
    start: int
    stop: int


class WindowSampler:
    """Cuts the training videos into windows, deals them into batches and makes tensors of them."""

    def __init__(
        self,
        videos: Sequence[LabelledVideo],
        sampling: SamplingConfig,
        *,
        context: int,
        horizon: int,
        seed: int,
    ) -> None:
        """`context` and `horizon` are the detector's; see `Detector`."""
        self._videos = videos
        self._sampling = sampling
        self._context = context
        self._horizon = horizon
        self._seed = seed
        if self.most_windows() == 0:
            raise ProlepsisError(
                f"No training video is long enough for a window of {sampling.window_steps} steps"
                f" with {context} steps before it.",
                where="sampling.window_steps",
                remedy="shorten the window, or set partial_windows",
            )

    def most_windows(self) -> int:
        """How many windows an epoch has at most; it depends on the offsets that are drawn."""
        size = self._sampling.window_steps
        if self._sampling.partial_windows:
            return sum((len(video.labels) + 2 * size - 2) // size for video in self._videos)
        return sum(max(0, len(video.labels) - self._context) // size for video in self._videos)

    def draw(self, epoch: int, num_batches: int) -> list[list[Window]]:
        """The windows of an epoch, shuffled and dealt evenly into `num_batches` batches, none empty."""
        random = np.random.default_rng([self._seed, epoch])
        windows = [window for index in range(len(self._videos)) for window in self._cut(index, random)]
        order = random.permutation(len(windows))
        # Where an epoch has fewer windows than batches, some are seen twice.
        order = np.resize(order, max(len(order), num_batches))
        return [[windows[i] for i in part] for part in np.array_split(order, num_batches)]

    def batches(self, epoch: int, num_batches: int, first: int = 0) -> Iterator[WindowBatch]:
        """The batches of an epoch from number `first` on, on the CPU."""
        for number, windows in enumerate(self.draw(epoch, num_batches)[first:], start=first):
            yield self.collate(windows, np.random.default_rng([self._seed, epoch, number]))

    def collate(self, windows: Sequence[Window], random: np.random.Generator) -> WindowBatch:
        """Windows as tensors: `context` steps of history, the window, padding up to the longest one."""
        steps = self._context + max(window.stop - window.start for window in windows)
        shape = (len(windows), steps + self._horizon)
        first = self._videos[windows[0].video]
        features = torch.zeros(len(windows), steps, first.features.shape[1])
        labels = np.zeros((*shape, first.labels.shape[1]), np.float32)
        valid = np.zeros(shape, np.bool_)
        mask = np.zeros((len(windows), steps), np.bool_)
        scored = np.zeros_like(mask)
        for row, window in enumerate(windows):
            video = self._videos[window.video]
            begin = window.start - self._context  # the step of the row's first column
            read = slice(max(0, begin), window.stop)
            place = slice(read.start - begin, read.stop - begin)
            # torch makes float32 of float16 many times as fast as NumPy, from a copy that it may write to.
            features[row, place] = torch.from_numpy(np.array(video.features[read]))
            mask[row, place] = True
            read = slice(max(0, begin), min(len(video.labels), window.stop + self._horizon))
            place = slice(read.start - begin, read.stop - begin)
            labels[row, place] = video.labels[read]
            valid[row, place] = ~video.ignore[read]
            scored[row, self._context + self._choose(window.stop - window.start, random)] = True
        return WindowBatch(features, *map(torch.from_numpy, (mask, labels, valid, scored)))

    def _choose(self, steps: int, random: np.random.Generator) -> npt.NDArray[np.intp]:
        """Which of a window's steps are learnt from."""
        if self._sampling.scored_fraction == 1.0:
            return np.arange(steps)
        count = max(1, round(steps * self._sampling.scored_fraction))
        return random.permutation(steps)[:count]

    def _cut(self, index: int, random: np.random.Generator) -> list[Window]:
        """One video's windows, from an offset in [0, window_steps)."""
        length, size = len(self._videos[index].labels), self._sampling.window_steps
        offset = int(random.integers(size))
        if self._sampling.partial_windows:
            edges = sorted({0, *range(offset, length, size), length})
            return [Window(index, start, stop) for start, stop in pairwise(edges)]
        starts = range(self._context + offset, length - size + 1, size)
        # An offset can push the only window of a short video over its end.
        return [Window(index, start, start + size) for start in starts or self._only_start(length)]

    def _only_start(self, length: int) -> list[int]:
        return [self._context] if length >= self._context + self._sampling.window_steps else []
