"""OadTR, the Online Action Detection Transformer (Wang et al., ICCV 2021), as its official code computes it.

Source: wangxiang1230/OadTR, transformer_models/{ViT,Transformer,Attention,attn,decoder}.py. The current frame
is classified from a window of the last `window_steps` frames and from what a decoder says of the frames to
come.

Only the projection of the features can be kept from one step to the next: positions are learned for places in
the window and the encoder looks in both directions, so when the window moves on everything behind the
projection changes. A stream therefore caches the projected features, which is exact, and encodes one window
per step; whole videos and training batches project each feature once and gather the windows on the device.

With `continual` the step's cost no longer grows with that: see `ContinualOadTR`.
"""

from typing import ClassVar

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from prolepsis.action.detectors.attention import Attention, attend
from prolepsis.action.detectors.base import Detector, DetectorOutput, State, StepOutput, WindowBatch
from prolepsis.action.losses import anticipation_targets, soft_cross_entropy
from prolepsis.training.dropout import Dropout

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
    """Layers of the encoder, over the window; with `continual` one or two."""
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
    continual: bool = False
    """The Continual Transformer (CoOadTR): no task token and no decoder, so no look ahead, and positions that
    recur, which a stream need not encode anew."""

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> "OadTRConfig":
        for heads in (self.encoder_heads, self.decoder_heads):
            if self.hidden_size % heads:
                raise ValueError(f"hidden_size {self.hidden_size} is no multiple of {heads} heads")
        return self

    @model_validator(mode="after")
    def _continual_has_one_or_two_layers(self) -> "OadTRConfig":
        if self.continual and self.encoder_layers > 2:
            raise ValueError(f"continual needs encoder_layers of 1 or 2, not {self.encoder_layers}")
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
        self.continual = (
            ContinualOadTR(config, input_size=input_size, num_classes=num_classes)
            if config.continual
            else None
        )
        if self.continual is None:
            self._build(config)

    def _build(self, config: OadTRConfig) -> None:
        """The layers of the paper's model."""
        self.horizon = config.decoder_steps
        hidden, input_size, num_classes = config.hidden_size, self.input_size, self.num_classes
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
        self.dropout = Dropout(config.dropout)

    def forward(self, features: Tensor, mask: Tensor) -> DetectorOutput:
        if self.continual is not None:
            return DetectorOutput(self.continual(features, mask), None)
        projected = self._with_left_padding(features)
        batch, steps = mask.shape
        scores = projected.new_zeros(batch, steps, self.num_classes)
        decoded = projected.new_zeros(batch, steps, self.config.decoder_steps, self.num_classes)
        for rows in torch.split(mask.nonzero(), _WINDOWS_AT_ONCE):
            videos, ends = rows.unbind(1)
            some_scores, some_decoded = self._classify(
                _windows(projected, videos, ends, self.config.window_steps)
            )
            scores[videos, ends] = some_scores.to(scores.dtype)
            decoded[videos, ends] = some_decoded.to(decoded.dtype)
        return DetectorOutput(scores, decoded)

    def initial_state(self, batch_size: int) -> State:
        if self.continual is not None:
            return self.continual.initial_state(batch_size)
        nothing = self.projection(self.projection.weight.new_zeros(self.input_size))
        return {"window": nothing.expand(batch_size, self.config.window_steps, -1)}

    def step(self, feature: Tensor, state: State) -> StepOutput:
        if self.continual is not None:
            return self.continual.step(feature, state)
        window = torch.cat([state["window"][:, 1:], self.projection(feature).unsqueeze(1)], dim=1)
        scores, decoded = self._classify(window)
        return StepOutput(scores, decoded, {"window": window})

    def loss(self, batch: WindowBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross entropy of the windows' last frames, plus `decoder_weight` times that of the frames after.

        A window whose last frame is ignored is left out whole, as in the official code.
        """
        steps = batch.mask.shape[1]
        videos, ends = (batch.scored & batch.valid[:, :steps]).nonzero(as_tuple=True)
        counted = torch.ones_like(videos, dtype=torch.bool)
        if self.continual is not None:
            scores = self.continual.scores(batch.features, batch.mask, videos, ends)
            detection = soft_cross_entropy(scores, batch.labels[videos, ends], counted)
            return detection, {"detection_loss": detection.detach()}
        padded = self._with_left_padding(batch.features)
        scores, decoded = self._classify(_windows(padded, videos, ends, self.config.window_steps))
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


class ContinualOadTR(nn.Module):
    """OadTR's encoder as a Continual Transformer (Hedegaard et al., ICLR 2023), whose window moves on.

    Source: the paper and LukasHedegaard/CoOadTR. Without task token and decoder, the newest frame's own
    output is classified. Positions recur: step k has position k modulo 2 W - 1, twice the window less one, so
    that within a window each pair of places tells its distance. Thus nothing that the first block derives
    from a frame changes when the window moves on. With one block a stream keeps keys and values, and a step
    costs one frame's projections and one row of attention. With two it keeps tokens and queries as well and
    completes the first block for the whole window, whose attention looks in both directions. The paper
    updates that attention by what comes and what goes; here it is computed anew from what is kept, which is
    exact at any length of a stream and a fiftieth of the step.

    Where a window begins before the video, the steps before it are not attended to. In training each piece of
    video starts at a position drawn for it.
    """

    def __init__(self, config: OadTRConfig, *, input_size: int, num_classes: int) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.window_steps = config.window_steps
        self.num_classes = num_classes
        self.projection = nn.Linear(input_size, hidden)
        self.positions = nn.Parameter(torch.randn(2 * config.window_steps - 1, hidden))
        self.first = EncoderBlock(hidden, config.encoder_heads, config.dropout)
        self.second = (
            EncoderBlock(hidden, config.encoder_heads, config.dropout) if config.encoder_layers == 2 else None
        )
        self.norm = nn.LayerNorm(hidden)
        self.classifier = nn.Linear(hidden, num_classes)
        self.dropout = Dropout(config.dropout)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Logits of whole videos, `[B, T, C]`."""
        scores = features.new_zeros(*mask.shape, self.num_classes)
        steps = self._of_steps(features, torch.arange(mask.shape[1], device=mask.device))
        for rows in torch.split(mask.nonzero(), _WINDOWS_AT_ONCE):
            videos, ends = rows.unbind(1)
            scores[videos, ends] = self._of_windows(steps, mask, videos, ends).to(scores.dtype)
        return scores

    def scores(self, features: Tensor, mask: Tensor, videos: Tensor, ends: Tensor) -> Tensor:
        """Logits `[N, C]` of the given steps of the given pieces of video."""
        places = torch.arange(mask.shape[1], device=mask.device)
        if self.training:
            places = places + torch.randint(len(self.positions), (len(mask), 1), device=mask.device)
        return self._of_windows(self._of_steps(features, places), mask, videos, ends)

    def initial_state(self, batch_size: int) -> State:
        none = torch.zeros(batch_size, dtype=torch.int64, device=self.positions.device)
        hidden = self.positions.shape[1]
        width = self._kept(self.positions.new_zeros(1, 4 * hidden)).shape[-1]
        window = self.positions.new_zeros(batch_size, self.window_steps, width)
        return {"window": window, "position": none, "seen": none}

    def step(self, feature: Tensor, state: State) -> StepOutput:
        newest = self._of_steps(feature, state["position"])
        window = torch.cat([state["window"][:, 1:], self._kept(newest).unsqueeze(1)], dim=1)
        seen = (state["seen"] + 1).clamp(max=self.window_steps)
        places = torch.arange(self.window_steps, device=seen.device)
        scores = self._classify(newest, window, places >= self.window_steps - seen.unsqueeze(1))
        position = (state["position"] + 1) % len(self.positions)
        return StepOutput(scores, None, {"window": window, "position": position, "seen": seen})

    def _of_steps(self, features: Tensor, places: Tensor) -> Tensor:
        """Token, query, key and value of each step, `[..., 4H]`."""
        tokens = self.dropout(self.projection(features) + self.positions[places % len(self.positions)])
        return torch.cat([tokens, self.first.project(tokens)], dim=-1)

    def _kept(self, steps: Tensor) -> Tensor:
        """What later steps need: keys and values, and with two blocks all."""
        return steps[..., steps.shape[-1] // 2 :] if self.second is None else steps

    def _of_windows(self, steps: Tensor, mask: Tensor, videos: Tensor, ends: Tensor) -> Tensor:
        context = self.window_steps - 1
        padded = functional.pad(self._kept(steps), (0, 0, context, 0))
        exists = functional.pad(mask, (context, 0))
        return self._classify(
            steps[videos, ends],
            _windows(padded, videos, ends, self.window_steps),
            _windows(exists, videos, ends, self.window_steps),
        )

    def _classify(self, newest: Tensor, window: Tensor, exists: Tensor) -> Tensor:
        """Logits `[N, C]` from the newest steps `[N, 4H]` and what is kept of their windows."""
        allowed = exists[:, None, None]
        if self.second is None:
            token, query, _, _ = newest.unsqueeze(1).chunk(4, dim=-1)
            keys, values = window.chunk(2, dim=-1)
            token = self.first.complete(token, self.first.attend(query, keys, values, allowed))
        else:
            tokens, queries, keys, values = window.chunk(4, dim=-1)
            tokens = self.first.complete(tokens, self.first.attend(queries, keys, values, allowed))
            query, keys, values = self.second.project_newest(tokens)
            token = self.second.complete(tokens[:, -1:], self.second.attend(query, keys, values, allowed))
        scores: Tensor = self.classifier(self.norm(token.squeeze(1)))
        return scores


class EncoderBlock(nn.Module):
    """Pre-norm self-attention without mask, then a feed-forward layer that does not widen."""

    def __init__(self, size: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.size = size
        self.heads = heads
        self.attention_dropout = dropout
        self.attention_norm = nn.LayerNorm(size)
        self.queries_keys_values = nn.Linear(size, 3 * size, bias=False)
        self.attention_output = nn.Linear(size, size)
        self.feed_forward_norm = nn.LayerNorm(size)
        self.feed_forward = nn.Sequential(
            nn.Linear(size, size), nn.GELU(), Dropout(dropout), nn.Linear(size, size), Dropout(dropout)
        )
        # One after the output layer and one on the branch, as in the official code.
        self.branch_dropout = nn.Sequential(Dropout(dropout), Dropout(dropout))

    def forward(self, tokens: Tensor) -> Tensor:
        queries, keys, values = self.project(tokens).chunk(3, dim=-1)
        return self.complete(tokens, self.attend(queries, keys, values))

    def project(self, tokens: Tensor) -> Tensor:
        """Queries, keys and values side by side, `[..., 3H]`."""
        projected: Tensor = self.queries_keys_values(self.attention_norm(tokens))
        return projected

    def project_newest(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The query of the last token `[N, 1, H]`, and keys and values of all `[N, W, H]`."""
        normed = self.attention_norm(tokens)
        weight = self.queries_keys_values.weight
        query = functional.linear(normed[:, -1:], weight[: self.size])
        keys, values = functional.linear(normed, weight[self.size :]).chunk(2, dim=-1)
        return query, keys, values

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, allowed: Tensor | None = None) -> Tensor:
        """What the queries gather; `allowed` is that of `attention.attend`."""
        dropout = self.attention_dropout if self.training else 0.0
        return attend(queries, keys, values, self.heads, dropout, allowed=allowed)

    def complete(self, tokens: Tensor, attended: Tensor) -> Tensor:
        """The block's output for tokens, from what they gathered."""
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
            nn.Linear(size, size), nn.GELU(), Dropout(dropout), nn.Linear(size, size), Dropout(dropout)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(3))
        self.dropout = Dropout(dropout)

    def forward(self, queries: Tensor, tokens: Tensor) -> Tensor:
        first, second, third = self.norms
        queries = first(queries + self.dropout(self.self_attention(queries, queries)))
        queries = second(queries + self.dropout(self.cross_attention(queries, tokens)))
        output: Tensor = third(queries + self.feed_forward(queries))
        return output


def _windows(padded: Tensor, videos: Tensor, ends: Tensor, steps: int) -> Tensor:
    """The windows `[N, W, ...]` of the given videos that end at the given steps; W - 1 steps are padding."""
    places = torch.arange(steps, device=ends.device)
    return padded[videos.unsqueeze(1), ends.unsqueeze(1) + places]
