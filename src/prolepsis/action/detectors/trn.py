"""TRN, the Temporal Recurrent Network (Xu et al., ICCV 2019), as its official code computes it.

Source: xumingze0308/TRN.pytorch, lib/models/generalized_trn.py and feature_extractor.py. At each step an LSTM
decoder first imagines the steps to come; the mean of what it imagined, the *future* vector, goes into the
encoder's LSTM beside the features. In the official code, and so here, that vector reaches the encoder one
step late: what was imagined at step k enters at step k+1.

The loop over steps cannot be cut, since each step needs the last one's future. What does not depend on it,
the features' share of the gates, is computed for all steps at once, and the rest is one matrix product per
step and cell. The gradients of the weights in the loop are found once for all steps (`deferred`).
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from prolepsis.action.detectors.base import Detector, DetectorOutput, State, StepOutput, WindowBatch
from prolepsis.action.detectors.deferred import DeferredLinear, lstm_cell
from prolepsis.action.losses import anticipation_targets, soft_cross_entropy


class TRNConfig(BaseModel):
    """The sizes for THUMOS'14 by default."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    hidden_size: int = Field(4096, ge=1)
    """Width of the states of encoder and decoder."""
    feature_size: int | None = Field(None, ge=1)
    """Width of the feature layer and of the future vector; the input's by default."""
    decoder_steps: int = Field(8, ge=1)
    """Steps that the decoder imagines at each step of the encoder."""
    decoder_targets: Literal["current", "future"] = "current"
    """What decoder step 0 predicts: the current step, as in the official code, or the next."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of values set to zero in training before each cell and the classifier."""
    decoder_weight: float = Field(1.0, ge=0)
    """What the decoder's loss counts beside the encoder's."""
    linear_std: float = Field(0.001, gt=0)
    """Spread of the linear layers' first weights."""


@dataclass(frozen=True)
class _Loop:
    """The layers that every step uses, for one forward pass."""

    encoder: DeferredLinear
    hidden_to_decoder: DeferredLinear
    cell_to_decoder: DeferredLinear
    decoder: DeferredLinear
    classifier: DeferredLinear
    scores_to_decoder: DeferredLinear
    decoder_to_future: DeferredLinear


