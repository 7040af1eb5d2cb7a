"""BART (Lewis et al. 2020): a mask for each span, sentences in another order; the decoder restores the text.

Follows fairseq, fairseq/data/denoising_dataset.py, with the values of the paper, which are not that code's
defaults; spans are counted in tokens as in the paper, where fairseq counts words. Where spans overlap they
become one, so a little less than the given share is hidden.

A source is shorter than its text, but the target row beside it has room for the whole text and no more. So
rows of sources stay less than full: 77.5 % on 50 MB of books and encyclopedia articles in rows of 128 tokens,
where those of MASS are 94.4 % full. `target_length` makes target rows longer.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pydantic import Field

from prolepsis.text.bert.examples import TextBlocks, plan_text_blocks
from prolepsis.text.bert.segment_pairs import SentenceTable
from prolepsis.text.bert.sequence_to_sequence import (
    SequencePair,
    SequenceToSequenceConfig,
    SequenceToSequenceObjective,
)
from prolepsis.text.bert.splitmix import between, state_of, uniform
from prolepsis.text.token_shards import TokenSplit

# What becomes of a token.
_KEPT, _MASK, _DROPPED = 0, 1, 2
# Poisson probabilities below this are taken for zero, as in fairseq.
_SMALLEST_PROBABILITY = 1e-7
# Source and target are framed by [CLS] and [SEP].
_NUM_SPECIAL = 2


class BartObjective(SequenceToSequenceObjective):
    """Restore a text from shuffled sentences in which spans of any length became one mask each."""

    name = "bart"

    class Config(SequenceToSequenceConfig):
        """The paper's values."""

        mask: float = Field(0.3, ge=0, lt=1)
        """Share of an example's tokens that the spans are long, taken together."""
        poisson_lambda: float = Field(3.0, gt=0)
        """Mean length of the spans, whose lengths follow a Poisson distribution; a span of none inserts a
        mask."""
        permute_sentences: float = Field(1.0, ge=0, le=1)
        """Share of an example's sentences that change places."""
        rotate: float = Field(0.0, ge=0, le=1)
        """Share of examples that are rotated, so that they begin anywhere."""
        sample_break_mode: Literal["complete", "none"] = "complete"
        """`complete`: examples end with a sentence; `none`: they are as long as a row, but for the last of a
        document. The names are fairseq's."""

    @property
    def longest_target(self) -> int:
        return self.max_length

    def pairs(self, split: TokenSplit, seed: int, pass_index: int) -> "BartPairs":
        blocks = plan_text_blocks(
            SentenceTable.of(split),
            self.max_length - _NUM_SPECIAL,
            whole_sentences=self.config.sample_break_mode == "complete",
        )
        return BartPairs(split, blocks, self, seed, pass_index)

    @cached_property
    def span_distribution(self) -> NDArray[np.float64]:
        """Probability of spans of at most 0, 1, … tokens."""
        return poisson_distribution(self.config.poisson_lambda)

    def corrupt(
        self,
        text: NDArray[np.int64],
        sentence_starts: NDArray[np.integer[Any]],
        infilling: "Infilling",
        random: np.random.Generator,
    ) -> SequencePair:
        """Corrupts a text without special tokens.

        Args:
            sentence_starts: where in the text its sentences begin, from 0 on.
        """
        special = self.tokenizer.special_ids
        source = permute_sentences(text, sentence_starts, self.config.permute_sentences, random)
        source = infilling.fill(source, special["mask"], random)
        if self.config.rotate and random.random() < self.config.rotate:
            source = np.roll(source, -int(random.integers(len(source), endpoint=True)))
        begin, end = (special["cls"],), (special["sep"],)
        # fairseq's decoder starts from the end of sequence, and writes the beginning first.
        return SequencePair.whole(
            np.concatenate([begin, source, end]).astype(np.int64),
            np.concatenate([begin, text, end]).astype(np.int64),
            start_id=special["sep"],
        )


@dataclass(frozen=True)
class BartPairs:
    """Runs of whole sentences, corrupted."""

    split: TokenSplit
    blocks: TextBlocks
    objective: BartObjective
    seed: int
    pass_index: int

    @cached_property
    def source_lengths(self) -> NDArray[np.int64]:
        lengths = _filled_lengths(self._lengths, *self._how, np.uint64(self.seed), np.uint64(self.pass_index))
        return np.asarray(lengths) + _NUM_SPECIAL

    @property
    def target_lengths(self) -> NDArray[np.int64]:
        return self._lengths + _NUM_SPECIAL

    def pair(self, number: int, random: np.random.Generator) -> SequencePair:
        blocks = self.blocks
        document, start, stop = (int(of[number]) for of in (blocks.document, blocks.start, blocks.stop))
        text = self.split.document(document)[start:stop].astype(np.int64)
        starts = self.split.sentence_starts(document)
        inside = starts[(starts > start) & (starts < stop)] - start
        state = state_of(np.uint64(self.seed), np.uint64(self.pass_index), np.uint64(number))
        infilling = Infilling.draw(len(text), *self._how, state)
        return self.objective.corrupt(text, np.concatenate([(0,), inside]), infilling, random)

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        return (self.blocks.stop - self.blocks.start).astype(np.int64)

    @property
    def _how(self) -> tuple[float, NDArray[np.float64], int]:
        objective = self.objective
        return objective.config.mask, objective.span_distribution, objective.max_length - _NUM_SPECIAL


