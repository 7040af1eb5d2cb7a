"""What a frame encoder is, and the parts that encoders share.

An encoder looks at whole frames, squeezed to its square input, and never at a crop: the action is often at
the edge, and on TVSeries a centre crop cost TRN eight points of calibrated precision
(https://github.com/xumingze0308/TRN.pytorch/issues/17).
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import BaseModel
from torch import Tensor, nn


class FrameEncoder(nn.Module, ABC):
    """The contract of a plugin of the group `prolepsis.frame_encoders`; it is built as `cls(cls.Config())`.

    Args:
        dimension: D, the length of a feature vector.
        input_size: the side, in pixels, of the square to which frames are scaled as they are decoded.
        weights_sha256: changes whenever the network's weights do.
        offsets: the K frames of a step, ascending: the seconds from the step's centre at which each is taken.
            None above zero looks at what a live video has not shown yet.
    """

    Config: ClassVar[type[BaseModel]]

    def __init__(
        self,
        *,
        dimension: int,
        input_size: int,
        weights_sha256: str,
        offsets: Sequence[float] = (0.0,),
    ) -> None:
        super().__init__()
        self.dimension = dimension
        self.input_size = input_size
        self.weights_sha256 = weights_sha256
        self.offsets = tuple(offsets)

    @abstractmethod
    def forward(self, frames: Tensor) -> Tensor:
        """RGB frames, uint8 `[B, K, H, W, 3]`, to feature vectors, float32 `[B, D]`, on the same device."""


class Normalisation(nn.Module):
    """Frames to what a network was trained on: a size, and channels of mean zero and spread one.

    Args:
        size: the side of the square.
        mean, std: of the network's training images, for channels from 0 to 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, size: int, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """uint8 `[..., H, W, 3]` to float32 `[..., 3, S, S]`."""
        if frames.dtype != torch.uint8 or frames.ndim < 4 or frames.shape[-1] != 3:
            raise ValueError(f"frames are uint8 [..., H, W, 3], not {frames.dtype} {list(frames.shape)}")
        images = frames.flatten(0, -4)
        # Interleaved channels are the channels-last layout already: this moves no pixel.
        images = images.permute(0, 3, 1, 2).float()
        size = (self.size, self.size)
        if images.shape[-2:] != size:
            images = nn.functional.interpolate(images, size, mode="bilinear", antialias=True)
        images = images.sub_(self.mean).div_(self.std)
        return images.view(*frames.shape[:-3], *images.shape[1:])


class ImageEncoder(FrameEncoder):
    """A frozen image network that encodes the frame at each step's centre.

    Frames are scaled bilinearly, whatever interpolation the network was trained with: decoders scale them so.

    Args:
        network: [B, 3, S, S] to [B, D]; it is put in evaluation mode.
        mean, std: of the network's training images, for channels from 0 to 1.
        network_size: S, if it is another than that at which frames are decoded; None for `input_size`.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        dimension: int,
        input_size: int,
        mean: Sequence[float],
        std: Sequence[float],
        weights_sha256: str,
        network_size: int | None = None,
    ) -> None:
        super().__init__(dimension=dimension, input_size=input_size, weights_sha256=weights_sha256)
        self.network = network.eval().to(memory_format=torch.channels_last)
        self.network.requires_grad_(False)
        self.normalise = Normalisation(network_size or input_size, mean, std)

    def forward(self, frames: Tensor) -> Tensor:
        features: Tensor = self.network(self.normalise(only_frame(frames)))
        return features.float()


def only_frame(frames: Tensor) -> Tensor:
    """`[B, 1, H, W, 3]` to `[B, H, W, 3]`."""
    if frames.ndim != 5 or frames.shape[1] != 1:
        raise ValueError(f"an image encoder takes [B, 1, H, W, 3], not {list(frames.shape)}")
    return frames.squeeze(1)


def frame_pair(frames: Tensor) -> tuple[Tensor, Tensor]:
    """`[B, 2, H, W, 3]` to the earlier and the later frame, each `[B, H, W, 3]`."""
    if frames.ndim != 5 or frames.shape[1] != 2:
        raise ValueError(f"an encoder of motion takes [B, 2, H, W, 3], not {list(frames.shape)}")
    return frames[:, 0], frames[:, 1]


def hash_weights(network: nn.Module) -> str:
    """The SHA-256 of all weights and buffers with their names, in hexadecimal."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
