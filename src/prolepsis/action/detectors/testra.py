"""TeSTra, the Temporal Smoothing Transformer (Zhao and Krähenbühl, ECCV 2022), with its Laplace kernel.

Source: zhaoyue-zephyrus/TeSTra, models/lstr.py, which follows LSTR (Xu et al., NeurIPS 2021). The last
`work_steps` steps are the work memory, and all steps before them the long memory. Learned queries attend to
the long memory; what a step weighs there falls by `decay` with each step that passes. As the queries do not
depend on what is seen, the sums of that attention are carried on from step to step: a step costs the same
however long the memory is, and nothing of it is kept but these sums. More queries compress what the first
ones read, and a causal decoder reads it beside the work memory.

What a stream cannot keep is the decoder's work: the work memory's positions are counted from its first step,
so all of them change with every step. The projected features are kept, which is exact.

Positions are added to the work memory only; in the long memory the decay tells how old a step is. The
official configuration for THUMOS'14 keeps every fourth step of a long memory of 2,048, with a decay of 0.97
from one kept step to the next; here all steps are kept, and 0.97^(1/4) = 0.9924 fades as fast in seconds.
"""

import math
from typing import ClassVar, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from prolepsis.action.detectors.attention import Attention, split_heads
from prolepsis.action.detectors.base import Detector, DetectorOutput, State, StepOutput, WindowBatch
from prolepsis.action.losses import anticipation_targets, soft_cross_entropy
from prolepsis.errors import ProlepsisError
from prolepsis.training.dropout import Dropout

# Steps of whole videos that are decoded at a time; bounds the memory.
_WINDOWS_AT_ONCE = 512


class TeSTraConfig(BaseModel):
    """The sizes for THUMOS'14 by default."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    work_steps: int = Field(32, ge=1)
    """Steps in the work memory, the current one the last; training windows are at most as long."""
    memory_steps: int = Field(2048, ge=1)
    """Steps before a training window that its long memory holds. At inference it holds all."""
    decay: float = Field(0.9924, gt=0, le=1)
    """What a step of the long memory weighs a step later."""
    hidden_size: int = Field(1024, ge=2)
    """Width of every layer; an even multiple of the heads."""
    num_heads: int = Field(16, ge=1)
    """Attention heads in each layer."""
    feed_forward_size: int = Field(1024, ge=1)
    """Width between the two layers of a feed-forward part."""
    memory_queries: int = Field(16, ge=1)
    """Queries that read the long memory."""
    encoder_queries: int = Field(32, ge=1)
    """Queries that compress what those have read."""
    encoder_layers: int = Field(2, ge=1)
    """Layers of the compression."""
    decoder_layers: int = Field(2, ge=1)
    """Layers over the work memory."""
    decoder_rereads_work: bool = True
    """Where the decoder attends to what was read of the long memory, it attends to the work memory's steps
    so far as well, as the official configuration for THUMOS'14 says (LONG_MEMORY_INCLUDE_WORK)."""
    anticipation_steps: int = Field(8, ge=0)
    """Steps after the current one that are predicted, by a learned token each."""
    anticipation_weight: float = Field(1.0, ge=0)
    """What the loss of the predicted steps counts beside that of the work memory."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Share of values set to zero in training."""

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> "TeSTraConfig":
        if self.hidden_size % self.num_heads or self.hidden_size % 2:
            raise ValueError(f"hidden_size {self.hidden_size} is no even multiple of {self.num_heads} heads")
        return self


