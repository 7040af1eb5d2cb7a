"""One label for a sentence, or for a pair of sentences."""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from prolepsis.text.downstream.config import FineTuningConfig
from prolepsis.text.downstream.heads.base import (
    EncoderWithOutput,
    Outputs,
    cross_entropy_sum,
    require_special_tokens,
)
from prolepsis.text.downstream.rows import Batch, Row
from prolepsis.text.downstream.tasks import Example
from prolepsis.text.tokenizers import Tokenizer

_FIRST = np.zeros(1, np.int64)
_logger = logging.getLogger(__name__)


class SequenceHead:
    """[CLS] A [SEP] or [CLS] A [SEP] B [SEP], and a class from the vector of [CLS] or the mean of all."""

    def __init__(
        self, tokenizer: Tokenizer, config: FineTuningConfig, labels: Sequence[str], *, pairs: bool
    ) -> None:
        self._tokenizer = tokenizer
        self._config = config
        self._labels = labels
        self._pairs = pairs
        self._cls, self._sep, _ = require_special_tokens(tokenizer)

    def rows(self, examples: Sequence[Example]) -> list[Row]:
        first = self._tokenizer.encode_batch([example.text for example in examples])
        second: Sequence[NDArray[np.int32]] = [np.empty(0, np.int32)] * len(examples)
        if self._pairs:
            second = self._tokenizer.encode_batch([example.second_text for example in examples])
        room = self._config.max_length - (3 if self._pairs else 2)
        num_cut = sum(len(a) + len(b) > room for a, b in zip(first, second, strict=True))
        if num_cut:
            _logger.warning("%d of %d texts are longer than a row and were cut.", num_cut, len(examples))
        return [
            self._row(number, example, *cut_pair(a, b, room))
            for number, (example, a, b) in enumerate(zip(examples, first, second, strict=True))
        ]

    def build_model(self, encoder: nn.Module) -> nn.Module:
        return SequenceClassifier(encoder, len(self._labels), self._config.head_dropout, self._config.pooling)

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        return cross_entropy_sum(logits, batch.targets)

    def split(self, logits: Tensor, batch: Batch) -> list[Tensor]:
        return list(logits)

    def decode(
        self, rows: Sequence[Row], outputs: Outputs, examples: Sequence[Example]
    ) -> list[tuple[str, ...]]:
        return [(self._labels[int(logits.argmax())],) for logits in outputs]

    def _row(self, number: int, example: Example, first: NDArray[np.int32], second: NDArray[np.int32]) -> Row:
        start, end = np.array([self._cls]), np.array([self._sep])
        parts = [start, first, end, second, end] if self._pairs else [start, first, end]
        target = self._labels.index(example.labels[0]) if example.labels else 0
        return Row(
            example=number,
            token_ids=np.concatenate(parts).astype(np.int64),
            second_start=len(first) + 2,
            places=_FIRST,
            targets=np.array([target]),
            origin=_FIRST,
        )


class SequenceClassifier(EncoderWithOutput):
    """Logits of the classes, [rows, classes]."""

    def __init__(self, encoder: nn.Module, num_classes: int, dropout: float, pooling: str) -> None:
        super().__init__(encoder, num_classes, dropout)
        self._takes_mean = pooling == "mean"

    def forward(self, batch: Batch) -> Tensor:
        hidden = self.hidden(batch)
        if not self._takes_mean:
            return self.logits(hidden[:, 0])
        weights = batch.is_token.to(hidden.dtype).unsqueeze(-1)
        return self.logits((hidden * weights).sum(dim=1) / weights.sum(dim=1))


def cut_pair(
    first: NDArray[np.int32], second: NDArray[np.int32], room: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Cuts the longer of two texts at its end, token by token, until both fit `room` tokens.

    Where they are equally long the second is cut, as in google-research/bert's run_classifier.py.
    """
    surplus = len(first) + len(second) - room
    if surplus <= 0:
        return first, second
    difference = len(first) - len(second)
    # First the longer one down to the shorter, then both in turn, the second before the first.
    alone = min(surplus, abs(difference))
    from_second = (surplus - alone + 1) // 2
    from_first = surplus - alone - from_second
    if difference > 0:
        from_first += alone
    else:
        from_second += alone
    return first[: len(first) - from_first], second[: len(second) - from_second]
