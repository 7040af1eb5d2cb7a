"""An answer inside a paragraph: the likeliest start and end (Devlin et al. 2019, section 4.2)."""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from prolepsis.errors import ProlepsisError
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
from prolepsis.text.tokenizers import Encoding, Tokenizer

_OUTSIDE = -1
_NO_PLACES = np.empty(0, np.int64)
_logger = logging.getLogger(__name__)


class AnswerHead:
    """[CLS] question [SEP] paragraph [SEP]; a long paragraph is read in overlapping windows.

    Trained on the first of the accepted answers; in a window that does not hold all of it, [CLS] is the
    target of both ends. An answer begins in the window where its first token has most context.
    """

    def __init__(self, tokenizer: Tokenizer, config: FineTuningConfig) -> None:
        self._tokenizer = tokenizer
        self._config = config
        self._cls, self._sep, _ = require_special_tokens(tokenizer)
        if config.max_length - config.max_question_tokens - 3 < 1:
            raise ProlepsisError(
                f"Rows of {config.max_length} tokens have no room for a paragraph beside a question of "
                f"{config.max_question_tokens}.",
                where="max_length",
                remedy="make max_length larger, or max_question_tokens smaller",
            )

    def rows(self, examples: Sequence[Example]) -> list[Row]:
        questions = self._tokenizer.encode_batch([example.second_text for example in examples])
        contexts = self._tokenizer.encode_batch_with_offsets([example.text for example in examples])
        most = self._config.max_question_tokens
        num_cut = sum(len(question) > most for question in questions)
        if num_cut:
            _logger.warning("%d questions are longer than %d tokens and were cut.", num_cut, most)
        return [
            row
            for number, example in enumerate(examples)
            for row in self._windows(number, example, questions[number][:most], contexts[number])
        ]

    def build_model(self, encoder: nn.Module) -> nn.Module:
        return SpanFinder(encoder, 2, self._config.head_dropout)

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The sum of the losses of both ends; padding is no candidate."""
        targets = batch.targets.view(-1, 2)
        masked = logits.float().masked_fill(~batch.is_token.unsqueeze(-1), float("-inf"))
        return cross_entropy_sum(masked[..., 0], targets[:, 0]) + cross_entropy_sum(
            masked[..., 1], targets[:, 1]
        )

    def split(self, logits: Tensor, batch: Batch) -> list[Tensor]:
        lengths = batch.is_token.sum(dim=1).tolist()
        return [row[:length] for row, length in zip(logits, lengths, strict=True)]

    def decode(
        self, rows: Sequence[Row], outputs: Outputs, examples: Sequence[Example]
    ) -> list[tuple[str, ...]]:
        best = [-np.inf] * len(examples)
        said = [NOTHING] * len(examples)
        for row, logits in zip(rows, outputs, strict=True):
            spans = row.origin.reshape(-1, 3)
            found = best_span(logits, spans, self._config.max_answer_tokens)
            if found[2] > best[row.example]:
                best[row.example] = found[2]
                text = examples[row.example].text
                said[row.example] = text[spans[found[0], 0] : spans[found[1], 1]].strip()
        return [(answer,) for answer in said]

    def _windows(
        self, number: int, example: Example, question: NDArray[np.int32], context: Encoding
    ) -> list[Row]:
        room = self._config.max_length - len(question) - 3
        starts = window_starts(len(context.ids), room, self._config.stride or max(1, room // 2))
        window_of = window_of_most_context(len(context.ids), room, starts)
        before = len(question) + 2
        first, last = _answer_tokens(example, context.offsets)
        rows = []
        for window, start in enumerate(starts):
            tokens = context.ids[start : start + room]
            stop = start + len(tokens)
            targets = [0, 0]
            if first is not None and last is not None and start <= first and last < stop:
                targets = [first - start + before, last - start + before]
            # The characters that each token stands for, and whether an answer may begin there.
            origin = np.full((before + len(tokens) + 1, 3), _OUTSIDE, np.int64)
            origin[before:-1, :2] = context.offsets[start:stop]
            origin[before:-1, 2] = window_of[start:stop] == window
            rows.append(
                Row(
                    example=number,
                    token_ids=np.concatenate(
                        [(self._cls,), question, (self._sep,), tokens, (self._sep,)]
                    ).astype(np.int64),
                    second_start=before,
                    places=_NO_PLACES,
                    targets=np.array(targets, np.int64),
                    origin=origin.ravel(),
                )
            )
        return rows


class SpanFinder(EncoderWithOutput):
    """Logits of being the start and the end of the answer, [rows, length, 2]."""

    def forward(self, batch: Batch) -> Tensor:
        return self.logits(self.hidden(batch))


def best_span(
    logits: NDArray[np.float32], spans: NDArray[np.int64], max_tokens: int
) -> tuple[int, int, float]:
    """The start and the end token with the largest sum of logits, and the sum; -inf where none is possible.

    Args:
        logits: [length, 2], of starts and of ends.
        spans: [length, 3]: the characters from and to which a token stands for, negative outside the
            paragraph, and 1 where an answer may begin.
        max_tokens: the longest answer.
    """
    is_inside = spans[:, 0] >= 0
    begin = np.where(is_inside & (spans[:, 2] == 1), logits[:, 0], -np.inf)
    end = np.where(is_inside, logits[:, 1], -np.inf)
    # Row i of `ends` holds the ends of answers of which i is the start.
    padded = np.concatenate([end, np.full(max_tokens - 1, -np.inf)])
    ends = np.lib.stride_tricks.sliding_window_view(padded, max_tokens)
    sums = begin[:, None] + ends
    start, length = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(start), int(start + length), float(sums[start, length])


def _answer_tokens(example: Example, offsets: NDArray[np.int32]) -> tuple[int | None, int | None]:
    """The first and the last token of the first accepted answer, None where there is none."""
    if not example.labels or not len(offsets):
        return None, None
    start = example.answer_starts[0]
    stop = start + len(example.labels[0])
    first = int(np.searchsorted(offsets[:, 1], start, side="right"))
    last = int(np.searchsorted(offsets[:, 0], stop, side="left")) - 1
    return (first, last) if first <= last else (None, None)
