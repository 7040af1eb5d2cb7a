"""IDN, the Information Discrimination Network (Eun et al., CVPR 2020), as its official code computes it.

Source: hjeun/idu, thumos14/model_IDU.py and the IDU cell in its patched recurrent.py. A recurrent cell runs
over a short window, and its gates look at the current step, the window's last one, so as to keep of the past
what belongs to it.

Because the gates depend on the current step, the cell must run over the whole window anew for every step.
What does not depend on it, the embedding of each step and its share of the gates, is computed once and kept:
a stream caches it, and whole videos and training batches gather windows of it.
"""

from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from prolepsis.action.detectors.base import Detector, DetectorOutput, State, StepOutput, WindowBatch
from prolepsis.action.losses import soft_cross_entropy
from prolepsis.training.dropout import Dropout

# Windows run at a time when whole videos are scored; bounds the memory.
_WINDOWS_AT_ONCE = 2048


class IDNConfig(BaseModel):
    """The sizes for THUMOS'14 and TVSeries by default."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    window_steps: int = Field(16, ge=2)
    """Steps in the window that ends with the step to classify."""
    embedding_size: int = Field(512, ge=1)
    """Width of a step's embedding."""
    hidden_size: int = Field(512, ge=1)
    """Width of the cell's state and of the layer before the classifier."""
    use_bias: bool = False
    """Biases in the gates and the candidate; the official code allocates them and never adds them."""
    gate_activation: Literal["hard_sigmoid", "sigmoid"] = "hard_sigmoid"
    """Of the gates: clip(0.2 x + 0.5, 0, 1) as in Keras, or the logistic function."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the embeddings' values set to zero in training."""
    embedding_weight: float = Field(0.3, ge=0)
    """What the classification of the embeddings and their contrast count beside the detection."""
    margin: float = Field(1.0, gt=0)
    """The squared distance from which on embeddings of different classes are far enough apart."""


