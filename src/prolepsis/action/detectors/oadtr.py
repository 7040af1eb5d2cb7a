"""OadTR, the Online Action Detection Transformer (Wang et al., ICCV 2021), as its official code computes it.

Source: wangxiang1230/OadTR, transformer_models/{ViT,Transformer,Attention,attn,decoder}.py. The current frame
is classified from a window of the last `window_steps` frames and from what a decoder says of the frames to
come.

Only the projection of the features can be kept from one step to the next: positions are learned for places in
the window and the encoder looks in both directions, so when the window moves on everything behind the
projection changes. A stream therefore caches the projected features, which is exact, and encodes one window
per step; whole videos and training batches project each feature once and gather the windows on the device.
"""

from typing import ClassVar

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from prolepsis.action.detectors.attention import Attention, attend
from prolepsis.action.detectors.base import Detector, DetectorOutput, State, StepOutput, WindowBatch
from prolepsis.action.losses import anticipation_targets, soft_cross_entropy

# Windows encoded at a time when whole videos are scored; bounds the memory.
_WINDOWS_AT_ONCE = 512


class OadTRConfig(BaseModel):
    """The sizes for THUMOS'14 by default."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    window_steps: int = Field(64, ge=1)
    """Steps in the window that ends with the frame to classify."""
    hidden_size: int = Field(1024, ge=1)
    """Width of every layer; a multiple of both numbers of heads."""
    encoder_layers: int = Field(3, ge=1)
    """Layers of the encoder, over the window."""
    encoder_heads: int = Field(8, ge=1)
    """Attention heads in each layer of the encoder."""
    decoder_steps: int = Field(8, ge=1)
    """Steps after the current one that are predicted."""
    decoder_layers: int = Field(5, ge=1)
    """Layers of the decoder, over the queries for the predicted steps."""
    decoder_heads: int = Field(4, ge=1)
    """Attention heads in each layer of the decoder."""
    decoder_positions: bool = False
    """Add the learned positions to the decoder's queries, which the official code leaves out."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of values set to zero in training, in encoder and decoder."""
    decoder_weight: float = Field(0.5, ge=0)
    """What the loss of the predicted steps counts beside that of the current one."""

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> "OadTRConfig":
        for heads in (self.encoder_heads, self.decoder_heads):
            if self.hidden_size % heads:
                raise ValueError(f"hidden_size {self.hidden_size} is no multiple of {heads} heads")
        return self


