"""What a frame encoder is, and the part that all encoders of single images share.

An encoder looks at whole frames, squeezed to its square input, and never at a crop: the action is often at
the edge, and on TVSeries a centre crop cost TRN eight points of calibrated precision
(https://github.com/xumingze0308/TRN.pytorch/issues/17).
"""

import hashlib
from collections.abc import Sequence
from typing import ClassVar, Protocol, Self

import torch
from pydantic import BaseModel
from torch import Tensor, nn


class FrameEncoder(Protocol):
    """The contract of a plugin of the group `prolepsis.frame_encoders`; it is built as `cls(cls.Config())`.

    Attributes:
        dimension: D, the length of a feature vector.
        input_size: the side, in pixels, of the square that the network looks at.
        weights_sha256: changes whenever the network's weights do.
    """

    Config: ClassVar[type[BaseModel]]

    dimension: int
    input_size: int
    weights_sha256: str

    def to(self, device: torch.device) -> Self: ...

    def prepare(self, frames: Tensor) -> Tensor:
        """RGB frames, uint8 [B, H, W, 3], to what the network reads, on the device where they are."""
        ...

    def encode(self, batch: Tensor) -> Tensor:
        """What `prepare` gave, to feature vectors, float32 [B, D]."""
        ...


class ImageEncoder(nn.Module):
    """A frozen image network that encodes each frame alone.

    Args:
        network: [B, 3, S, S] to [B, D]; it is put in evaluation mode.
        mean, std: of the network's training images, for channels from 0 to 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        dimension: int,
        input_size: int,
        mean: Sequence[float],
        std: Sequence[float],
        weights_sha256: str,
    ) -> None:
        super().__init__()
        self.network = network.eval().to(memory_format=torch.channels_last)
        self.network.requires_grad_(False)
        self.dimension = dimension
        self.input_size = input_size
        self.weights_sha256 = weights_sha256
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def prepare(self, frames: Tensor) -> Tensor:
        """uint8 [B, H, W, 3] to normalised float32 [B, 3, S, S]."""
        if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
            raise ValueError(f"frames are uint8 [B, H, W, 3], not {frames.dtype} {list(frames.shape)}")
        # Interleaved channels are the channels-last layout already: this moves no pixel.
        batch = frames.permute(0, 3, 1, 2).float()
        size = (self.input_size, self.input_size)
        if batch.shape[-2:] != size:
            batch = nn.functional.interpolate(batch, size, mode="bilinear", antialias=True)
        return batch.sub_(self.mean).div_(self.std)

    @torch.inference_mode()
    def encode(self, batch: Tensor) -> Tensor:
        """[B, 3, S, S] to float32 [B, D]."""
        features: Tensor = self.network(batch)
        return features.float()


def hash_weights(network: nn.Module) -> str:
    """The SHA-256 of all weights and buffers with their names, in hexadecimal."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
