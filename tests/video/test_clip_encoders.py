"""Encoders of clips and of motion, and several encoders side by side."""

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from prolepsis.errors import ProlepsisError
from prolepsis.video.encoders.base import FrameEncoder
from prolepsis.video.encoders.choice import EncoderChoice
from prolepsis.video.encoders.concatenation import Concatenation
from prolepsis.video.encoders.motion import FrameDifference, OpticalFlow, flow_histograms
from prolepsis.video.encoders.torchvision_video import TorchvisionVideoEncoder, clip_offsets

pytestmark = pytest.mark.usefixtures("one_thread")


def frames(count: int, length: int, side: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, length, side, side, 3), dtype=torch.uint8, generator=generator)


def video_encoder(**config: object) -> TorchvisionVideoEncoder:
    return TorchvisionVideoEncoder(TorchvisionVideoEncoder.Config(weights=None, **config))


# Video classifiers


@pytest.mark.parametrize(
    ("name", "num_frames", "dimension", "side"),
    [
        ("r2plus1d_18", 4, 512, 112),
        ("s3d", 14, 1024, 224),
        ("mvit_v2_s", 16, 768, 224),
        ("swin3d_t", 2, 768, 224),
    ],
)
def test_the_last_layer_of_a_video_network_reads_the_features(
    name: str, num_frames: int, dimension: int, side: int
) -> None:
    encoder = video_encoder(name=name, num_frames=num_frames, seed=3)
    assert (encoder.dimension, encoder.input_size, len(encoder.offsets)) == (dimension, side, num_frames)
    torch.manual_seed(3)
    classifier = torchvision.models.get_model(name, weights=None).eval()
    last = [module for module in classifier.modules() if isinstance(module, nn.Linear | nn.Conv3d)][-1]
    batch = frames(1, num_frames, side)
    features = encoder(batch)
    assert features.shape == (1, dimension)
    with torch.inference_mode():
        # S3D's last layer is a convolution of one pixel.
        given = features.view(1, -1, 1, 1, 1) if isinstance(last, nn.Conv3d) else features
        expected = classifier(encoder.normalise(batch).transpose(1, 2))
        torch.testing.assert_close(last(given).flatten(1), expected, atol=1e-4, rtol=1e-4)


def test_clips_are_as_published_and_end_at_the_step() -> None:
    offsets = video_encoder(name="mvit_v2_s").offsets
    assert len(offsets) == 16
    assert offsets[-1] == 0
    assert offsets[0] == pytest.approx(-15 / 7.5)
    assert list(offsets) == sorted(offsets)


def test_only_a_clip_that_may_look_ahead_does() -> None:
    assert clip_offsets(3, 10, look_ahead=False) == pytest.approx((-0.2, -0.1, 0.0))
    assert clip_offsets(3, 10, look_ahead=True) == pytest.approx((-0.1, 0.0, 0.1))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "mvit_v2_s", "num_frames": 32}, "mvit_v2_s takes clips of 16 frames, not of 32"),
        ({"name": "s3d", "num_frames": 8}, "at least 14 frames"),
        ({"name": "r2plus1d_81"}, "Did you mean 'r2plus1d_18'"),
    ],
)
def test_what_a_network_cannot_take_is_refused(config: dict[str, object], message: str) -> None:
    with pytest.raises(ProlepsisError, match=message):
        video_encoder(**config)


def test_unknown_weights_of_a_video_network_are_answered_with_the_nearest() -> None:
    with pytest.raises(ProlepsisError, match="KINETICS400_V1"):
        TorchvisionVideoEncoder(TorchvisionVideoEncoder.Config(weights="KINETICS_V1"))


# Motion


def test_the_frame_difference_says_where_it_became_brighter_and_where_something_changed() -> None:
    encoder = FrameDifference(FrameDifference.Config(cells=2, input_size=8, seconds=0.5))
    assert (encoder.dimension, encoder.offsets) == (8, (-0.5, 0.0))
    pair = torch.zeros(1, 2, 8, 8, 3, dtype=torch.uint8)
    pair[0, 1, :4, :4] = 255  # the upper left cell turns white
    pair[0, 0, 4:, 4:6] = 255  # half of the lower right one turns black
    np.testing.assert_allclose(encoder(pair)[0], [1, 0, 0, -0.5, 1, 0, 0, 0.5], atol=1e-6)


