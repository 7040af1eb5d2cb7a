"""A detector over whole videos: probabilities per step, in batches of videos of similar length."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from prolepsis.action.detectors.base import Detector
from prolepsis.errors import ProlepsisError
from prolepsis.training.device import autocast

# Steps (videos x their greatest length) scored at a time, and values of their features; bounds the memory.
_STEPS_AT_ONCE = 16_384
_VALUES_AT_ONCE = 2**26

Float32s = npt.NDArray[np.float32]


@dataclass(frozen=True)
class VideoScores:
    """Probabilities of a video: `scores [T, C]`, `anticipation [T, F, C]` where the detector looks ahead."""

    video: str
    scores: Float32s
    anticipation: Float32s | None


def score_videos(
    detector: Detector,
    features: Mapping[str, npt.NDArray[np.floating]],
    videos: Iterable[str],
    device: torch.device,
    precision: torch.dtype = torch.float32,
) -> Iterator[VideoScores]:
    """Scores each video as one stream from its first step on; shorter videos come first.

    The detector is put in evaluation mode and on the device.

    Raises:
        ProlepsisError: the features are not as long as those that the detector was built for.
    """
    detector.to(device).eval()
    steps_at_once = min(_STEPS_AT_ONCE, _VALUES_AT_ONCE // detector.input_size)
    for batch in _batches(features, videos, steps_at_once):
        yield from _score(detector, features, batch, device, precision)


@torch.no_grad()
def _score(
    detector: Detector,
    features: Mapping[str, npt.NDArray[np.floating]],
    videos: list[str],
    device: torch.device,
    precision: torch.dtype,
) -> list[VideoScores]:
    for video in videos:
        if features[video].shape[1] != detector.input_size:
            raise ProlepsisError(
                f"The detector takes features of length {detector.input_size},"
                f" and these have {features[video].shape[1]}.",
                where=f"video {video!r}",
                remedy="train the detector on features of the same encoder",
            )
    lengths = [len(features[video]) for video in videos]
    padded = torch.zeros(len(videos), max(lengths), detector.input_size)
    for row, video in enumerate(videos):
        padded[row, : lengths[row]] = torch.from_numpy(np.array(features[video]))
    mask = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    with autocast(device, precision):
        output = detector(padded.to(device), mask.to(device))
    scores = output.scores.float().softmax(-1).cpu().numpy()
    ahead = output.anticipation
    anticipation = [None] * len(videos) if ahead is None else ahead.float().softmax(-1).cpu().numpy()
    return [
        VideoScores(video, scores[row, :length], _first(anticipation[row], length))
        for row, (video, length) in enumerate(zip(videos, lengths, strict=True))
    ]


def _batches(
    features: Mapping[str, npt.NDArray[np.floating]], videos: Iterable[str], steps_at_once: int
) -> Iterator[list[str]]:
    batch: list[str] = []
    for video in sorted(videos, key=lambda name: (len(features[name]), name)):
        if batch and (len(batch) + 1) * len(features[video]) > steps_at_once:
            yield batch
            batch = []
        batch.append(video)
    if batch:
        yield batch


def _first(anticipation: Float32s | None, length: int) -> Float32s | None:
    return None if anticipation is None else anticipation[:length]
