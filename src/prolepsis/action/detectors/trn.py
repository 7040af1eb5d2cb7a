"""TRN, the Temporal Recurrent Network (Xu et al., ICCV 2019), as its official code computes it.

Source: xumingze0308/TRN.pytorch, lib/models/generalized_trn.py and feature_extractor.py. At each step an LSTM
decoder first imagines the steps to come; the mean of what it imagined, the *future* vector, goes into the
encoder's LSTM beside the features. In the official code, and so here, that vector reaches the encoder one
step late: what was imagined at step k enters at step k+1.

The loop over steps cannot be cut, since each step needs the last one's future. What does not depend on it,
the features' share of the gates, is computed for all steps at once, and the rest is one matrix product per
step and cell. Training runs the loop and its gradient as one operation (`trn_unrolled`).
"""

from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from prolepsis.action.detectors.base import Detector, DetectorOutput, State, StepOutput, WindowBatch
from prolepsis.action.detectors.trn_unrolled import Weights, draw_masks, reordered, unroll
from prolepsis.action.losses import anticipation_targets, soft_cross_entropy
from prolepsis.errors import ProlepsisError
from prolepsis.training.dropout import Dropout


class ImageAndSensor(BaseModel):
    """An input of a map of image features beside the values of sensors, as TRN has for HDD; sizes of HDD."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    channels: int = Field(1536, ge=1)
    """Of the map, whose values are a step's first, one channel after the other."""
    height: int = Field(8, ge=1)
    """Of the map."""
    width: int = Field(8, ge=1)
    """Of the map."""
    map_size: int = Field(20, ge=1)
    """Channels that a 1x1 convolution leaves of the map."""
    sensors: int = Field(8, ge=1)
    """Values of the sensors, the last of a step."""
    sensor_size: int = Field(20, ge=1)
    """Width of the sensors' layer."""

    @property
    def input_size(self) -> int:
        return self.channels * self.height * self.width + self.sensors

    @property
    def feature_size(self) -> int:
        return self.map_size * self.height * self.width + self.sensor_size


