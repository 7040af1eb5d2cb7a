"""Encoders give what their networks give; extraction gives it in order, in batches, and never runs ahead."""

import itertools
import threading
import urllib.error
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from torch import nn

from prolepsis import plugins
from prolepsis.errors import ProlepsisError
from prolepsis.video.encoders import clips, extraction
from prolepsis.video.encoders.base import FrameEncoder
from prolepsis.video.encoders.efficientnet_lite import EfficientNetLite0, load_pretrained
from prolepsis.video.encoders.extraction import STAGES, Clock, Decoding, VideoSteps, batch_of_clips
from prolepsis.video.encoders.torchvision_image import TorchvisionImageEncoder

pytestmark = pytest.mark.usefixtures("one_thread")

BARBELL, DUMBBELL, PARALLEL_BARS = 422, 543, 702  # classes of ImageNet


@pytest.fixture(scope="module")
def lite() -> EfficientNetLite0:
    return EfficientNetLite0(EfficientNetLite0.Config())


def frames(count: int, side: int = 224, length: int = 1, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, length, side, side, 3), dtype=torch.uint8, generator=generator)


def shuffle_net(**config: Any) -> TorchvisionImageEncoder:
    return TorchvisionImageEncoder(TorchvisionImageEncoder.Config(name="shufflenet_v2_x0_5", **config))


# EfficientNet-Lite0


def test_lite0_has_the_published_size(lite: EfficientNetLite0) -> None:
    assert sum(tensor.numel() for tensor in load_pretrained().parameters()) == 4_652_008
    assert (lite.dimension, lite.input_size) == (1280, 224)
    assert lite(frames(2)).shape == (2, 1280)


def test_folding_for_inference_keeps_the_features(lite: EfficientNetLite0) -> None:
    batch = frames(3)
    normalised = lite.normalise(batch[:, 0])
    with torch.inference_mode():
        expected = load_pretrained().extract_features(normalised.contiguous()).mean((2, 3))
    torch.testing.assert_close(lite(batch), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("video", "classes"),
    [("v_GGSY1Qvo990.mp4", {BARBELL, DUMBBELL}), ("mma_structuralize.mp4", {PARALLEL_BARS})],
)
def test_lite0_knows_what_real_frames_show(
    lite: EfficientNetLite0, shared_data: Path, video: str, classes: set[int]
) -> None:
    with av.open(str(shared_data / "videos" / video)) as container:
        decoded = itertools.islice(container.decode(video=0), 90, 200, 30)
        shown = [frame.to_ndarray(format="rgb24") for frame in decoded]
    features = lite(torch.from_numpy(np.stack(shown)).unsqueeze(1))
    with torch.inference_mode():
        best = load_pretrained()._fc(features).argmax(1).tolist()
    assert set(best) <= classes


def test_lite0_frames_are_scaled_to_minus_one_and_one(lite: EfficientNetLite0) -> None:
    black, white = torch.zeros(1, 224, 224, 3, dtype=torch.uint8), torch.full((1, 224, 224, 3), 255)
    assert lite.normalise(black).unique().tolist() == [-1.0]
    assert lite.normalise(white.byte()).unique().tolist() == [1.0]


def test_a_frame_of_another_size_is_squeezed_whole(lite: EfficientNetLite0) -> None:
    wide = torch.zeros(1, 120, 400, 3, dtype=torch.uint8)
    wide[:, :, :100] = 255  # the left quarter
    batch = lite.normalise(wide)
    assert batch.shape == (1, 3, 224, 224)
    torch.testing.assert_close(batch[..., :50], torch.ones(1, 3, 224, 50))
    torch.testing.assert_close(batch[..., 62:], -torch.ones(1, 3, 224, 162))


def test_preparing_moves_no_pixel_of_a_batch_that_has_the_size(lite: EfficientNetLite0) -> None:
    assert lite.normalise(frames(2)[:, 0]).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (torch.zeros(1, 1, 224, 224, 3), "uint8"),
        (torch.zeros(1, 224, 224, 3).byte(), r"\[B, 1, H, W, 3\]"),
        (frames(1, 32, length=2), r"\[B, 1, H, W, 3\]"),
    ],
)
def test_frames_of_another_kind_are_refused(
    lite: EfficientNetLite0, wrong: torch.Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        lite(wrong)


def test_a_frames_features_do_not_depend_on_its_batch(lite: EfficientNetLite0) -> None:
    batch = frames(3)
    torch.testing.assert_close(lite(batch)[1:2], lite(batch[1:2]), atol=1e-4, rtol=1e-4)


# torchvision


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "alexnet", "densenet121"])
def test_the_last_linear_layer_of_a_network_reads_the_features(name: str) -> None:
    import torchvision

    encoder = TorchvisionImageEncoder(TorchvisionImageEncoder.Config(name=name, weights=None, seed=3))
    torch.manual_seed(3)
    classifier = torchvision.models.get_model(name, weights=None).eval()
    last = [module for module in classifier.modules() if isinstance(module, nn.Linear)][-1]
    features = encoder(frames(1))
    assert features.shape == (1, encoder.dimension)
    batch = encoder.normalise(frames(1)[:, 0])
    with torch.inference_mode():
        torch.testing.assert_close(last(features), classifier(batch), atol=1e-4, rtol=1e-4)