class TeSTra(Detector):
    """A long memory by exponential smoothing, read by a causal transformer over the last steps."""

    Config: ClassVar[type[BaseModel]] = TeSTraConfig

    def __init__(self, config: TeSTraConfig, *, input_size: int, num_classes: int) -> None:
        super().__init__(input_size=input_size, num_classes=num_classes)
        self.config = config
        self.context = config.memory_steps
        self.horizon = config.anticipation_steps
        size = config.hidden_size

        def layers(count: int) -> nn.ModuleList:
            sizes = size, config.num_heads, config.feed_forward_size
            return nn.ModuleList(DecoderLayer(*sizes, config.dropout) for _ in range(count))

        self.long_projection = nn.Sequential(nn.Linear(input_size, size), nn.ReLU())
        self.work_projection = nn.Sequential(nn.Linear(input_size, size), nn.ReLU())
        self.memory_layer = MemoryLayer(config)
        self.encoder_queries = nn.Parameter(torch.randn(config.encoder_queries, size))
        self.encoder = layers(config.encoder_layers)
        self.encoder_norm = nn.LayerNorm(size)
        self.anticipation_tokens = nn.Parameter(torch.randn(config.anticipation_steps, size))
        self.decoder = layers(config.decoder_layers)
        self.decoder_norm = nn.LayerNorm(size)
        self.classifier = nn.Linear(size, num_classes)
        self.dropout = Dropout(config.dropout)
        self.positions: Tensor
        self.register_buffer(
            "positions", _sinusoids(config.work_steps + config.anticipation_steps, size), persistent=False
        )

    def forward(self, features: Tensor, mask: Tensor) -> DetectorOutput:
        config = self.config
        batch, steps = mask.shape
        work = functional.pad(self.work_projection(features), (0, 0, config.work_steps - 1, 0))
        keys_values = self.memory_layer.keys_values(self.long_projection(features))
        scores = features.new_zeros(batch, steps, self.num_classes)
        ahead = features.new_zeros(batch, steps, config.anticipation_steps, self.num_classes)
        memory, asked = self.memory_layer.nothing(batch), self.memory_layer.asked()
        places = torch.arange(config.work_steps, device=features.device)
        at_once = max(1, _WINDOWS_AT_ONCE // batch)
        for first in range(0, steps, at_once):
            ends = torch.arange(first, min(first + at_once, steps), device=features.device)
            read = []
            for end in ends.tolist():
                if end >= config.work_steps:
                    memory = self.memory_layer.remember(
                        asked, memory, *(part[:, :, end - config.work_steps] for part in keys_values)
                    )
                read.append(self.memory_layer.read(asked, memory))
            windows = work[:, ends.unsqueeze(1) + places].flatten(0, 1)
            exists = (ends.unsqueeze(1) + places >= config.work_steps - 1).repeat(batch, 1)
            decoded = self._decode(windows, exists, torch.stack(read, 1).flatten(0, 1))
            now, later = self._last(decoded)
            scores[:, ends] = now.view(batch, len(ends), -1).to(scores.dtype)
            ahead[:, ends] = later.view(batch, len(ends), *later.shape[1:]).to(ahead.dtype)
        return DetectorOutput(
            torch.where(mask.unsqueeze(-1), scores, 0.0),
            torch.where(mask[..., None, None], ahead, 0.0) if config.anticipation_steps else None,
        )

    def initial_state(self, batch_size: int) -> State:
        config = self.config
        window = self.encoder_queries.new_zeros(batch_size, config.work_steps, config.hidden_size)
        steps = torch.zeros(batch_size, dtype=torch.int64, device=window.device)
        memory = self.memory_layer.nothing(batch_size)
        return {"work": window, "leaving": window, "steps": steps, **memory._asdict()}

    def step(self, feature: Tensor, state: State) -> StepOutput:
        config = self.config
        memory, asked = Memory(*(state[name] for name in Memory._fields)), self.memory_layer.asked()
        # The step that leaves the work memory enters the long one, where there is one.
        keys, values = self.memory_layer.keys_values(state["leaving"][:, :1])
        leaves = state["steps"] >= config.work_steps
        memory = self.memory_layer.remember(asked, memory, keys[:, :, 0], values[:, :, 0], leaves)
        work = torch.cat([state["work"][:, 1:], self.work_projection(feature).unsqueeze(1)], dim=1)
        leaving = torch.cat([state["leaving"][:, 1:], self.long_projection(feature).unsqueeze(1)], dim=1)
        steps = (state["steps"] + 1).clamp(max=config.work_steps)
        exists = torch.arange(config.work_steps, device=work.device) >= (
            config.work_steps - steps.unsqueeze(1)
        )
        scores, ahead = self._last(self._decode(work, exists, self.memory_layer.read(asked, memory)))
        after = {"work": work, "leaving": leaving, "steps": steps, **memory._asdict()}
        return StepOutput(scores, ahead if config.anticipation_steps else None, after)

    def loss(self, batch: WindowBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross entropy of every scored step of the window, which sees the window up to itself and the same
        long memory; plus `anticipation_weight` times that of the steps after the window's last.

        Raises:
            ProlepsisError: the window is longer than the work memory.
        """
        config = self.config
        steps = batch.mask.shape[1]
        length = steps - config.memory_steps
        if length > config.work_steps:
            raise ProlepsisError(
                f"A window of {length} steps does not fit into a work memory of {config.work_steps}.",
                where="sampling.window_steps",
                remedy=f"Set it to {config.work_steps} or less, or work_steps to {length}.",
            )
        past, present = batch.mask[:, :-length], batch.mask[:, -length:]
        tokens = self.memory_layer(self.long_projection(batch.features[:, :-length]), past)
        work = self.work_projection(batch.features[:, -length:])
        decoded = self._decode(work, present, tokens)
        now, later = decoded[:, :length], decoded[:, length:]
        labels, valid = batch.labels[:, -length - self.horizon :], batch.valid[:, -length - self.horizon :]
        scored = batch.scored[:, -length:]
        detection = soft_cross_entropy(now, labels[:, :length], scored & valid[:, :length])
        parts = {"detection_loss": detection.detach()}
        if not config.anticipation_steps:
            return detection, parts
        ahead_labels, ahead_valid = anticipation_targets(labels, valid, length, 1, config.anticipation_steps)
        last = (present.sum(1) - 1).clamp(min=0)
        rows = torch.arange(len(last), device=last.device)
        counted = ahead_valid[rows, last] & scored.any(1, keepdim=True)
        anticipation = soft_cross_entropy(later, ahead_labels[rows, last], counted)
        parts["anticipation_loss"] = anticipation.detach()
        return detection + config.anticipation_weight * anticipation, parts

    def _decode(self, work: Tensor, exists: Tensor, memory: Tensor) -> Tensor:
        """The logits `[N, W + A, C]` of the work memory's steps and of the steps ahead.

        Args:
            work: projected features `[N, W, H]`.
            exists: bool `[N, W]`; the steps that exist are next to each other.
            memory: what the first queries read of the long memory, `[N, Q, H]`.
        """
        tokens = self.encoder_queries.expand(len(memory), -1, -1)
        for layer in self.encoder:
            tokens = layer(tokens, memory)
        tokens = self.encoder_norm(tokens)
        # Positions count from the first step that exists.
        place = exists.long().cumsum(1) - 1
        count = exists.sum(1, keepdim=True)
        further = count + torch.arange(self.config.anticipation_steps, device=work.device)
        places = torch.cat([place.clamp(min=0), further], dim=1)
        ahead = self.anticipation_tokens.expand(len(work), -1, -1)
        decoded = self.dropout(torch.cat([work, ahead.to(work.dtype)], dim=1) + self.positions[places])
        allowed = _causal(functional.pad(exists, (0, self.config.anticipation_steps), value=True))
        readable = None
        if self.config.decoder_rereads_work:
            readable = functional.pad(allowed, (tokens.shape[1], 0), value=True)
            tokens = torch.cat([tokens, decoded.to(tokens.dtype)], dim=1)
        for layer in self.decoder:
            decoded = layer(decoded, tokens, allowed, readable)
        logits: Tensor = self.classifier(self.decoder_norm(decoded))
        return logits

    def _last(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Those of the work memory's last step and of the steps ahead."""
        return logits[:, self.config.work_steps - 1], logits[:, self.config.work_steps :]


class Memory(NamedTuple):
    """The sums of the attention to the long memory, scaled so that none overflows; zeros where it is empty.

    Attributes:
        highest: the greatest score so far, with its decay, `[B, heads, Q]`; the logarithm of the scale.
        weights: the sum of the steps' weights, `[B, heads, Q]`.
        values: the sum of the steps' values by their weights, `[B, heads, Q, H / heads]`.
    """

    highest: Tensor
    weights: Tensor
    values: Tensor


class Asked(NamedTuple):
    """The memory's queries after they have seen each other; they do not depend on the memory.

    Attributes:
        tokens: `[Q, H]`.
        queries: what is asked of the memory, `[1, heads, Q, H / heads]`.
    """

    tokens: Tensor
    queries: Tensor


class MemoryLayer(nn.Module):
    """Post-norm: learned queries attend to each other, then to the long memory, then a feed-forward part.

    Attention to the long memory is a softmax over scores to which a step's age times the logarithm of the
    decay is added, as a whole (`forward`) or step by step (`remember` and `read`).
    """

    def __init__(self, config: TeSTraConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.heads = config.num_heads
        self.log_decay = math.log(config.decay)
        self.learned_queries = nn.Parameter(torch.randn(config.memory_queries, size))
        self.self_attention = Attention(size, config.num_heads, config.dropout)
        self.queries = nn.Linear(size, size)
        self.keys = nn.Linear(size, size)
        self.values = nn.Linear(size, size)
        self.output = nn.Linear(size, size)
        self.feed_forward = _feed_forward(size, config.feed_forward_size, config.dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(3))
        self.dropout = Dropout(config.dropout)

    def forward(self, features: Tensor, exists: Tensor) -> Tensor:
        """What is read, `[B, Q, H]`.

        Args:
            features: the memory's steps `[B, S, H]`, the last the newest.
            exists: bool `[B, S]`; the others are not read.
        """
        asked = self.asked()
        keys, values = self.keys_values(features)
        age = torch.arange(features.shape[1] - 1, -1, -1, device=features.device)
        scores = _scores(asked, keys).float() + age * self.log_decay
        exists = exists[:, None, None]
        weights = scores.masked_fill(~exists, torch.finfo(scores.dtype).min).softmax(-1) * exists
        return self._finish(asked, self.dropout(weights).to(values.dtype) @ values)

    def keys_values(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Of steps `[B, S, H]`, each `[B, heads, S, H / heads]`."""
        return split_heads(self.keys(features), self.heads), split_heads(self.values(features), self.heads)

    def nothing(self, batch_size: int) -> Memory:
        """The empty memory of `batch_size` streams."""
        queries, size = self.learned_queries.shape
        zeros = self.learned_queries.new_zeros(batch_size, self.heads, queries)
        return Memory(zeros - torch.inf, zeros, zeros.unsqueeze(-1).repeat(1, 1, 1, size // self.heads))

    def remember(
        self, asked: Asked, memory: Memory, key: Tensor, value: Tensor, which: Tensor | None = None
    ) -> Memory:
        """Adds a step to the memory.

        Args:
            key, value: `[B, heads, H / heads]`.
            which: bool `[B]`, the streams whose memory it enters; all by default.
        """
        score = _scores(asked, key.unsqueeze(2)).squeeze(-1).to(memory.weights.dtype)
        before = memory.highest + self.log_decay
        highest = torch.maximum(before, score)
        kept, new = (before - highest).exp(), (score - highest).exp()
        after = Memory(
            highest,
            memory.weights * kept + new,
            memory.values * kept.unsqueeze(-1) + new.unsqueeze(-1) * value.unsqueeze(2),
        )
        if which is None:
            return after
        return Memory(
            *(
                torch.where(which.view(-1, *[1] * (part.dim() - 1)), part, old)
                for part, old in zip(after, memory, strict=True)
            )
        )

    def read(self, asked: Asked, memory: Memory) -> Tensor:
        """What is read of the memory, `[B, Q, H]`."""
        weights = memory.weights.unsqueeze(-1)
        return self._finish(asked, memory.values / weights.where(weights > 0, 1.0))

    def asked(self) -> Asked:
        """What is asked of any memory."""
        queries = self.learned_queries.unsqueeze(0)
        tokens = self.norms[0](queries + self.dropout(self.self_attention(queries, queries)))
        return Asked(tokens.squeeze(0), split_heads(self.queries(tokens), self.heads))

    def _finish(self, asked: Asked, attended: Tensor) -> Tensor:
        _, second, third = self.norms
        tokens = second(asked.tokens + self.dropout(self.output(attended.transpose(1, 2).flatten(2))))
        finished: Tensor = third(tokens + self.feed_forward(tokens))
        return finished


class DecoderLayer(nn.Module):
    """Post-norm: attention of the tokens to each other, to a memory, and a feed-forward part."""

    def __init__(self, size: int, heads: int, feed_forward_size: int, dropout: float) -> None:
        super().__init__()
        self.self_attention = Attention(size, heads, dropout)
        self.cross_attention = Attention(size, heads, dropout)
        self.feed_forward = _feed_forward(size, feed_forward_size, dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(3))
        self.dropout = Dropout(dropout)

    def forward(
        self,
        tokens: Tensor,
        memory: Tensor,
        allowed: Tensor | None = None,
        readable: Tensor | None = None,
    ) -> Tensor:
        """`allowed` and `readable` say which tokens, and which of the memory, a token sees; None for all."""
        first, second, third = self.norms
        tokens = first(tokens + self.dropout(self.self_attention(tokens, tokens, allowed)))
        tokens = second(tokens + self.dropout(self.cross_attention(tokens, memory, readable)))
        output: Tensor = third(tokens + self.feed_forward(tokens))
        return output


def _feed_forward(size: int, width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(size, width), nn.ReLU(), Dropout(dropout), nn.Linear(width, size), Dropout(dropout)
    )


def _scores(asked: Asked, keys: Tensor) -> Tensor:
    """`[B, heads, Q, S]` of keys `[B, heads, S, H / heads]`."""
    return asked.queries @ keys.transpose(-1, -2) / math.sqrt(keys.shape[-1])


def _causal(exists: Tensor) -> Tensor:
    """Bool `[N, 1, L, L]`: a token sees those before it that exist, and itself, so that it sees one."""
    length = exists.shape[1]
    before = torch.ones(length, length, dtype=torch.bool, device=exists.device).tril()
    itself = torch.eye(length, dtype=torch.bool, device=exists.device)
    return ((before & exists.unsqueeze(1)) | itself).unsqueeze(1)


def _sinusoids(length: int, size: int) -> Tensor:
    """Positions `[length, size]`: sine and cosine in turns (Vaswani et al., 2017)."""
    angles = torch.arange(length).unsqueeze(1) / 10000 ** (torch.arange(0, size, 2) / size)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
