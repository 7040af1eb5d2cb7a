"""T5's span corruption (Raffel et al. 2020): sentinels stand for spans of the text, the decoder writes these.

Follows google-research/text-to-text-transfer-transformer, t5/data/preprocessors.py (`span_corruption`), but
no example runs over the end of a document. The sentinels are tokens behind the tokenizer's, so the model's
`vocab_size` must have room for them; [SEP] plays the part of T5's end of sequence, [PAD] starts the decoder.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from prolepsis.errors import ProlepsisError
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.examples import TextBlocks, plan_text_blocks
from prolepsis.text.bert.objectives.masked import VALIDATION_PROBABILITY
from prolepsis.text.bert.segment_pairs import SentenceTable
from prolepsis.text.bert.sequence_to_sequence import (
    EncoderDecoder,
    SequencePair,
    SequenceToSequenceConfig,
    SequenceToSequenceObjective,
)
from prolepsis.text.token_shards import TokenSplit


class T5Objective(SequenceToSequenceObjective):
    """Reconstruct spans that sentinels stand for, 15 % of the tokens."""

    name = "t5"
    special_parts = ("pad", "cls", "sep")

    class Config(SequenceToSequenceConfig):
        """The paper's values."""

        noise_density: float = Field(0.15, gt=0, lt=1)
        """Share of an example's tokens that are taken out."""
        mean_noise_span_length: float = Field(3.0, ge=1)
        """Tokens to a span, on average."""
        with_cls: bool = False
        """Whether [CLS] begins what the encoder reads. T5 has no such token; an encoder that is to be
        fine-tuned by the vector of its first token has then seen it."""

    @property
    def longest_text(self) -> int:
        """Most tokens of an example before corruption: as many as leave `max_length` of them."""
        room = self.max_length - self._num_special
        lengths = np.arange(1, int(room / (1 - self.config.noise_density)) + 2)
        # Sentinels aside, a source grows with its text or stays as long, so these are the first ones.
        return int((self.source_lengths(lengths) <= self.max_length).sum())

    @property
    def longest_target(self) -> int:
        return int(self.target_lengths(np.array([self.longest_text]))[0])

    @property
    def num_sentinels(self) -> int:
        """As many as the longest text has spans, in training or validation."""
        most = [
            int(one.span_counts(np.array([one.longest_text]))[1][0]) for one in (self, self.for_validation())
        ]
        return max(most)

    @property
    def sentinel_ids(self) -> range:
        return range(self.first_sentinel, self.first_sentinel + self.num_sentinels)

    @property
    def first_sentinel(self) -> int:
        return self.tokenizer.vocabulary_size

    def build_model(self, config: BertConfig, token_counts: NDArray[np.int64]) -> EncoderDecoder:
        needed = self.sentinel_ids.stop
        if needed > config.vocab_size:
            raise ProlepsisError(
                f"The tokenizer's {self.tokenizer.vocabulary_size} tokens and t5's {self.num_sentinels} "
                f"sentinels behind them need {needed} embeddings, the model has {config.vocab_size}.",
                where="model.vocab_size",
                remedy=f"Set model.vocab_size to at least {needed}, or max_length lower: fewer sentinels.",
            )
        return super().build_model(config, token_counts)

    def target_counts(self, token_counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sentinels and [SEP] are a fifth of the targets: each comes once in those of a long text."""
        noise, spans = (int(counts[0]) for counts in self.span_counts(np.array([self.longest_text])))
        counts = np.zeros(self.first_sentinel + spans, np.int64)
        counts[: len(token_counts)] = token_counts
        counts[self.first_sentinel :] += token_counts.sum() // noise
        counts[self.tokenizer.special_ids["sep"]] += token_counts.sum() // noise
        return counts

    def pairs(self, split: TokenSplit, seed: int, pass_index: int) -> "T5Pairs":
        blocks = plan_text_blocks(SentenceTable.of(split), self.longest_text, whole_sentences=False)
        return T5Pairs(split, blocks, self)

    def corrupt(self, text: NDArray[np.int64], random: np.random.Generator) -> SequencePair:
        """Takes spans out of a text without special tokens."""
        special = self.tokenizer.special_ids
        density, mean_length = self.config.noise_density, self.config.mean_noise_span_length
        is_noise = random_spans_noise_mask(len(text), density, mean_length, random)
        prefix = (special["cls"],) if self.config.with_cls else ()
        source = sentinels_for_spans(text, is_noise, self.first_sentinel)
        target = sentinels_for_spans(text, ~is_noise, self.first_sentinel)
        return SequencePair.whole(
            np.concatenate([prefix, source, (special["sep"],)]).astype(np.int64),
            np.concatenate([target, (special["sep"],)]).astype(np.int64),
            start_id=special["pad"],
        )

    def source_lengths(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens that texts of so many have after corruption, sentinels and special tokens included."""
        noise, spans = self.span_counts(lengths)
        return lengths - noise + spans + self._num_special

    def target_lengths(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens of the targets of texts of so many tokens, sentinels and the last [SEP] included."""
        noise, spans = self.span_counts(lengths)
        # A single token stays, and is counted as if there were another one that does not.
        return np.where(lengths == 1, spans, noise + spans) + 1

    def span_counts(self, lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """`span_counts` of texts of so many tokens."""
        return span_counts(lengths, self.config.noise_density, self.config.mean_noise_span_length)

    def for_validation(self) -> Self:
        """At 15 % noise, with a row of targets to fit if training has another share."""
        if self.config.noise_density == VALIDATION_PROBABILITY:
            return self
        return self._with(noise_density=VALIDATION_PROBABILITY, target_length=None)

    @property
    def _num_special(self) -> int:
        return 2 if self.config.with_cls else 1


@dataclass(frozen=True)
class T5Pairs:
    """Runs of a document's tokens, corrupted."""

    split: TokenSplit
    blocks: TextBlocks
    objective: T5Objective

    @cached_property
    def source_lengths(self) -> NDArray[np.int64]:
        return self.objective.source_lengths(self._lengths)

    @cached_property
    def target_lengths(self) -> NDArray[np.int64]:
        return self.objective.target_lengths(self._lengths)

    def pair(self, number: int, random: np.random.Generator) -> SequencePair:
        blocks = self.blocks
        document = self.split.document(int(blocks.document[number]))
        text = document[blocks.start[number] : blocks.stop[number]].astype(np.int64)
        return self.objective.corrupt(text, random)

    @property
    def _lengths(self) -> NDArray[np.int64]:
        return (self.blocks.stop - self.blocks.start).astype(np.int64)


def span_counts(
    lengths: NDArray[np.int64], noise_density: float, mean_length: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many tokens of texts of so many tokens are noise, and in how many spans they lie; int64 both.

    A text of one token is counted as if it had two.
    """
    lengths = np.maximum(lengths, 2)
    # In 32 bits, as the original, where the product of 190 and 0.15 is not half-way between two integers.
    noise = np.rint(lengths.astype(np.float32) * np.float32(noise_density)).astype(np.int64)
    noise = np.clip(noise, 1, lengths - 1)
    spans = np.rint(noise.astype(np.float32) / np.float32(mean_length)).astype(np.int64)
    # Between the spans must be something: the original fails where the noise leaves too little.
    return noise, np.clip(spans, 1, lengths - noise)


def random_spans_noise_mask(
    length: int, noise_density: float, mean_length: float, random: np.random.Generator
) -> NDArray[np.bool_]:
    """Which tokens of a text are noise, bool [length].

    Spans that stay and spans of noise take turns, the first stays; how the tokens of either kind are divided
    among as many spans as `span_counts` says is drawn from all ways with equal probability.
    """
    noise, spans = (int(counts[0]) for counts in span_counts(np.array([length]), noise_density, mean_length))
    whole = max(length, 2)
    lengths = np.stack(
        [random_segmentation(whole - noise, spans, random), random_segmentation(noise, spans, random)], axis=1
    ).ravel()
    return np.repeat(np.arange(2 * spans) % 2 == 1, lengths)[:length]


def random_segmentation(num_items: int, num_segments: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Divides items into non-empty segments, all ways equally likely; the segments' lengths, int64."""
    cuts = 1 + np.sort(random.permutation(num_items - 1)[: num_segments - 1])
    return np.asarray(np.diff(np.concatenate([(0,), cuts, (num_items,)])), np.int64)


def sentinels_for_spans(
    tokens: NDArray[np.int64], is_replaced: NDArray[np.bool_], first_sentinel: int
) -> NDArray[np.int64]:
    """Puts a sentinel in the place of each run of replaced tokens: the first, the next, and so on."""
    follows = np.concatenate([(False,), is_replaced[:-1]])
    begins, continues = is_replaced & ~follows, is_replaced & follows
    with_sentinels = np.where(begins, first_sentinel - 1 + np.cumsum(begins), tokens)
    return np.asarray(with_sentinels[~continues], np.int64)
