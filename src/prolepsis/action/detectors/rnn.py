"""A recurrent network over frame features: the temporal baseline of every paper of this field."""

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from prolepsis.action.detectors.base import Detector, DetectorOutput, State, StepOutput
from prolepsis.training.dropout import Dropout

_CELLS: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class RNNConfig(BaseModel):
    """By default the LSTM that TRN's paper (section 4) compares with: as wide as TRN itself."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    cell: Literal["rnn", "lstm", "gru"] = "lstm"
    """The kind of recurrent cell."""
    hidden_size: int = Field(4096, ge=1)
    """Width of the cell's state."""
    num_layers: int = Field(1, ge=1)
    """Cells stacked on one another."""
    projection_size: int | None = Field(None, ge=1)
    """Width of a linear layer with ReLU before the cell; none without a number."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of values set to zero in training, of the cell's input and of the classifier's."""


class RNN(Detector):
    """Vanilla RNN, LSTM or GRU, then a linear classifier of each hidden state."""

    Config: ClassVar[type[BaseModel]] = RNNConfig

    def __init__(self, config: RNNConfig, *, input_size: int, num_classes: int) -> None:
        super().__init__(input_size=input_size, num_classes=num_classes)
        width = config.projection_size or input_size
        self.projection = (
            nn.Sequential(nn.Linear(input_size, width), nn.ReLU())
            if config.projection_size
            else nn.Identity()
        )
        self.cell = _CELLS[config.cell](width, config.hidden_size, config.num_layers, batch_first=True)
        self.dropout = Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden_size, num_classes)

    def forward(self, features: Tensor, mask: Tensor) -> DetectorOutput:
        # The padding comes last, so nothing that is kept depends on it.
        hidden, _ = self.cell(self.dropout(self.projection(features)))
        scores = self.classifier(self.dropout(hidden))
        return DetectorOutput(torch.where(mask.unsqueeze(-1), scores, 0.0), None)

    def initial_state(self, batch_size: int) -> State:
        weight = self.classifier.weight
        zeros = weight.new_zeros(batch_size, self.cell.num_layers, self.cell.hidden_size)
        return {"hidden": zeros, "cell": zeros} if isinstance(self.cell, nn.LSTM) else {"hidden": zeros}

    def step(self, feature: Tensor, state: State) -> StepOutput:
        # torch keeps the layers first; a state of ours keeps the streams first.
        hidden = state["hidden"].transpose(0, 1).contiguous()
        inputs = self.dropout(self.projection(feature)).unsqueeze(1)
        if isinstance(self.cell, nn.LSTM):
            cell = state["cell"].transpose(0, 1).contiguous()
            output, (hidden, cell) = self.cell(inputs, (hidden, cell))
            after = {"hidden": hidden.transpose(0, 1), "cell": cell.transpose(0, 1)}
        else:
            output, hidden = self.cell(inputs, hidden)
            after = {"hidden": hidden.transpose(0, 1)}
        return StepOutput(self.classifier(self.dropout(output[:, 0])), None, after)
