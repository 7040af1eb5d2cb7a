"""A label for each word: that which is said of the word's first token."""

import logging
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from prolepsis.text.downstream.config import FineTuningConfig
from prolepsis.text.downstream.heads.base import (
    EncoderWithOutput,
    Outputs,
    cross_entropy_sum,
    require_special_tokens,
)
from prolepsis.text.downstream.metrics import NOTHING
from prolepsis.text.downstream.rows import Batch, Row
from prolepsis.text.downstream.tasks import Example
from prolepsis.text.downstream.windows import window_of_most_context, window_starts
from prolepsis.text.tokenizers import Tokenizer

_NO_TOKEN = -1
_logger = logging.getLogger(__name__)


class TaggingHead:
    """Words joined by spaces, encoded as any text, and a class for each word's first token.

    A sentence longer than a row is read in overlapping windows, and each word counts in the one where it has
    most context. A word of which the tokenizer leaves nothing (a lone control character) has no prediction,
    and that is counted as wrong.
    """

    def __init__(self, tokenizer: Tokenizer, config: FineTuningConfig, labels: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._labels = labels
        self._head_dropout = config.head_dropout
        self._cls, self._sep, _ = require_special_tokens(tokenizer)
        self._room = config.max_length - 2
        self._stride = config.stride or max(1, self._room // 2)
        self._number_of = {label: number for number, label in enumerate(labels)}

    def rows(self, examples: Sequence[Example]) -> list[Row]:
        encodings = self._tokenizer.encode_batch_with_offsets([" ".join(one.words) for one in examples])
        rows: list[Row] = []
        num_lost = 0
        for number, (example, encoding) in enumerate(zip(examples, encodings, strict=True)):
            first = first_tokens(example.words, encoding.offsets)
            num_lost += int((first == _NO_TOKEN).sum())
            rows += self._windows(number, example, encoding.ids, first)
        if num_lost:
            _logger.warning("The tokenizer leaves nothing of %d words; they count as wrong.", num_lost)
        return rows

    def build_model(self, encoder: nn.Module) -> nn.Module:
        return TokenClassifier(encoder, len(self._labels), self._head_dropout)

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        return cross_entropy_sum(logits, batch.targets)

    def split(self, logits: Tensor, batch: Batch) -> list[Tensor]:
        counts = batch.place_rows.bincount(minlength=len(batch.token_ids))
        return list(torch.split(logits, counts.tolist()))

    def decode(
        self, rows: Sequence[Row], outputs: Outputs, examples: Sequence[Example]
    ) -> list[tuple[str, ...]]:
        said = [[NOTHING] * len(example.words) for example in examples]
        for row, logits in zip(rows, outputs, strict=True):
            for word, label in zip(row.origin, logits.argmax(axis=-1), strict=True):
                said[row.example][word] = self._labels[label]
        return [tuple(labels) for labels in said]

    def _windows(
        self, number: int, example: Example, token_ids: NDArray[np.int32], first: NDArray[np.int64]
    ) -> list[Row]:
        starts = window_starts(len(token_ids), self._room, self._stride)
        window_of = window_of_most_context(len(token_ids), self._room, starts)
        words = np.flatnonzero(first != _NO_TOKEN)
        rows = []
        for window, start in enumerate(starts):
            tokens = token_ids[start : start + self._room]
            inside = words[window_of[first[words]] == window]
            targets = [self._number_of[example.labels[word]] if example.labels else 0 for word in inside]
            rows.append(
                Row(
                    example=number,
                    token_ids=np.concatenate([(self._cls,), tokens, (self._sep,)]).astype(np.int64),
                    second_start=len(tokens) + 2,
                    places=first[inside] - start + 1,
                    targets=np.array(targets, np.int64),
                    origin=inside,
                )
            )
        return rows


class TokenClassifier(EncoderWithOutput):
    """Logits of the classes for each place, [N, classes]."""

    def forward(self, batch: Batch) -> Tensor:
        return self.logits(self.hidden(batch)[batch.place_rows, batch.places])


def first_tokens(words: Sequence[str], offsets: NDArray[np.integer]) -> NDArray[np.int64]:
    """The first token of each word when the words are joined by spaces; -1 where there is none.

    Args:
        offsets: [N, 2], which characters of the joined words each token stands for. A token may begin with
            the space before its word.
    """
    lengths = np.array([len(word) for word in words], np.int64)
    starts = np.cumsum(lengths + 1) - (lengths + 1)
    # The first token that ends behind the word's start is the word's, if it begins before the word's end.
    tokens = np.searchsorted(offsets[:, 1], starts, side="right")
    found = tokens < len(offsets)
    begins = np.where(found, offsets[np.minimum(tokens, len(offsets) - 1), 0] if len(offsets) else 0, 0)
    return np.where(found & (begins < starts + lengths), tokens, _NO_TOKEN)
