"""MiniROAD (An et al., ICCV 2023), as its official code computes it: one GRU, learnt from the last step only.

Source: jbistanbul/MiniROAD, model/rnn/rnn.py, criterions/loss.py, datasets/dataset.py. At inference the GRU
runs on from a video's first step, so a step costs the same however long the video is. In training it runs
over windows, and only what it says of a window's last step is learnt from: so the state that is learnt from
has as much past as one has in a long stream.

Windows overlap almost wholly. What does not depend on the state, the embedding of a step and its share of the
gates, is computed once for all windows.
"""

from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from prolepsis.action.detectors.base import Detector, DetectorOutput, State, StepOutput, WindowBatch
from prolepsis.action.detectors.gru_windows import run_over_windows
from prolepsis.action.losses import soft_cross_entropy
from prolepsis.training.dropout import Dropout


class MiniROADConfig(BaseModel):
    """The sizes for THUMOS'14 by default."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    embedding_size: int = Field(2048, ge=1)
    """Width of a step's embedding."""
    hidden_size: int = Field(1024, ge=1)
    """Width of the GRU's state."""
    window_steps: int = Field(128, ge=1)
    """Steps over which the GRU runs, from a state of zeros, to what is learnt from."""
    training_passes: Literal["windows", "chunks"] = "windows"
    """A window for each step that is learnt from, as in the paper; or one pass over each piece of video, in
    which a step has at least the past of a window and mostly more."""
    normalised_targets: bool = False
    """Divide the targets of a step by their length, as the official code does: of two true classes each
    weighs 0.71."""
    ambiguous_class: bool = False
    """Learn ignored steps as a class of their own, as the official code does on THUMOS'14; its scores are
    dropped."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Share of the embeddings' values set to zero in training."""


class MiniROAD(Detector):
    """A linear embedding with LayerNorm, a GRU, and a linear classifier of its state."""

    Config: ClassVar[type[BaseModel]] = MiniROADConfig

    def __init__(self, config: MiniROADConfig, *, input_size: int, num_classes: int) -> None:
        super().__init__(input_size=input_size, num_classes=num_classes)
        self.config = config
        self.context = config.window_steps - 1
        self.embedding = nn.Sequential(
            nn.Linear(input_size, config.embedding_size),
            nn.LayerNorm(config.embedding_size),
            nn.ReLU(),
            Dropout(config.dropout),
        )
        self.cell = nn.GRU(config.embedding_size, config.hidden_size, batch_first=True)
        self.classifier = nn.Linear(config.hidden_size, num_classes + config.ambiguous_class)

    def forward(self, features: Tensor, mask: Tensor) -> DetectorOutput:
        # The padding comes last, so nothing that is kept depends on it.
        hidden, _ = self.cell(self.embedding(features))
        return DetectorOutput(torch.where(mask.unsqueeze(-1), self._scores(hidden), 0.0), None)

    def initial_state(self, batch_size: int) -> State:
        return {"hidden": self.classifier.weight.new_zeros(batch_size, self.config.hidden_size)}

    def step(self, feature: Tensor, state: State) -> StepOutput:
        gates = self._input_gates(self.embedding(feature))
        hidden = self._advance(gates, state["hidden"].to(gates.dtype))
        return StepOutput(self._scores(hidden), None, {"hidden": hidden})

    def loss(self, batch: WindowBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross entropy of the steps that are learnt from, each at the end of its window or in a chunk."""
        steps = batch.mask.shape[1]
        labels, valid = batch.labels[:, :steps], batch.valid[:, :steps]
        if self.config.ambiguous_class:
            ambiguous = (batch.mask & ~valid).unsqueeze(-1)
            labels = torch.cat([torch.where(ambiguous, 0.0, labels), ambiguous.to(labels.dtype)], dim=-1)
            valid = batch.mask
        if self.config.normalised_targets:
            labels = functional.normalize(labels, dim=-1)
        videos, ends = (batch.scored & valid).nonzero(as_tuple=True)
        if self.config.training_passes == "windows":
            hidden = self._over_windows(batch.features, videos, ends)
        else:
            hidden = self._over_chunks(batch.features, batch.mask)[videos, ends]
        scores = self.classifier(functional.relu(hidden))
        loss = soft_cross_entropy(scores, labels[videos, ends], torch.ones_like(videos, dtype=torch.bool))
        return loss, {"detection_loss": loss.detach()}

    def _over_windows(self, features: Tensor, videos: Tensor, ends: Tensor) -> Tensor:
        """The states `[N, H]` after the windows that end at the given steps; zero features before a piece."""
        missing = max(0, self.context - int(ends.min())) if len(ends) else 0
        gates = self._input_gates(self.embedding(functional.pad(features, (0, 0, missing, 0))))
        places = torch.arange(missing - self.context, missing + 1, device=ends.device).unsqueeze(1)
        rows = (videos * gates.shape[1] + ends + places).flatten()
        windows = gates.flatten(0, 1).index_select(0, rows).view(len(places), len(videos), -1)
        _, weight, _, bias = self._cell_parameters()
        return run_over_windows(windows, weight.to(gates.dtype), bias.to(gates.dtype))

    def _over_chunks(self, features: Tensor, mask: Tensor) -> Tensor:
        """The states `[B, T, H]` of one pass over each piece, from zeros at its first step."""
        hidden, _ = self.cell(self.embedding(features * mask.unsqueeze(-1)))
        states: Tensor = hidden
        return states

    def _input_gates(self, embedded: Tensor) -> Tensor:
        """What the embeddings and biases give to the gates, `[..., 3H]`."""
        weight, _, bias, _ = self._cell_parameters()
        return functional.linear(embedded, weight, bias)

    def _cell_parameters(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The weights of the inputs and of the state, and their biases."""
        weight_ih, weight_hh, bias_ih, bias_hh = self.cell.all_weights[0]
        return weight_ih, weight_hh, bias_ih, bias_hh

    def _advance(self, gates: Tensor, hidden: Tensor) -> Tensor:
        """torch's GRU cell from the inputs' share of its gates (reset, update, new)."""
        _, weight, _, bias = self._cell_parameters()
        ours = functional.linear(hidden, weight, bias)
        reset_in, update_in, new_in = gates.chunk(3, dim=-1)
        reset_own, update_own, new_own = ours.chunk(3, dim=-1)
        reset = torch.sigmoid(reset_in + reset_own)
        update = torch.sigmoid(update_in + update_own)
        new = torch.tanh(new_in + reset * new_own)
        return (1 - update) * new + update * hidden

    def _scores(self, hidden: Tensor) -> Tensor:
        scores: Tensor = self.classifier(functional.relu(hidden))
        return scores[..., : self.num_classes]
