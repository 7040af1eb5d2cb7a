"""Several encoders side by side, as the papers put appearance beside flow: their features, one after another.

The video is decoded once, at the size of the largest; smaller ones scale the frames on the device. A frame
that several of them look at is converted once.
"""

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from prolepsis.video.encoders.base import FrameEncoder
from prolepsis.video.encoders.choice import EncoderChoice


class Concatenation(FrameEncoder):
    """The features of several encoders, one after another; the dimensions add up."""

    class Config(BaseModel):
        """Which encoders."""

        model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

        streams: tuple[EncoderChoice, ...] = Field(min_length=2)
        """A list of encoders, each with `plugin` and `config`, in the order of their features."""

    def __init__(self, config: Config) -> None:
        streams = [stream.build() for stream in config.streams]
        offsets = sorted({offset for stream in streams for offset in stream.offsets})
        super().__init__(
            dimension=sum(stream.dimension for stream in streams),
            input_size=max(stream.input_size for stream in streams),
            weights_sha256="+".join(stream.weights_sha256 for stream in streams),
            offsets=offsets,
        )
        self.streams = nn.ModuleList(streams)
        self._frames = [[offsets.index(offset) for offset in stream.offsets] for stream in streams]

    def forward(self, frames: Tensor) -> Tensor:
        chosen = (frames if len(own) == frames.shape[1] else frames[:, own] for own in self._frames)
        return torch.cat([stream(one) for stream, one in zip(self.streams, chosen, strict=True)], dim=1)
