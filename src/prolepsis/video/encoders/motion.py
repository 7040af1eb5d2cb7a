"""Streams of motion: what changed between a frame of a moment ago and that at the step's centre.

Both look back only, and both describe the motion on a coarse grid of the picture, so that where something
moves is not lost. They are streams to put beside a network of appearance (see `concatenation`).
"""

import math
from typing import Self

import torch
import torchvision
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from prolepsis.video.encoders import torchvision_networks as networks
from prolepsis.video.encoders.base import FrameEncoder, Normalisation, frame_pair, hash_weights

_WHERE = "prolepsis.frame_encoders: optical_flow"
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def _check_cells(cells: int, input_size: int) -> None:
    if cells > input_size:
        raise ValueError(f"cells: {cells} a side are more than the {input_size} pixels of input_size")


class FrameDifference(FrameEncoder):
    """How much brighter or darker each cell of a grid became, and how much changed in it at all."""

    class Config(BaseModel):
        """Between which moments, and how finely."""

        model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

        seconds: float = Field(default=0.1, gt=0, allow_inf_nan=False)
        """From the earlier frame to the step's centre."""
        cells: int = Field(default=8, ge=1)
        """Along each side of the grid."""
        input_size: int = Field(default=128, ge=8)
        """The side, in pixels, to which frames are scaled."""

        @model_validator(mode="after")
        def _check_grid(self) -> Self:
            _check_cells(self.cells, self.input_size)
            return self

    luma: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__(
            dimension=2 * config.cells**2,
            input_size=config.input_size,
            weights_sha256="",
            offsets=(-config.seconds, 0.0),
        )
        self._cells = config.cells
        self.register_buffer("luma", torch.tensor(_LUMA) / 255, persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """The mean difference of luminance (0 to 1) of each cell, then the mean absolute difference."""
        earlier, later = frame_pair(frames)
        difference = (later.float() - earlier.float()) @ self.luma
        maps = torch.stack([difference, difference.abs()], dim=1)
        return nn.functional.adaptive_avg_pool2d(maps, self._cells).flatten(1)


class OpticalFlow(FrameEncoder):
    """RAFT's optical flow as histograms of its directions (HOF), one for each cell of a grid.

    RAFT: Teed and Deng 2020; HOF: Laptev et al. 2008. A pixel's flow counts, by its length, for the two
    directions nearest to its own. Lengths are in sides of the picture a second, so that neither the scaling
    nor `seconds` changes the scale of the features.
    """

    class Config(networks.NetworkConfig):
        """Which network, with which weights, between which moments, and how finely."""

        name: str = "raft_small"
        """`raft_small` or `raft_large`."""
        seconds: float = Field(default=0.1, gt=0, allow_inf_nan=False)
        """From the earlier frame to the step's centre."""
        updates: int = Field(default=12, ge=1)
        """How often the flow is refined."""
        cells: int = Field(default=4, ge=1)
        """Along each side of the grid."""
        directions: int = Field(default=8, ge=2)
        """Of the histogram of each cell; the first is to the right, the next ones turn downwards."""
        input_size: int = Field(default=256, ge=128, multiple_of=8)
        """The side, in pixels, to which frames are scaled."""

        @model_validator(mode="after")
        def _check_grid(self) -> Self:
            _check_cells(self.cells, self.input_size)
            return self

    def __init__(self, config: Config) -> None:
        known = torchvision.models.list_models(module=torchvision.models.optical_flow)
        networks.check_name(config.name, known, "network of optical flow", _WHERE)
        weights = networks.find_weights(config.name, config.weights, _WHERE)
        network = networks.build(config.name, weights, config.seed)
        super().__init__(
            dimension=config.directions * config.cells**2,
            input_size=config.input_size,
            weights_sha256=hash_weights(network),
            offsets=(-config.seconds, 0.0),
        )
        self.config = config
        self.network = network.eval().to(memory_format=torch.channels_last)
        self.network.requires_grad_(False)
        self.normalise = Normalisation(config.input_size, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

    def forward(self, frames: Tensor) -> Tensor:
        return flow_histograms(self.flow(frames), self.config.directions, self.config.cells)

    def flow(self, frames: Tensor) -> Tensor:
        """`[B, 2, H, W, 3]` to the flow from the first to the second, `[B, 2, S, S]`, right and down."""
        earlier, later = (self.normalise(frame) for frame in frame_pair(frames))
        # RAFT follows positions to fractions of a pixel over many updates: half precision loses them.
        with torch.autocast(frames.device.type, enabled=False):
            flow: Tensor = self.network(earlier, later, num_flow_updates=self.config.updates)[-1]
        return flow / (self.input_size * self.config.seconds)


def flow_histograms(flow: Tensor, directions: int, cells: int) -> Tensor:
    """Flow `[B, 2, H, W]` to the mean length by direction of each cell, `[B, directions * cells ** 2]`.

    A vector's length is shared between the two nearest directions, in proportion to how near they are.
    """
    length = torch.linalg.vector_norm(flow, dim=1)
    turn = torch.atan2(flow[:, 1], flow[:, 0]) * (directions / (2 * math.pi))
    bins = torch.arange(directions, device=flow.device, dtype=flow.dtype).view(1, -1, 1, 1)
    apart = (turn.unsqueeze(1) - bins).remainder(directions)
    nearness = 1 - torch.minimum(apart, directions - apart)
    maps = length.unsqueeze(1) * nearness.clamp_(min=0)
    return nn.functional.adaptive_avg_pool2d(maps, cells).flatten(1)