def test_a_network_that_ends_in_a_convolution_is_refused() -> None:
    with pytest.raises(ProlepsisError, match="does not end in a linear layer"):
        TorchvisionImageEncoder(TorchvisionImageEncoder.Config(name="squeezenet1_1", weights=None))


def test_a_random_network_is_the_same_for_the_same_seed_and_leaves_the_generator_alone() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    hashes = [shuffle_net(weights=None, seed=seed).weights_sha256 for seed in (1, 1, 2)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert torch.equal(before, torch.random.get_rng_state())


def test_weights_are_read_from_the_torch_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    weights = torchvision.models.get_model_weights("shufflenet_v2_x0_5")["IMAGENET1K_V1"]
    torch.manual_seed(11)
    classifier = torchvision.models.shufflenet_v2_x0_5(weights=None).eval()
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(classifier.state_dict(), folder / Path(weights.url).name)
    encoder = shuffle_net(weights="IMAGENET1K_V1")
    batch = encoder.normalise(frames(1)[:, 0])
    assert batch.amax() <= (1 - 0.406) / 0.225 + 1e-5  # normalised as the weights say
    with torch.inference_mode():
        torch.testing.assert_close(classifier.fc(encoder(frames(1))), classifier(batch))


def test_weights_that_cannot_be_downloaded_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "urlopen", no_network)
    with pytest.raises(ProlepsisError, match="cannot be downloaded.*no network") as error:
        shuffle_net(weights="DEFAULT")
    assert str(tmp_path) in str(error.value.remedy)


def test_unknown_networks_and_weights_are_answered_with_the_nearest() -> None:
    with pytest.raises(ProlepsisError, match="no image classifier 'resnet5'") as error:
        TorchvisionImageEncoder(TorchvisionImageEncoder.Config(name="resnet5"))
    assert "Did you mean 'resnet50'?" in str(error.value)
    with pytest.raises(ProlepsisError, match="no weights 'IMAGENET1K_V7'") as error:
        shuffle_net(weights="IMAGENET1K_V7")
    assert "Did you mean 'IMAGENET1K_V1'?" in str(error.value)


def test_an_unknown_encoder_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ProlepsisError, match="no plugin 'efficientnet_lite1'") as error:
        plugins.load("prolepsis.frame_encoders", "efficientnet_lite1")
    assert "efficientnet_lite0" in str(error.value)


# Extraction


class MeanColour(FrameEncoder):
    """The frames' mean red, green and blue: an encoder whose answer is known."""

    def __init__(self, offsets: tuple[float, ...] = (0.0,)) -> None:
        super().__init__(dimension=3 * len(offsets), input_size=8, weights_sha256="", offsets=offsets)
        self.batches: list[int] = []

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(frames))
        return frames.float().mean((2, 3)).flatten(1)


def painted(
    path: Path, times: list[float], size: tuple[int, int], rate: float | None = None
) -> Iterator[np.ndarray]:
    """Frames whose red tells the video and whose green tells the time, in tenths of a second."""
    for moment in times:
        yield np.full((*size, 3), (int(path.name), round(10 * moment), 0), dtype=np.uint8)


def extract(videos: list[VideoSteps], encoder: Any, **options: Any) -> Any:
    defaults = {"rate": 5.0, "batch_size": 4, "decoding": Decoding(2)}
    return extraction.extract_features(
        videos, encoder, device=torch.device("cpu"), precision=torch.float32, **(defaults | options)
    )