class TRN(Detector):
    """Temporal Recurrent Network: an LSTM that reads, beside each frame, a summary of the future it expects.

    With `decoder_targets: current` the first of the L decoder steps is about the current frame and is no
    anticipation: then `anticipation` holds the other L-1.
    """

    Config: ClassVar[type[BaseModel]] = TRNConfig

    def __init__(self, config: TRNConfig, *, input_size: int, num_classes: int) -> None:
        super().__init__(input_size=input_size, num_classes=num_classes)
        self.config = config
        self.first_target = 0 if config.decoder_targets == "current" else 1
        self.horizon = config.decoder_steps - 1 + self.first_target
        hidden, width = config.hidden_size, config.feature_size or input_size
        self.feature_size = width
        self.feature_layer = nn.Linear(input_size, width)
        self.encoder = nn.LSTMCell(2 * width, hidden)
        self.hidden_to_decoder = nn.Linear(hidden, hidden)
        self.cell_to_decoder = nn.Linear(hidden, hidden)
        self.decoder = nn.LSTMCell(hidden, hidden)
        self.scores_to_decoder = nn.Linear(num_classes, hidden)
        self.decoder_to_future = nn.Linear(hidden, width)
        self.classifier = nn.Linear(hidden, num_classes)  # the encoder's and the decoder's
        self.dropout = nn.Dropout(config.dropout)
        self._initialise()

    def forward(self, features: Tensor, mask: Tensor) -> DetectorOutput:
        scores, decoded = self._unroll(features)
        return DetectorOutput(
            torch.where(mask.unsqueeze(-1), scores, 0.0),
            self._anticipation(torch.where(mask[..., None, None], decoded, 0.0)),
        )

    def initial_state(self, batch_size: int) -> State:
        weight = self.classifier.weight
        hidden = weight.new_zeros(batch_size, self.config.hidden_size)
        return {"hidden": hidden, "cell": hidden, "future": weight.new_zeros(batch_size, self.feature_size)}

    def step(self, feature: Tensor, state: State) -> StepOutput:
        state, decoded = self._advance(self._feature_gates(feature), state, self._loop())
        scores = self.classifier(self.dropout(state["hidden"]))
        return StepOutput(scores, self._anticipation(decoded), state)

    def loss(self, batch: WindowBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross entropy of the encoder, plus `decoder_weight` times the decoder's."""
        scores, decoded = self._unroll(batch.features)
        steps = scores.shape[1]
        detection = soft_cross_entropy(scores, batch.labels[:, :steps], batch.scored & batch.valid[:, :steps])
        labels, valid = anticipation_targets(
            batch.labels, batch.valid, steps, self.first_target, self.config.decoder_steps
        )
        decoder = soft_cross_entropy(decoded, labels, valid & batch.scored.unsqueeze(-1))
        return detection + self.config.decoder_weight * decoder, {
            "detection_loss": detection.detach(),
            "anticipation_loss": decoder.detach(),
        }

    def _unroll(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the encoder `[B, T, C]` and of every decoder step `[B, T, L, C]`."""
        feature_gates = self._feature_gates(features)
        loop = self._loop()
        state = self.initial_state(len(features))
        hidden, decoded = [], []
        for gates in feature_gates.unbind(1):
            state, imagined = self._advance(gates, state, loop)
            hidden.append(state["hidden"])
            decoded.append(imagined)
        return self.classifier(self.dropout(torch.stack(hidden, 1))), torch.stack(decoded, 1)

    def _feature_gates(self, features: Tensor) -> Tensor:
        """The part of the encoder's gates that the features and the biases give."""
        features = self.dropout(functional.relu(self.feature_layer(features)))
        weight = self.encoder.weight_ih[:, : self.feature_size]
        return functional.linear(features, weight, self.encoder.bias_ih + self.encoder.bias_hh)

    def _loop(self) -> _Loop:
        encoder, decoder = self.encoder, self.decoder
        # Of the encoder's gates the features' share, biases included, is already there.
        ours = torch.cat([encoder.weight_ih[:, self.feature_size :], encoder.weight_hh], dim=1)
        both = torch.cat([decoder.weight_ih, decoder.weight_hh], dim=1)
        return _Loop(
            DeferredLinear(ours, torch.zeros_like(encoder.bias_ih)),
            DeferredLinear(self.hidden_to_decoder.weight, self.hidden_to_decoder.bias),
            DeferredLinear(self.cell_to_decoder.weight, self.cell_to_decoder.bias),
            DeferredLinear(both, decoder.bias_ih + decoder.bias_hh),
            DeferredLinear(self.classifier.weight, self.classifier.bias),
            DeferredLinear(self.scores_to_decoder.weight, self.scores_to_decoder.bias),
            DeferredLinear(self.decoder_to_future.weight, self.decoder_to_future.bias),
        )

    def _advance(self, feature_gates: Tensor, state: State, loop: _Loop) -> tuple[State, Tensor]:
        """One encoder step and the decoder steps `[B, L, C]` that start from it."""
        before = torch.cat([self.dropout(state["future"]), state["hidden"]], dim=-1)
        hidden, cell = lstm_cell(feature_gates + loop.encoder(before), state["cell"])
        decoded, future = self._imagine(hidden, cell, loop)
        return {"hidden": hidden, "cell": cell, "future": future}, decoded

    def _imagine(self, hidden: Tensor, cell: Tensor, loop: _Loop) -> tuple[Tensor, Tensor]:
        """The decoder's logits `[B, L, C]` from an encoder state, and the mean future vector `[B, W]`."""
        hidden = functional.relu(loop.hidden_to_decoder(hidden))
        cell = functional.relu(loop.cell_to_decoder(cell))
        inputs = torch.zeros_like(hidden)
        decoded, future = [], []
        for _ in range(self.config.decoder_steps):
            hidden, cell = lstm_cell(loop.decoder(torch.cat([self.dropout(inputs), hidden], dim=-1)), cell)
            scores = loop.classifier(self.dropout(hidden))
            inputs = functional.relu(loop.scores_to_decoder(scores))  # raw logits; there is no teacher
            decoded.append(scores)
            future.append(hidden)
        futures = functional.relu(loop.decoder_to_future(torch.stack(future, 1)))
        return torch.stack(decoded, 1), futures.mean(1)

    def _anticipation(self, decoded: Tensor) -> Tensor | None:
        ahead = decoded[..., 1 - self.first_target :, :]
        return ahead if ahead.shape[-2] else None

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0.0, self.config.linear_std)
            elif isinstance(module, nn.LSTMCell):
                for parameter in module.parameters():
                    if parameter.dim() > 1:
                        nn.init.orthogonal_(parameter)
                    else:
                        nn.init.normal_(parameter)
