"""Features brought to mean zero and spread one, by what the training split says; kept with the model."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from prolepsis.action.detectors.base import Detector, DetectorOutput, State, StepOutput, WindowBatch

_VALUES_AT_ONCE = 2**22  # of features, 32 MiB; a step may have tens of thousands


@dataclass(frozen=True)
class FeatureMoments:
    """Mean and standard deviation of each feature, float32 `[D]`; where nothing varies it is 1."""

    mean: Tensor
    deviation: Tensor


def feature_moments(videos: Iterable[npt.NDArray[np.floating]]) -> FeatureMoments:
    """The moments of all steps of all videos `[T, D]`, in two passes over blocks of rows, in float64."""
    videos = list(videos)
    count = sum(len(video) for video in videos)
    mean = sum(block.sum(axis=0) for block in _blocks(videos)) / count
    variance = sum(((block - mean) ** 2).sum(axis=0) for block in _blocks(videos)) / count
    deviation = np.sqrt(variance)
    deviation[deviation == 0] = 1.0
    return FeatureMoments(*(torch.from_numpy(part.astype(np.float32)) for part in (mean, deviation)))


class StandardisedDetector(Detector):
    """A detector behind the standardisation of its features, itself a detector.

    The moments are buffers: they are saved with the weights and count as no parameters. Where a step does not
    exist, the features are zero after standardisation too.
    """

    def __init__(self, detector: Detector, moments: FeatureMoments) -> None:
        super().__init__(input_size=detector.input_size, num_classes=detector.num_classes)
        self.context = detector.context
        self.horizon = detector.horizon
        self.detector = detector
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", moments.mean)
        self.register_buffer("deviation", moments.deviation)

    def forward(self, features: Tensor, mask: Tensor) -> DetectorOutput:
        output: DetectorOutput = self.detector(self._masked(features, mask), mask)
        return output

    def initial_state(self, batch_size: int) -> State:
        return self.detector.initial_state(batch_size)

    def step(self, feature: Tensor, state: State) -> StepOutput:
        return self.detector.step(self._standardised(feature), state)

    def loss(self, batch: WindowBatch) -> tuple[Tensor, dict[str, Tensor]]:
        return self.detector.loss(replace(batch, features=self._masked(batch.features, batch.mask)))

    def _masked(self, features: Tensor, mask: Tensor) -> Tensor:
        return torch.where(mask.unsqueeze(-1), self._standardised(features), 0.0)

    def _standardised(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.deviation


def _blocks(videos: list[npt.NDArray[np.floating]]) -> Iterable[npt.NDArray[np.float64]]:
    for video in videos:
        rows_at_once = max(1, _VALUES_AT_ONCE // video.shape[1])
        for start in range(0, len(video), rows_at_once):
            yield video[start : start + rows_at_once].astype(np.float64)
