"""The baseline that sees no time: a linear classifier of each frame's features by themselves."""

from typing import ClassVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from prolepsis.action.detectors.base import Detector, DetectorOutput, State, StepOutput


class FrameOnlyConfig(BaseModel):
    """A linear classifier has nothing to set; how strongly it is regularised is a matter of its training."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FrameOnly(Detector):
    """Multinomial logistic regression per frame. What a temporal model gains, it gains over this."""

    Config: ClassVar[type[BaseModel]] = FrameOnlyConfig

    def __init__(self, config: FrameOnlyConfig, *, input_size: int, num_classes: int) -> None:
        super().__init__(input_size=input_size, num_classes=num_classes)
        self.classifier = nn.Linear(input_size, num_classes)

    def forward(self, features: Tensor, mask: Tensor) -> DetectorOutput:
        scores = torch.where(mask.unsqueeze(-1), self.classifier(features), 0.0)
        return DetectorOutput(scores, None)

    def initial_state(self, batch_size: int) -> State:
        return {}

    def step(self, feature: Tensor, state: State) -> StepOutput:
        return StepOutput(self.classifier(feature), None, state)