class OadTR(Detector):
    """A transformer over a sliding window, with a decoder that predicts the next `decoder_steps` frames.

    Every frame is scored by the window that ends with it. Before a video's start there are no frames; the
    first `window_steps` - 1 frames are scored by windows filled up on the left with zero features. The
    official evaluation does not score these frames at all; `action.evaluation` can leave them out
    (the protocol `oadtr`), the detector does not.
    """

    Config: ClassVar[type[BaseModel]] = OadTRConfig

    def __init__(self, config: OadTRConfig, *, input_size: int, num_classes: int) -> None:
        super().__init__(input_size=input_size, num_classes=num_classes)
        self.config = config
        self.context = config.window_steps - 1
        self.horizon = config.decoder_steps
        hidden = config.hidden_size
        self.projection = nn.Linear(input_size, hidden)
        self.task_token = nn.Parameter(torch.zeros(hidden))
        self.positions = nn.Parameter(torch.randn(config.window_steps + 1, hidden))
        self.encoder = nn.Sequential(
            *(
                EncoderBlock(hidden, config.encoder_heads, config.dropout)
                for _ in range(config.encoder_layers)
            ),
            nn.LayerNorm(hidden),
        )
        self.queries = nn.Parameter(torch.zeros(config.decoder_steps, hidden))
        # Allocated whether used or not, so that the count of parameters is the official one.
        self.query_positions = nn.Parameter(torch.randn(config.decoder_steps, hidden))
        self.decoder = nn.ModuleList(
            DecoderLayer(hidden, config.decoder_heads, config.dropout) for _ in range(config.decoder_layers)
        )
        self.decoder_norm = nn.LayerNorm(hidden)
        self.decoder_classifier = nn.Linear(hidden, num_classes)
        self.classifier = nn.Linear(2 * hidden, num_classes)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, features: Tensor, mask: Tensor) -> DetectorOutput:
        projected = self._with_left_padding(features)
        batch, steps = mask.shape
        scores = projected.new_zeros(batch, steps, self.num_classes)
        decoded = projected.new_zeros(batch, steps, self.config.decoder_steps, self.num_classes)
        for rows in torch.split(mask.nonzero(), _WINDOWS_AT_ONCE):
            videos, ends = rows.unbind(1)
            some_scores, some_decoded = self._classify(self._windows(projected, videos, ends))
            scores[videos, ends] = some_scores.to(scores.dtype)
            decoded[videos, ends] = some_decoded.to(decoded.dtype)
        return DetectorOutput(scores, decoded)

    def initial_state(self, batch_size: int) -> State:
        nothing = self.projection(self.projection.weight.new_zeros(self.input_size))
        return {"window": nothing.expand(batch_size, self.config.window_steps, -1)}

    def step(self, feature: Tensor, state: State) -> StepOutput:
        window = torch.cat([state["window"][:, 1:], self.projection(feature).unsqueeze(1)], dim=1)
        scores, decoded = self._classify(window)
        return StepOutput(scores, decoded, {"window": window})

    def loss(self, batch: WindowBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross entropy of the windows' last frames, plus `decoder_weight` times that of the frames after.

        A window whose last frame is ignored is left out whole, as in the official code.
        """
        steps = batch.mask.shape[1]
        videos, ends = (batch.scored & batch.valid[:, :steps]).nonzero(as_tuple=True)
        scores, decoded = self._classify(self._windows(self._with_left_padding(batch.features), videos, ends))
        counted = torch.ones_like(videos, dtype=torch.bool)
        detection = soft_cross_entropy(scores, batch.labels[videos, ends], counted)
        labels, valid = anticipation_targets(batch.labels, batch.valid, steps, 1, self.config.decoder_steps)
        decoder = soft_cross_entropy(decoded, labels[videos, ends], valid[videos, ends])
        return detection + self.config.decoder_weight * decoder, {
            "detection_loss": detection.detach(),
            "anticipation_loss": decoder.detach(),
        }

    def _with_left_padding(self, features: Tensor) -> Tensor:
        """Projected features `[B, context + T, H]`, with projected zero features before the first."""
        projected = self.projection(features)
        nothing = self.projection(features.new_zeros(self.input_size))
        return torch.cat([nothing.expand(len(features), self.context, -1), projected], dim=1)

    def _windows(self, projected: Tensor, videos: Tensor, ends: Tensor) -> Tensor:
        """The windows `[N, W, H]` of the given videos that end at the given steps."""
        places = torch.arange(self.config.window_steps, device=ends.device)
        return projected[videos.unsqueeze(1), ends.unsqueeze(1) + places]

    def _classify(self, window: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `[N, C]` and `[N, F, C]` of windows of projected features `[N, W, H]`."""
        token = self.task_token.expand(len(window), 1, -1)
        tokens = self.encoder(
            self.dropout(torch.cat([window, token.to(window.dtype)], dim=1) + self.positions)
        )
        queries = self.queries + self.query_positions if self.config.decoder_positions else self.queries
        decoded = queries.expand(len(window), -1, -1)
        for layer in self.decoder:
            decoded = layer(decoded, tokens)
        decoded = self.dropout(self.decoder_norm(decoded))
        scores = self.classifier(torch.cat([tokens[:, -1], decoded.mean(dim=1)], dim=-1))
        return scores, self.decoder_classifier(decoded)


class EncoderBlock(nn.Module):
    """Pre-norm self-attention without mask, then a feed-forward layer that does not widen."""

    def __init__(self, size: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_dropout = dropout
        self.attention_norm = nn.LayerNorm(size)
        self.queries_keys_values = nn.Linear(size, 3 * size, bias=False)
        self.attention_output = nn.Linear(size, size)
        self.feed_forward_norm = nn.LayerNorm(size)
        self.feed_forward = nn.Sequential(
            nn.Linear(size, size), nn.GELU(), nn.Dropout(dropout), nn.Linear(size, size), nn.Dropout(dropout)
        )
        # One after the output layer and one on the branch, as in the official code.
        self.branch_dropout = nn.Sequential(nn.Dropout(dropout), nn.Dropout(dropout))

    def forward(self, tokens: Tensor) -> Tensor:
        queries, keys, values = self.queries_keys_values(self.attention_norm(tokens)).chunk(3, dim=-1)
        attended = attend(queries, keys, values, self.heads, self.attention_dropout if self.training else 0.0)
        tokens = tokens + self.branch_dropout(self.attention_output(attended))
        output: Tensor = tokens + self.feed_forward(self.feed_forward_norm(tokens))
        return output


class DecoderLayer(nn.Module):
    """Post-norm: causal self-attention of the queries, attention to the window's tokens, feed-forward."""

    def __init__(self, size: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.self_attention = Attention(size, heads, dropout, causal=True)
        self.cross_attention = Attention(size, heads, dropout)
        self.feed_forward = nn.Sequential(
            nn.Linear(size, size), nn.GELU(), nn.Dropout(dropout), nn.Linear(size, size), nn.Dropout(dropout)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, tokens: Tensor) -> Tensor:
        first, second, third = self.norms
        queries = first(queries + self.dropout(self.self_attention(queries, queries)))
        queries = second(queries + self.dropout(self.cross_attention(queries, tokens)))
        output: Tensor = third(queries + self.feed_forward(queries))
        return output
