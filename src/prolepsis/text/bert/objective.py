"""What a pretraining objective is: the contract of the plugin group `prolepsis.pretraining_objectives`.

An objective decides what the model is asked and how the answer is scored. It cuts a split of token shards
into examples, packs them into rows of one length, makes batches of rows, builds the encoder with the heads
that it needs, and measures a batch. Optimizer, steps, validation and checkpoints are not its business
(`pretraining.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel
from torch import Tensor, nn

from prolepsis.text.bert.config import BertConfig
from prolepsis.text.token_shards import TokenSplit
from prolepsis.text.tokenizers import Tokenizer


@dataclass(frozen=True)
class Measure:
    """A mean in the making: the sum of a quantity over a batch's items, and how many items there were."""

    total: Tensor
    count: float

    @property
    def mean(self) -> Tensor:
        return self.total / (self.count or 1)


@dataclass(frozen=True)
class Measures:
    """A model's losses, the sum of whose means training minimises, and what else is worth knowing."""

    losses: dict[str, Measure]
    others: dict[str, Measure]

    @property
    def loss(self) -> Tensor:
        return torch.stack([measure.mean for measure in self.losses.values()]).sum()

    def over(self, num_targets: Mapping[str, float]) -> Self:
        """The same with losses that are taken over so many items each, not over the batch's own."""
        losses = {name: Measure(one.total, num_targets[name]) for name, one in self.losses.items()}
        return replace(self, losses=losses)


class PretrainingBatch(Protocol):
    """What one step trains on; further fields are between an objective's `plan` and its `measure`."""

    @property
    def token_ids(self) -> Tensor:
        """What the encoder reads, int64 [rows, length]."""
        ...

    @property
    def num_real_tokens(self) -> int:
        """Tokens that are not padding."""
        ...

    def to(self, device: torch.device) -> Self: ...


class RowPlan(Protocol):
    """The rows of one pass over a split, in the order in which they are used."""

    def __len__(self) -> int: ...

    @property
    def num_real_tokens(self) -> int:
        """Tokens of all rows that are not padding."""
        ...

    def batch(self, rows: NDArray[np.int64]) -> PretrainingBatch:
        """The batch of these rows: the same whenever, wherever and in whatever order it is asked for."""
        ...


class PretrainingObjective(Protocol):
    """A plugin, built as `cls(cls.Config(...), tokenizer)`."""

    Config: ClassVar[type[BaseModel]]
    config: Any
    compares_with_unigram_entropy: ClassVar[bool]
    """Whether who knows but how frequent each token is would have the unigram entropy as `masked_loss`.

    Not so where a decoder reads the true tokens before each one, or has others to say than the text's.
    """

    def __init__(self, config: Any, tokenizer: Tokenizer) -> None:
        """Raises ProlepsisError if the tokenizer lacks a special token that is needed."""
        ...

    @property
    def max_length(self) -> int:
        """Tokens in a row."""
        ...

    def build_model(self, config: BertConfig, token_counts: NDArray[np.int64]) -> nn.Module:
        """An untrained model for a training split with these token counts.

        Its attribute `encoder` is the `BertEncoder` that is pretrained; heads and other parts are free.
        """
        ...

    def plan(self, split: TokenSplit, seed: int, pass_index: int) -> RowPlan:
        """The rows of one pass over the split, all drawn from (seed, pass_index)."""
        ...

    def measure(self, model: Any, batch: Any) -> Measures:
        """How well the model (of `build_model`) does on a batch (of a plan).

        One of the losses is called `masked_loss`: that on hidden tokens, which curves and pictures show.
        """
        ...

    def num_targets(self, batch: Any) -> dict[str, int]:
        """How many items of a batch each of the losses is over: the counts of `measure`, before it is called.

        An optimizer step whose batch comes in parts takes its losses over the items of all of them.
        """
        ...

    def for_validation(self) -> Self:
        """The objective as models are compared by: 15 % of the tokens hidden, whatever training hides."""
        ...

    def shortened(self, max_length: int) -> Self:
        """The same objective over rows of fewer tokens, for the first part of a run."""
        ...
