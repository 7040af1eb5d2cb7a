"""Any video classifier of torchvision, by name, without its last layer: a clip for each step.

A clip has the length and the frame rate that the published accuracy was measured with, the size, mean and
std of the weights, and is shown whole (see `base`). It ends at the step's centre: online detection may not
look ahead, and a clip around the centre would. `look_ahead: true` puts the centre in the clip's middle, as
offline work does; what is detected with such features is not online any more by half a clip.
"""

import torch
import torchvision
from pydantic import Field
from torch import Tensor, nn

from prolepsis.errors import ProlepsisError
from prolepsis.video.encoders import torchvision_networks as networks
from prolepsis.video.encoders.base import FrameEncoder, Normalisation, hash_weights

_WHERE = "prolepsis.frame_encoders: torchvision_video"

# Frames of a clip and frames a second, as torchvision states them beside the accuracy of each network.
_CLIPS = {
    "mc3_18": (16, 15.0),
    "mvit_v1_b": (16, 7.5),
    "mvit_v2_s": (16, 7.5),
    "r2plus1d_18": (16, 15.0),
    "r3d_18": (16, 15.0),
    "s3d": (128, 15.0),
    "swin3d_b": (32, 15.0),
    "swin3d_s": (32, 15.0),
    "swin3d_t": (32, 15.0),
}
_FIXED_LENGTH = ("mvit_v1_b", "mvit_v2_s")  # whose positions are learned for each frame of the clip


class TorchvisionVideoEncoder(FrameEncoder):
    """The clip that ends at each step to the input of a torchvision video classifier's last layer."""

    class Config(networks.NetworkConfig):
        """Which network, with which weights, over which clip."""

        name: str = "r2plus1d_18"
        """Of the network's builder in `torchvision.models.video`."""
        num_frames: int | None = Field(default=None, ge=1)
        """Of a clip; null for what the network was measured with (16, swin3d 32, s3d 128)."""
        frame_rate: float | None = Field(default=None, gt=0)
        """Frames of a clip a second; null for what the network was measured with (15, mvit 7.5)."""
        look_ahead: bool = False
        """Whether the step's centre is in the middle of the clip instead of at its end."""

    def __init__(self, config: Config) -> None:
        networks.check_name(config.name, sorted(_CLIPS), "video classifier", _WHERE)
        published = torchvision.models.get_model_weights(config.name).DEFAULT
        weights = networks.find_weights(config.name, config.weights, _WHERE)
        num_frames, frame_rate = _CLIPS[config.name]
        num_frames, frame_rate = config.num_frames or num_frames, config.frame_rate or frame_rate
        _check_length(config.name, num_frames, published.meta.get("min_temporal_size", 1))
        network = networks.build(config.name, weights, config.seed)
        weights_sha256 = hash_weights(network)
        dimension = networks.remove_last_layer(network, config.name, (nn.Linear, nn.Conv3d), _WHERE)
        preset = (weights or published).transforms()
        super().__init__(
            dimension=dimension,
            input_size=preset.crop_size[0],
            weights_sha256=weights_sha256,
            offsets=clip_offsets(num_frames, frame_rate, look_ahead=config.look_ahead),
        )
        self.network = network.eval().to(memory_format=torch.channels_last_3d)
        self.network.requires_grad_(False)
        self.normalise = Normalisation(self.input_size, preset.mean, preset.std)

    def forward(self, frames: Tensor) -> Tensor:
        features: Tensor = self.network(self.normalise(frames).transpose(1, 2))
        return features.float()


def clip_offsets(num_frames: int, frame_rate: float, *, look_ahead: bool) -> tuple[float, ...]:
    """Seconds from a step's centre to each frame of its clip: up to the centre, or as far after as before."""
    behind = (num_frames - 1) / (2 if look_ahead else 1)
    return tuple((frame - behind) / frame_rate for frame in range(num_frames))


def _check_length(name: str, num_frames: int, least: int) -> None:
    fixed = name in _FIXED_LENGTH and num_frames != least
    if fixed or num_frames < least:
        raise ProlepsisError(
            f"{name} takes clips of {'' if fixed else 'at least '}{least} frames, not of {num_frames}.",
            where=f"{_WHERE}: num_frames",
        )
