import numpy as np
import pytest
import torch

from prolepsis.action import standardisation
from prolepsis.action.detectors.base import WindowBatch
from prolepsis.action.detectors.frame_only import FrameOnly
from prolepsis.action.standardisation import FeatureMoments, StandardisedDetector, feature_moments


def test_the_moments_are_those_of_all_steps_of_all_videos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standardisation, "_VALUES_AT_ONCE", 1000)  # 250 steps
    random = np.random.default_rng(0)
    videos = [random.normal(3, 2, size=(length, 4)).astype(np.float16) for length in (5, 9000, 17)]
    everything = np.concatenate(videos).astype(np.float64)
    moments = feature_moments(videos)
    np.testing.assert_allclose(moments.mean.numpy(), everything.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(moments.deviation.numpy(), everything.std(axis=0), rtol=1e-6)


def test_a_feature_that_never_varies_is_left_at_its_scale() -> None:
    moments = feature_moments([np.full((6, 2), 7.0, np.float32)])
    assert moments.mean.tolist() == [7.0, 7.0]
    assert moments.deviation.tolist() == [1.0, 1.0]


def test_steps_that_do_not_exist_stay_zero_in_the_loss() -> None:
    seen = []

    class Watching(FrameOnly):
        def loss(self, batch: WindowBatch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            seen.append(batch.features)
            return super().loss(batch)

    detector = Watching(FrameOnly.Config(), input_size=2, num_classes=3)
    moments = FeatureMoments(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 4.0]))
    mask = torch.tensor([[True, False]])
    ones = torch.ones(1, 2, dtype=torch.bool)
    batch = WindowBatch(torch.full((1, 2, 2), 5.0), mask, torch.zeros(1, 2, 3), ones, ones)
    StandardisedDetector(detector, moments).loss(batch)
    assert seen[0].tolist() == [[[2.0, 0.75], [0.0, 0.0]]]


def test_the_moments_are_saved_with_the_weights_but_are_no_parameters() -> None:
    detector = FrameOnly(FrameOnly.Config(), input_size=2, num_classes=3)
    standardised = StandardisedDetector(detector, FeatureMoments(torch.ones(2), torch.ones(2)))
    assert {"mean", "deviation"} <= standardised.state_dict().keys()
    assert len(list(standardised.parameters())) == len(list(detector.parameters()))