class TRNConfig(BaseModel):
    """The sizes for THUMOS'14 by default."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    hidden_size: int = Field(4096, ge=1)
    """Width of the states of encoder and decoder."""
    feature_size: int | None = Field(None, ge=1)
    """Width of the feature layer and of the future vector; the input's by default."""
    image_and_sensor: ImageAndSensor | None = None
    """The features are a map and sensors' values, each with a layer of its own."""
    decoder_steps: int = Field(8, ge=1)
    """Steps that the decoder imagines at each step of the encoder."""
    decoder_targets: Literal["future", "current"] = "future"
    """What decoder step 0 predicts: the next step, or the current one, as in the official code."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of values set to zero in training before each cell and the classifier."""
    decoder_weight: float = Field(1.0, ge=0)
    """What the decoder's loss counts beside the encoder's."""
    linear_std: float = Field(0.001, gt=0)
    """Spread of the linear layers' first weights."""

    @model_validator(mode="after")
    def _one_feature_layer(self) -> "TRNConfig":
        if self.image_and_sensor and self.feature_size:
            raise ValueError("feature_size follows from image_and_sensor; leave one of them out")
        return self


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
        hidden = config.hidden_size
        self.feature_layer: nn.Module
        if config.image_and_sensor:
            self.feature_size = width = config.image_and_sensor.feature_size
            self.feature_layer = ImageAndSensorLayer(config.image_and_sensor, input_size)
        else:
            self.feature_size = width = config.feature_size or input_size
            self.feature_layer = nn.Linear(input_size, width)
        self.encoder = nn.LSTMCell(2 * width, hidden)
        self.hidden_to_decoder = nn.Linear(hidden, hidden)
        self.cell_to_decoder = nn.Linear(hidden, hidden)
        self.decoder = nn.LSTMCell(hidden, hidden)
        self.scores_to_decoder = nn.Linear(num_classes, hidden)
        self.decoder_to_future = nn.Linear(hidden, width)
        self.classifier = nn.Linear(hidden, num_classes)  # the encoder's and the decoder's
        self.dropout = Dropout(config.dropout)
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
        state, decoded = self._advance(self._feature_gates(feature), state)
        scores = self.classifier(self.dropout(state["hidden"]))
        return StepOutput(scores, self._anticipation(decoded), state)

    def loss(self, batch: WindowBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross entropy of the encoder, plus `decoder_weight` times the decoder's."""
        scores, decoded = self._learning(batch.features)
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

    def _learning(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """What `_unroll` gives, faster where a gradient follows; a compiler takes the loop itself."""
        if not torch.is_grad_enabled() or torch.compiler.is_compiling():
            return self._unroll(features)
        gates = self._feature_gates(features)
        weights = Weights(*(part.to(gates.dtype) for part in self._loop_weights()))
        sizes = features.shape[1], self.config.decoder_steps, len(features)
        masks = draw_masks(
            self.config.dropout if self.training else 0.0,
            (*sizes, self.config.hidden_size, self.feature_size),
            gates,
        )
        by_step = reordered(gates.movedim(-1, 0)).permute(2, 1, 0)
        hidden, decoded = unroll(by_step.contiguous(), weights, masks)
        scores = self.classifier(self.dropout(hidden))
        return scores.transpose(0, 1), decoded.permute(2, 0, 1, 3)

    def _loop_weights(self) -> Weights:
        encoder, decoder = self.encoder, self.decoder
        layers = (
            self.hidden_to_decoder,
            self.cell_to_decoder,
            self.classifier,
            self.scores_to_decoder,
            self.decoder_to_future,
        )
        return Weights(
            reordered(torch.cat([encoder.weight_ih[:, self.feature_size :], encoder.weight_hh], dim=1)),
            reordered(torch.cat([decoder.weight_ih, decoder.weight_hh], dim=1)),
            reordered(decoder.bias_ih + decoder.bias_hh),
            *(part for layer in layers for part in (layer.weight, layer.bias)),
        )

    def _unroll(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the encoder `[B, T, C]` and of every decoder step `[B, T, L, C]`."""
        feature_gates = self._feature_gates(features)
        state = self.initial_state(len(features))
        hidden, decoded = [], []
        for gates in feature_gates.unbind(1):
            state, imagined = self._advance(gates, state)
            hidden.append(state["hidden"])
            decoded.append(imagined)
        return self.classifier(self.dropout(torch.stack(hidden, 1))), torch.stack(decoded, 1)

    def _feature_gates(self, features: Tensor) -> Tensor:
        """The part of the encoder's gates that the features and the biases give."""
        features = self.dropout(functional.relu(self.feature_layer(features)))
        weight = self.encoder.weight_ih[:, : self.feature_size]
        return functional.linear(features, weight, self.encoder.bias_ih + self.encoder.bias_hh)

    def _advance(self, feature_gates: Tensor, state: State) -> tuple[State, Tensor]:
        """One encoder step and the decoder steps `[B, L, C]` that start from it."""
        weight = self.encoder.weight_ih[:, self.feature_size :]
        gates = feature_gates + functional.linear(self.dropout(state["future"]), weight)
        gates = gates + functional.linear(state["hidden"], self.encoder.weight_hh)
        hidden, cell = _lstm_cell(gates, state["cell"])
        decoded, future = self._imagine(hidden, cell)
        return {"hidden": hidden, "cell": cell, "future": future}, decoded

    def _imagine(self, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """The decoder's logits `[B, L, C]` from an encoder state, and the mean future vector `[B, W]`."""
        hidden = functional.relu(self.hidden_to_decoder(hidden))
        cell = functional.relu(self.cell_to_decoder(cell))
        inputs = torch.zeros_like(hidden)
        decoded, future = [], []
        for _ in range(self.config.decoder_steps):
            hidden, cell = self.decoder(self.dropout(inputs), (hidden, cell))
            scores = self.classifier(self.dropout(hidden))
            inputs = functional.relu(self.scores_to_decoder(scores))  # raw logits; there is no teacher
            decoded.append(scores)
            future.append(hidden)
        futures = functional.relu(self.decoder_to_future(torch.stack(future, 1)))
        return torch.stack(decoded, 1), futures.mean(1)

    def _anticipation(self, decoded: Tensor) -> Tensor | None:
        ahead = decoded[..., 1 - self.first_target :, :]
        return ahead if ahead.shape[-2] else None

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, self.config.linear_std)
            elif isinstance(module, nn.LSTMCell):
                for parameter in module.parameters():
                    if parameter.dim() > 1:
                        nn.init.orthogonal_(parameter)
                    else:
                        nn.init.normal_(parameter)


class ImageAndSensorLayer(nn.Module):
    """A map's channels brought down at each of its places, beside a layer of the sensors' values."""

    def __init__(self, config: ImageAndSensor, input_size: int) -> None:
        super().__init__()
        if input_size != config.input_size:
            raise ProlepsisError(
                f"The features have {input_size} numbers a step; "
                f"a map of {config.channels} x {config.height} x {config.width} "
                f"and {config.sensors} sensors have {config.input_size}.",
                where="action_detection, config.image_and_sensor",
                remedy="Say the sizes of your map and sensors there, and import them with "
                "precomputed_features.maps: kept, the map's stream first.",
            )
        self.config = config
        self.map_layer = nn.Conv2d(config.channels, config.map_size, 1)
        self.sensor_layer = nn.Linear(config.sensors, config.sensor_size)

    def forward(self, features: Tensor) -> Tensor:
        """`[..., D]` to `[..., map_size * height * width + sensor_size]`."""
        config = self.config
        maps, sensors = features[..., : -config.sensors], features[..., -config.sensors :]
        reduced = self.map_layer(maps.reshape(-1, config.channels, config.height, config.width))
        return torch.cat([reduced.view(*features.shape[:-1], -1), self.sensor_layer(sensors)], dim=-1)


def _lstm_cell(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """torch's LSTM cell from its summed gates (input, forget, cell, output)."""
    enter, keep, new, leave = gates.chunk(4, dim=-1)
    cell = torch.sigmoid(keep) * cell + torch.sigmoid(enter) * torch.tanh(new)
    return torch.sigmoid(leave) * torch.tanh(cell), cell