class IDN(Detector):
    """Information Discrimination Network: a cell that sees the current step at every step before it.

    Before a video's start there are no steps; the first `window_steps` - 1 steps are scored by windows that
    are filled up on the left with zero features. The official evaluation leaves these out (protocol `idn`).
    """

    Config: ClassVar[type[BaseModel]] = IDNConfig

    def __init__(self, config: IDNConfig, *, input_size: int, num_classes: int) -> None:
        super().__init__(input_size=input_size, num_classes=num_classes)
        self.config = config
        self.context = config.window_steps - 1
        embedding, hidden = config.embedding_size, config.hidden_size
        self.embedding = nn.Linear(input_size, embedding)
        self.embedding_classifier = nn.Linear(embedding, num_classes)
        self.cell = IDUCell(
            embedding, hidden, use_bias=config.use_bias, gate_activation=config.gate_activation
        )
        self.hidden_layer = nn.Linear(hidden, hidden)
        self.classifier = nn.Linear(hidden, num_classes)
        self.dropout = Dropout(config.dropout)

    def forward(self, features: Tensor, mask: Tensor) -> DetectorOutput:
        steps, current = self._gates(self._with_left_padding(features))
        scores = features.new_zeros(*mask.shape, self.num_classes)
        for rows in torch.split(mask.nonzero(), _WINDOWS_AT_ONCE):
            videos, ends = rows.unbind(1)
            found = self._classify(self._windows(steps, videos, ends), current[videos, ends + self.context])
            scores[videos, ends] = found.to(scores.dtype)
        return DetectorOutput(scores, None)

    def initial_state(self, batch_size: int) -> State:
        nothing, _ = self._gates(self._embed(self.embedding.weight.new_zeros(1, self.input_size)))
        return {"window": nothing.expand(batch_size, self.config.window_steps, -1)}

    def step(self, feature: Tensor, state: State) -> StepOutput:
        gates, current = self._gates(self._embed(feature))
        window = torch.cat([state["window"][:, 1:], gates.unsqueeze(1)], dim=1)
        return StepOutput(self._classify(window, current), None, {"window": window})

    def loss(self, batch: WindowBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The detection at each window's last step; and `embedding_weight` times the sum of that by the
        embeddings of all its steps, that by the last one's, and the contrast of the others with the last.

        Embeddings of steps that share a class with the last are drawn to it, all others pushed off up to a
        margin (the paper's contrastive loss). A window whose last step is ignored is left out whole; ignored
        steps before it count in neither.
        """
        steps = batch.mask.shape[1]
        videos, ends = (batch.scored & batch.valid[:, :steps]).nonzero(as_tuple=True)
        embedded = self._with_left_padding(batch.features)
        gates, current = self._gates(embedded)
        scores = self._classify(self._windows(gates, videos, ends), current[videos, ends + self.context])
        truth = batch.labels[videos, ends]
        detection = soft_cross_entropy(scores, truth, torch.ones_like(videos, dtype=torch.bool))

        labels = functional.pad(batch.labels[:, :steps], (0, 0, self.context, 0))
        valid = functional.pad(batch.valid[:, :steps], (self.context, 0))
        labels, valid = self._windows(labels, videos, ends), self._windows(valid, videos, ends)
        embeddings = self._windows(embedded, videos, ends)
        by_embeddings = self._windows(self.embedding_classifier(embedded), videos, ends)
        embedding = soft_cross_entropy(by_embeddings, labels, valid)
        last = soft_cross_entropy(by_embeddings[:, -1], truth, torch.ones_like(videos, dtype=torch.bool))
        distances = (embeddings[:, :-1] - embeddings[:, -1:]).float().square().sum(-1)
        same = (labels[:, :-1] * labels[:, -1:]).sum(-1) > 0
        apart = torch.where(same, distances, functional.relu(self.config.margin - distances))
        counted = valid[:, :-1]
        contrast = torch.where(counted, apart, 0.0).sum() / counted.sum().clamp(min=1)
        return detection + self.config.embedding_weight * (embedding + last + contrast), {
            "detection_loss": detection.detach(),
            "embedding_loss": (embedding + last).detach(),
            "contrastive_loss": contrast.detach(),
        }

    def _embed(self, features: Tensor) -> Tensor:
        embedded: Tensor = self.dropout(functional.relu(self.embedding(features)))
        return embedded

    def _with_left_padding(self, features: Tensor) -> Tensor:
        """Embeddings `[B, context + T, E]`, with those of zero features before the first."""
        embedded = self._embed(features)
        nothing = self._embed(features.new_zeros(self.input_size))
        return torch.cat([nothing.expand(len(features), self.context, -1), embedded], dim=1)

    def _gates(self, embedded: Tensor) -> tuple[Tensor, Tensor]:
        """What a step gives to the gates `[..., 2H]`: as one of the window, and as its last one."""
        return self.cell.of_step(embedded), self.cell.of_current(embedded)

    def _windows(self, padded: Tensor, videos: Tensor, ends: Tensor) -> Tensor:
        """The windows `[N, W, ...]` of the given videos that end at the given steps."""
        places = torch.arange(self.config.window_steps, device=ends.device)
        return padded[videos.unsqueeze(1), ends.unsqueeze(1) + places]

    def _classify(self, windows: Tensor, current: Tensor) -> Tensor:
        """Logits `[N, C]` of windows of gates `[N, W, 2H]` and the last steps' own `[N, 2H]`."""
        hidden = current.new_zeros(len(current), self.config.hidden_size)
        for step in windows.unbind(1):
            hidden = self.cell(step, current, hidden)
        scores: Tensor = self.classifier(functional.relu(self.hidden_layer(hidden)))
        return scores


class IDUCell(nn.Module):
    """The Information Discrimination Unit: a GRU whose gates see the current step e_0 beside their own e_t.

    r_t = s(W_hr h_{t-1} + W_0r e_0)      z_t = s(W_tz e_t + W_0z e_0)
    c_t = tanh(W_th e_t + W_hh (r_t * h_{t-1}))      h_t = (1 - z_t) h_{t-1} + z_t c_t
    """

    def __init__(
        self,
        embedding_size: int,
        hidden_size: int,
        *,
        use_bias: bool,
        gate_activation: Literal["hard_sigmoid", "sigmoid"],
    ) -> None:
        super().__init__()
        self.gate_activation = gate_activation
        self.step_to_update = nn.Linear(embedding_size, hidden_size, bias=use_bias)
        self.step_to_candidate = nn.Linear(embedding_size, hidden_size, bias=use_bias)
        self.current_to_reset = nn.Linear(embedding_size, hidden_size, bias=use_bias)
        self.current_to_update = nn.Linear(embedding_size, hidden_size, bias=False)
        self.hidden_to_reset = nn.Linear(hidden_size, hidden_size, bias=False)
        self.hidden_to_candidate = nn.Linear(hidden_size, hidden_size, bias=False)
        for layer in self.children():
            nn.init.orthogonal_(layer.weight)  # type: ignore[arg-type]
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def of_step(self, embedded: Tensor) -> Tensor:
        """W_tz e_t and W_th e_t, `[..., 2H]`."""
        return torch.cat([self.step_to_update(embedded), self.step_to_candidate(embedded)], dim=-1)

    def of_current(self, embedded: Tensor) -> Tensor:
        """W_0z e_0 and W_0r e_0, `[..., 2H]`."""
        return torch.cat([self.current_to_update(embedded), self.current_to_reset(embedded)], dim=-1)

    def forward(self, step: Tensor, current: Tensor, hidden: Tensor) -> Tensor:
        """The next state `[N, H]` from what `of_step` and `of_current` gave."""
        step_update, step_candidate = step.chunk(2, dim=-1)
        current_update, current_reset = current.chunk(2, dim=-1)
        reset = self._gate(self.hidden_to_reset(hidden) + current_reset)
        update = self._gate(step_update + current_update)
        candidate = torch.tanh(step_candidate + self.hidden_to_candidate(reset * hidden))
        return (1 - update) * hidden + update * candidate

    def _gate(self, values: Tensor) -> Tensor:
        if self.gate_activation == "sigmoid":
            return torch.sigmoid(values)
        return (0.2 * values + 0.5).clamp(0, 1)
