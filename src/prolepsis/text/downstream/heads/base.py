"""What a kind of task is to the training loop: text to rows, vectors to losses, logits to predictions."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from prolepsis.errors import ProlepsisError
from prolepsis.text.downstream.rows import Batch, Row
from prolepsis.text.downstream.tasks import Example
from prolepsis.text.tokenizers import Tokenizer

Outputs = Sequence[NDArray[np.float32]]


class Head(Protocol):
    """One kind of task."""

    def rows(self, examples: Sequence[Example]) -> list[Row]:
        """The rows of all examples; one whose truth is not known has targets of zero."""
        ...

    def build_model(self, encoder: nn.Module) -> nn.Module:
        """The encoder with a new output on it; its `forward(batch)` gives logits."""
        ...

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The sum of the losses of all targets, a scalar."""
        ...

    def split(self, logits: Tensor, batch: Batch) -> list[Tensor]:
        """The logits of each row."""
        ...

    def decode(
        self, rows: Sequence[Row], outputs: Outputs, examples: Sequence[Example]
    ) -> list[tuple[str, ...]]:
        """What is said of each example, from the logits of each row."""
        ...


class EncoderWithOutput(nn.Module):
    """An encoder, dropout, and a linear layer with BERT's initialisation."""

    def __init__(self, encoder: nn.Module, num_outputs: int, dropout: float) -> None:
        super().__init__()
        config: Any = encoder.config
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(config.hidden_size, num_outputs)
        deviation = config.initializer_range
        nn.init.trunc_normal_(self.output.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
        nn.init.zeros_(self.output.bias)

    def hidden(self, batch: Batch) -> Tensor:
        """The encoder's vectors, [rows, length, hidden_size]."""
        vectors: Tensor = self.encoder(
            batch.token_ids, batch.token_types, batch.positions, batch.attention_mask
        )
        return vectors

    def logits(self, vectors: Tensor) -> Tensor:
        scores: Tensor = self.output(self.dropout(vectors))
        return scores


def require_special_tokens(tokenizer: Tokenizer) -> tuple[int, int, int]:
    """The ids of [CLS], [SEP] and [PAD].

    Raises:
        ProlepsisError: the tokenizer lacks one of them.
    """
    ids = tokenizer.special_ids
    missing = [part for part in ("cls", "sep", "pad") if part not in ids]
    if missing:
        raise ProlepsisError(
            f"Fine-tuning needs special tokens that the tokenizer lacks: {', '.join(missing)}.",
            where=f"tokenizer {tokenizer.plugin} ({tokenizer.hash})",
            remedy="pretrain with a tokenizer that has them, such as wordpiece",
        )
    return ids["cls"], ids["sep"], ids["pad"]


def cross_entropy_sum(logits: Tensor, targets: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum")
