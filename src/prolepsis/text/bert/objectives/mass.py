"""MASS (Song et al. 2019): hide half of a sentence in one piece, let the decoder write that piece.

Follows microsoft/MASS, `MASS-unsupNMT/src/trainer.py`, where it is plainer than the paper: the fragment may
hold the end of the sentence, never its beginning; what stands in the source in place of the fragment is
[MASK] for 80 %, a random token for 10 % and the token itself for 10 %; the decoder reads the tokens before
those it predicts, at the positions that they have in the source, and does not look at [MASK].
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from prolepsis.text.bert.examples import TextBlockExamples, TextBlocks, plan_text_blocks
from prolepsis.text.bert.masking import hide
from prolepsis.text.bert.segment_pairs import SentenceTable
from prolepsis.text.bert.sequence_to_sequence import (
    SequencePair,
    SequenceToSequenceConfig,
    SequenceToSequenceObjective,
)
from prolepsis.text.token_shards import TokenSplit

# With `fragment_start: edges`, of five fragments one is at the sentence's beginning and one at its end.
_EDGE_SHARE = 0.2


class MassObjective(SequenceToSequenceObjective):
    """Reconstruct a contiguous half of a sentence from the other half."""

    name = "mass"

    class Config(SequenceToSequenceConfig):
        """The paper's values."""

        word_mass: float = Field(0.5, gt=0, lt=1)
        """Share of an example's tokens that are hidden, in one piece."""
        fragment_start: Literal["uniform", "edges"] = "uniform"
        """`uniform`: any place is as likely as another, as the paper says; `edges`: a fifth of the fragments
        begin the sentence, a fifth end it, as in the published code."""
        decoder_sees_masks: bool = False
        """Whether the decoder may look at what the encoder made of [MASK]; the published code forbids it."""
        sample_break_mode: Literal["eos", "complete", "none"] = "eos"
        """What is an example: `eos`, a sentence, as in the paper; `complete`, as many whole sentences as fit;
        `none`, as many tokens as fit. The names are fairseq's."""
        output_bias: Literal["none", "zeros", "token_frequencies"] = "zeros"
        """Whether the output has a bias, as in the published code, and where it starts: at zeros, or so that
        tokens are guessed by frequency."""

    @property
    def longest_target(self) -> int:
        return int(fragment_lengths(np.array([self.max_length]), self.config.word_mass)[0])

    def pairs(self, split: TokenSplit, seed: int, pass_index: int) -> "MassPairs":
        special = self.tokenizer.special_ids
        table, room = SentenceTable.of(split), self.max_length - 2
        if self.config.sample_break_mode == "eos":
            blocks = plan_sentences(table, room)
        else:
            whole = self.config.sample_break_mode == "complete"
            blocks = plan_text_blocks(table, room, whole_sentences=whole)
        return MassPairs(TextBlockExamples(split, blocks, (special["cls"],), (special["sep"],)), self)

    def corrupt(self, token_ids: NDArray[np.int64], random: np.random.Generator) -> SequencePair:
        """Moves a fragment of `[CLS] text [SEP]` from the source to the target."""
        mask_id = self.tokenizer.special_ids["mask"]
        length = len(token_ids)
        count = int(fragment_lengths(np.array([length]), self.config.word_mass)[0])
        fragment = np.arange(count) + self._start(length - count, random)
        hidden = hide(
            token_ids,
            fragment,
            mask_id=mask_id,
            vocabulary_size=self.tokenizer.vocabulary_size,
            random=random,
        )
        return SequencePair(
            source_ids=hidden.token_ids,
            is_visible=(hidden.token_ids != mask_id) | self.config.decoder_sees_masks,
            decoder_ids=token_ids[fragment - 1],
            decoder_positions=fragment - 1,
            target_ids=token_ids[fragment],
        )

    def _start(self, last: int, random: np.random.Generator) -> int:
        """Where the fragment begins, between 1 and `last`."""
        if self.config.fragment_start == "edges":
            place = random.random()
            if place < _EDGE_SHARE:
                return 1
            if place < 2 * _EDGE_SHARE:
                return last
        return int(random.integers(1, last, endpoint=True))


@dataclass(frozen=True)
class MassPairs:
    """Sentences, or runs of them, and their fragments."""

    examples: TextBlockExamples
    objective: MassObjective

    @property
    def source_lengths(self) -> NDArray[np.int64]:
        return self.examples.lengths

    @cached_property
    def target_lengths(self) -> NDArray[np.int64]:
        return fragment_lengths(self.examples.lengths, self.objective.config.word_mass)

    def pair(self, number: int, random: np.random.Generator) -> SequencePair:
        return self.objective.corrupt(self.examples[number].token_ids, random)


def fragment_lengths(lengths: NDArray[np.int64], word_mass: float) -> NDArray[np.int64]:
    """Hidden tokens of examples with so many, special ones included: at least one, and never the first."""
    return np.asarray(np.clip(np.rint(lengths * word_mass), 1, lengths - 1), np.int64)


def plan_sentences(table: SentenceTable, max_tokens: int) -> TextBlocks:
    """Every sentence by itself, cut where it is longer than `max_tokens`."""
    starts, stops = table.bounds[:-1], table.bounds[1:]
    document = np.repeat(table.documents, np.diff(table.offsets))[:-1]
    # The end of one document and the start of the next bound no sentence.
    inside = np.ones(len(starts), np.bool_)
    inside[table.offsets[1:-1] - 1] = False
    starts, stops, document = starts[inside], stops[inside], document[inside]
    num_pieces = -(-(stops - starts) // max_tokens)
    piece = np.arange(num_pieces.sum()) - np.repeat(np.cumsum(num_pieces) - num_pieces, num_pieces)
    first = (np.repeat(starts, num_pieces) + piece * max_tokens).astype(np.int32)
    last = np.minimum(first + max_tokens, np.repeat(stops, num_pieces))
    return TextBlocks(np.repeat(document, num_pieces), first, last)