VIDEOS = [VideoSteps(f"v{i}", Path(str(i)), steps) for i, steps in enumerate((3, 1, 6, 5))]


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_features_come_in_order_whatever_the_number_of_threads(threads: int) -> None:
    encoder, clock = MeanColour(), Clock()
    found: dict[str, list[list[float]]] = {}
    for video, features in extract(VIDEOS, encoder, decoding=Decoding(threads, painted), clock=clock):
        found.setdefault(video, []).extend(features.tolist())
    assert list(found) == ["v0", "v1", "v2", "v3"]
    for i, steps in enumerate((3, 1, 6, 5)):
        # Step k of five a second is what is shown at (k + 0.5) / 5 s.
        assert found[f"v{i}"] == [[i, 2 * k + 1, 0] for k in range(steps)]
    assert encoder.batches == [4, 4, 4, 3]
    assert clock.steps == 15
    assert clock.frames_per_second > 0
    assert set(clock.stage_rates) == set(STAGES)
    assert clock.limit in clock.report()


def test_a_video_that_breaks_stops_the_extraction_with_its_own_error() -> None:
    def breaks(
        path: Path, times: list[float], size: tuple[int, int], rate: float | None = None
    ) -> Iterator[np.ndarray]:
        yield from painted(path, times[:2], size)
        if path.name == "2":
            raise ProlepsisError("This video is broken.", where=path)
        yield from painted(path, times[2:], size)

    with pytest.raises(ProlepsisError, match="This video is broken"):
        list(extract(VIDEOS, MeanColour(), decoding=Decoding(2, breaks)))


def test_the_decoder_reads_a_bounded_number_of_frames_ahead_and_ends_with_its_reader() -> None:
    given = []

    def counted(
        path: Path, times: list[float], size: tuple[int, int], rate: float | None = None
    ) -> Iterator[np.ndarray]:
        for frame in painted(path, times, size):
            given.append(path)
            yield frame

    blocks = extract([VideoSteps("long", Path("0"), 100_000)], MeanColour(), decoding=Decoding(1, counted))
    for _ in range(5):
        next(blocks)
    # Five batches; two encoded, one in work, one being put together; two decoded and a frame in hand.
    assert len(given) <= 5 * 4 + 4 * 4 + 2 * 4 + 1
    blocks.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("decoder", "encoder"))]


def test_a_clip_has_the_frames_at_its_offsets_and_none_before_the_first() -> None:
    encoder = MeanColour((-0.4, -0.1, 0.2))
    blocks = list(extract([VideoSteps("v", Path("0"), 5)], encoder, decoding=Decoding(2, painted_by_tenths)))
    tenths = np.concatenate([features for _, features in blocks]).reshape(5, 3, 3)[..., 1]
    # Steps at 0.1, 0.3, ... 0.9 s.
    assert tenths.tolist() == [[0, 0, 3], [0, 2, 5], [1, 4, 7], [3, 6, 9], [5, 8, 11]]


def test_a_frame_that_clips_share_is_held_once() -> None:
    centres, offsets = np.array([0.4, 0.6, 0.8]), (-0.4, -0.2, 0.0)
    found = list(clips.clips_at(Path("0"), centres, offsets, (4, 4), frames_at=painted_by_tenths))
    assert found[0][1] is not found[0][2]
    assert found[0][2] is found[1][1] is found[2][0]
    batch = batch_of_clips(found, torch.device("cpu"))
    assert batch.shape == (3, 3, 4, 4, 3)
    assert batch[..., 1].float().mean((2, 3)).tolist() == [[0, 2, 4], [2, 4, 6], [4, 6, 8]]
    on_device = {id(frame): torch.from_numpy(frame) for clip in found for frame in clip}
    tensors = [tuple(on_device[id(frame)] for frame in clip) for clip in found]
    assert batch_of_clips(tensors, torch.device("cpu")).equal(batch)


def painted_by_tenths(
    path: Path, times: Any, size: tuple[int, int], rate: float | None = None
) -> Iterator[np.ndarray]:
    """Ten frames a second whose green is their number; a frame is one array however often it is asked for."""
    shown: dict[int, np.ndarray] = {}
    for moment in times:
        tenth = max(0, int(10 * moment + 1e-6))
        yield shown.setdefault(tenth, np.full((*size, 3), (0, tenth, 0), dtype=np.uint8))


def test_the_frame_on_show_at_each_steps_centre_is_encoded(tmp_path: Path) -> None:
    path = tmp_path / "grey.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25))
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for i in range(50):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 5 * i, dtype=np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    blocks = list(extract([VideoSteps("grey", path, 12)], MeanColour(), rate=6.25))
    grey = np.concatenate([features for _, features in blocks]).mean(1)
    # Step k lies at 0.16 k + 0.08 s, where frame 4 k + 2 begins to show.
    np.testing.assert_allclose(grey, [5 * (4 * k + 2) for k in range(12)], atol=2.4)
