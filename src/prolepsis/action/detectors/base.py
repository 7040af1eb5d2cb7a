"""What an action detector is: one causal model with two ways in, a whole video at once or step by step.

A plugin is a subclass of `Detector` with a `Config`, built as `cls(cls.Config(...), input_size=D,
num_classes=C)`. Both ways give the same scores (to float32 rounding), which the tests hold every detector to.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import ClassVar, NamedTuple

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from prolepsis.action.losses import soft_cross_entropy

State = dict[str, Tensor]
"""What a detector remembers of a stream: tensors with the batch first, of a size that does not grow."""


@dataclass(frozen=True)
class DetectorOutput:
    """Logits for whole videos.

    Attributes:
        scores: `[B, T, C]`, what goes on at each step. Zero where the mask is False.
        anticipation: `[B, T, F, C]`; element f of step k is about step k+1+f. None where a detector does
            not look ahead.
    """

    scores: Tensor
    anticipation: Tensor | None


class StepOutput(NamedTuple):
    """Logits of one step of B streams, `scores [B, C]` and `anticipation [B, F, C]`, and the next state."""

    scores: Tensor
    anticipation: Tensor | None
    state: State


@dataclass(frozen=True)
class WindowBatch:
    """Pieces of videos to learn from. A piece has T steps; labels reach F = `Detector.horizon` steps further.

    Attributes:
        features: `[B, T, D]`, zero where there is no step.
        mask: bool `[B, T]`, whether the step exists.
        labels: `[B, T+F, C]`, multi-hot.
        valid: bool `[B, T+F]`, whether the step exists and has a label that counts (it is not ignored).
        scored: bool `[B, T]`, the steps whose predictions enter the loss; the others only give context.
    """

    features: Tensor
    mask: Tensor
    labels: Tensor
    valid: Tensor
    scored: Tensor

    def to(self, device: torch.device) -> "WindowBatch":
        """The same batch on another device."""
        return WindowBatch(*(getattr(self, field.name).to(device) for field in fields(self)))


class Detector(nn.Module, ABC):
    """Features of B videos in, logits of C classes out; class 0 is the background.

    Attributes:
        Config: the detector's own settings, the paper's by default.
        context: how many steps before a scored one a training window must also hold. 0 for a detector
            that carries a state from the window's start.
        horizon: how many steps after the current one the training targets reach.
    """

    Config: ClassVar[type[BaseModel]]
    context: int = 0
    horizon: int = 0

    def __init__(self, *, input_size: int, num_classes: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.num_classes = num_classes

    @abstractmethod
    def forward(self, features: Tensor, mask: Tensor) -> DetectorOutput:
        """Scores whole videos, each from its start.

        Args:
            features: `[B, T, D]`, padded at the end.
            mask: bool `[B, T]`, True where a step exists. What the padding holds changes nothing.
        """

    @abstractmethod
    def initial_state(self, batch_size: int) -> State:
        """The state before the first step of `batch_size` streams, on the device of the weights."""

    @abstractmethod
    def step(self, feature: Tensor, state: State) -> StepOutput:
        """Takes in the next step of every stream, `feature [B, D]`. The state given is left as it was."""

    def loss(self, batch: WindowBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The training loss and its parts by name. Here: cross entropy over the scored steps that count."""
        scores = self(batch.features, batch.mask).scores
        steps = scores.shape[1]
        loss = soft_cross_entropy(scores, batch.labels[:, :steps], batch.scored & batch.valid[:, :steps])
        return loss, {"detection_loss": loss.detach()}