def test_a_flow_counts_for_the_directions_nearest_to_it() -> None:
    flow = torch.zeros(1, 2, 4, 4)
    flow[0, 0, :2, :2] = 3.0  # the upper left cell moves right
    flow[0, :, 2:, 2:] = 1.0  # the lower right one between right and down
    histograms = flow_histograms(flow, directions=4, cells=2).view(4, 2, 2)
    half = 2**0.5 / 2
    np.testing.assert_allclose(histograms[:, 0, 0], [3, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(histograms[:, 1, 1], [half, half, 0, 0], atol=1e-6)
    assert histograms[:, 0, 1].abs().max() == 0


def test_a_flow_just_above_the_right_counts_for_the_last_direction_too() -> None:
    flow = torch.tensor([1.0, -1.0]).view(1, 2, 1, 1)
    half = 2**0.5 / 2
    np.testing.assert_allclose(flow_histograms(flow, 4, 1)[0], [half, 0, 0, half], atol=1e-6)


def test_optical_flow_is_rafts_in_pictures_a_second() -> None:
    config = OpticalFlow.Config(weights=None, input_size=128, updates=2, cells=2, directions=4, seconds=0.5)
    encoder = OpticalFlow(config)
    pair = frames(1, 2, 128)
    torch.manual_seed(0)
    raft = torchvision.models.optical_flow.raft_small(weights=None).eval()
    earlier, later = (pair[:, k].permute(0, 3, 1, 2).float() / 127.5 - 1 for k in range(2))
    with torch.inference_mode():
        expected = raft(earlier, later, num_flow_updates=2)[-1] / 128 / 0.5
        found = encoder.flow(pair)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
    assert encoder(pair).shape == (1, encoder.dimension) == (1, 16)


def test_raft_needs_sides_of_a_multiple_of_eight() -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        OpticalFlow.Config(input_size=130)


@pytest.mark.parametrize("encoder", [FrameDifference, OpticalFlow])
def test_a_grid_finer_than_the_pixels_is_refused(encoder: type[FrameDifference] | type[OpticalFlow]) -> None:
    assert encoder.Config(cells=128, input_size=128).cells == 128
    with pytest.raises(ValueError, match="99999 a side are more than the 128 pixels of input_size"):
        encoder.Config(cells=99999, input_size=128)


# Several side by side


class FirstPixel(FrameEncoder):
    """The red of the first pixel of each frame."""

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return frames[:, :, 0, 0, 0].float()


def first_pixel(*offsets: float) -> FirstPixel:
    return FirstPixel(dimension=len(offsets), input_size=8, weights_sha256="x", offsets=offsets)


def test_streams_get_their_own_frames_and_their_features_follow_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built = iter([first_pixel(0.0), first_pixel(-0.5, 0.0), first_pixel(-1.0, -0.5)])
    monkeypatch.setattr(EncoderChoice, "build", lambda _: next(built))
    lite = {"plugin": "efficientnet_lite0"}
    encoder = Concatenation(Concatenation.Config.model_validate({"streams": [lite] * 3}))
    assert (encoder.dimension, encoder.input_size) == (5, 8)
    assert encoder.offsets == (-1.0, -0.5, 0.0)
    clip = torch.tensor([1, 2, 3], dtype=torch.uint8).view(1, 3, 1, 1, 1).expand(1, 3, 8, 8, 3)
    assert encoder(clip).tolist() == [[3, 2, 3, 1, 2]]


def test_a_concatenation_scales_frames_for_the_smaller_and_its_hash_is_of_all() -> None:
    image = {"plugin": "torchvision", "config": {"name": "shufflenet_v2_x0_5", "weights": None}}
    config = Concatenation.Config.model_validate(
        {"streams": [image, image | {"plugin": "efficientnet_lite0", "config": {}}]}
    )
    encoder = Concatenation(config)
    one, other = (stream.build() for stream in config.streams)
    assert encoder.dimension == one.dimension + other.dimension
    assert encoder.weights_sha256 == f"{one.weights_sha256}+{other.weights_sha256}"
    batch = frames(1, 1, 224)
    torch.testing.assert_close(encoder(batch), torch.cat([one(batch), other(batch)], dim=1))


def test_a_concatenation_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        Concatenation.Config.model_validate({"streams": [{"plugin": "efficientnet_lite0"}]})


@pytest.mark.parametrize(
    "encoder",
    [
        FrameDifference(FrameDifference.Config(input_size=16)),
        video_encoder(name="r2plus1d_18", num_frames=2),
    ],
    ids=["frame_difference", "r2plus1d_18"],
)
def test_an_encoder_compiles_as_one_graph(encoder: FrameEncoder) -> None:
    batch = frames(1, 2, encoder.input_size)
    expected = encoder(batch)
    encoder.compile(backend="eager", fullgraph=True)
    torch.testing.assert_close(encoder(batch), expected)