@dataclass(frozen=True)
class Infilling:
    """Where spans make place for masks, and how many masks are inserted besides.

    Attributes:
        fates: for each token of the text, whether it is kept, becomes a mask or is dropped, int8 [length].
        num_inserted: masks for spans of no tokens.
    """

    fates: NDArray[np.int8]
    num_inserted: int

    @classmethod
    def draw(
        cls, length: int, mask: float, distribution: NDArray[np.float64], max_length: int, state: Any
    ) -> Self:
        """Spans of a text of `length` tokens.

        Args:
            mask: share of the tokens that the spans are long.
            distribution: of `poisson_distribution`.
            max_length: no more masks are inserted than this leaves room for.
            state: of `splitmix.state_of`.
        """
        return cls(*_infilling(length, mask, distribution, max_length, state))

    def fill(self, tokens: NDArray[np.int64], mask_id: int, random: np.random.Generator) -> NDArray[np.int64]:
        """The tokens with masks in the place of spans, and further masks anywhere."""
        filled = np.where(self.fates == _MASK, mask_id, tokens)[self.fates != _DROPPED]
        length = len(filled) + self.num_inserted
        is_inserted = np.zeros(length, np.bool_)
        is_inserted[random.permutation(length)[: self.num_inserted]] = True
        result = np.full(length, mask_id, np.int64)
        result[~is_inserted] = filled
        return result


def poisson_distribution(mean: float) -> NDArray[np.float64]:
    """Probability of a number of at most 0, 1, …; large ones, less likely than 1e-7 each, are left out."""
    last = math.ceil(mean)
    while _poisson(last, mean) >= _SMALLEST_PROBABILITY:
        last += 1
    cumulative = np.cumsum([_poisson(count, mean) for count in range(last + 1)])
    return np.asarray(cumulative / cumulative[-1], np.float64)


def permute_sentences(
    text: NDArray[np.int64],
    sentence_starts: NDArray[np.integer[Any]],
    share: float,
    random: np.random.Generator,
) -> NDArray[np.int64]:
    """Lets a share of the sentences, rounded up, change places with one another."""
    sentences = np.split(text, sentence_starts[1:])
    order = np.arange(len(sentences))
    moved = random.permutation(len(sentences))[: math.ceil(len(sentences) * share)]
    order[moved] = random.permutation(moved)
    return np.concatenate([sentences[number] for number in order])


def _poisson(count: int, mean: float) -> float:
    return math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))


@njit(cache=True)
def _filled_lengths(
    lengths: Any, mask: float, distribution: Any, max_length: int, seed: Any, pass_index: Any
) -> Any:
    """Tokens of each text after infilling."""
    filled = np.empty(len(lengths), np.int64)
    for example in range(len(lengths)):
        state = state_of(seed, pass_index, np.uint64(example))
        fates, num_inserted = _infilling(lengths[example], mask, distribution, max_length, state)
        filled[example] = np.sum(fates != _DROPPED) + num_inserted
    return filled


@njit(cache=True)
def _infilling(length: int, mask: float, distribution: Any, max_length: int, state: Any) -> Any:
    fates = np.full(length, _KEPT, np.int8)
    budget = int(np.ceil(length * mask))
    num_inserted = 0
    # A span begins at a place of its own, drawn from all; it ends with the text at the latest.
    places = np.arange(length)
    num_spans, num_left = 0, budget
    lengths = np.empty(budget, np.int64)
    while num_left > 0:
        drawn = min(int(np.searchsorted(distribution, uniform(state), side="right")), num_left)
        if drawn == 0:
            num_inserted += 1
            continue
        other = between(state, num_spans, length - 1)
        places[num_spans], places[other] = places[other], places[num_spans]
        lengths[num_spans] = drawn
        fates[places[num_spans]] = _MASK
        num_left -= drawn
        num_spans += 1
    for span in range(num_spans):
        first = places[span] + 1
        fates[first : first + lengths[span] - 1] = _DROPPED
    room = max_length - np.sum(fates != _DROPPED)
    return fates, min(num_inserted, room)
