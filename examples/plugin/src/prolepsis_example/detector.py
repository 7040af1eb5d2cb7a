"""A detector that remembers by moving averages: no recurrent network, and still it sees time."""

from typing import ClassVar

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from prolepsis.action.detectors.base import Detector, DetectorOutput, State, StepOutput


class MovingAverageConfig(BaseModel):
    """How far back the detector remembers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    time_constants: tuple[float, ...] = Field((2.0, 8.0, 32.0), description="of the averages, in steps")


class MovingAverage(Detector):
    """A linear classifier of the frame and of exponential moving averages of all frames so far."""

    Config: ClassVar[type[BaseModel]] = MovingAverageConfig

    decay: Tensor

    def __init__(self, config: MovingAverageConfig, *, input_size: int, num_classes: int) -> None:
        super().__init__(input_size=input_size, num_classes=num_classes)
        decay = torch.exp(-1 / torch.tensor(config.time_constants))
        self.register_buffer("decay", decay.unsqueeze(-1))  # [M, 1]
        self.classifier = nn.Linear(input_size * (1 + len(config.time_constants)), num_classes)

    def forward(self, features: Tensor, mask: Tensor) -> DetectorOutput:
        state = self.initial_state(len(features))
        steps = []
        for feature in features.unbind(dim=1):
            scores, _, state = self.step(feature, state)
            steps.append(scores)
        return DetectorOutput(torch.stack(steps, dim=1) * mask.unsqueeze(-1), None)

    def initial_state(self, batch_size: int) -> State:
        size = (batch_size, len(self.decay), self.input_size)
        return {"averages": self.classifier.weight.new_zeros(size)}

    def step(self, feature: Tensor, state: State) -> StepOutput:
        averages = self.decay * state["averages"] + (1 - self.decay) * feature.unsqueeze(1)  # [B, M, D]
        scores = self.classifier(torch.cat([feature, averages.flatten(1)], dim=1))
        return StepOutput(scores, None, {"averages": averages})
