"""What a split of token shards is cut into for one pass: examples, each an input of the model by itself."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from prolepsis.text.bert.segment_pairs import SegmentPairs, SentenceTable
from prolepsis.text.token_shards import TokenSplit
from prolepsis.text.tokenizers import Tokenizer


class Example(NamedTuple):
    """One input before anything is hidden: its special tokens included, int64 [length] each.

    `label` answers the question about the whole example, 0 or 1; 0 where none is asked.
    """

    token_ids: NDArray[np.int64]
    token_types: NDArray[np.int64]
    label: int = 0


class Examples(Protocol):
    """The examples of one pass over a split."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each example, int64 [N], special ones included."""
        ...

    def __getitem__(self, number: int) -> Example: ...


@dataclass(frozen=True)
class SegmentPairExamples:
    """`[CLS] A [SEP] B [SEP]`; the types are 0 up to the first `[SEP]` and 1 behind it."""

    split: TokenSplit
    pairs: SegmentPairs
    tokenizer: Tokenizer

    @property
    def lengths(self) -> NDArray[np.int64]:
        return self.pairs.lengths

    def __getitem__(self, number: int) -> Example:
        pairs, special = self.pairs, self.tokenizer.special_ids
        a = self.split.document(int(pairs.document_a[number]))[pairs.start_a[number] : pairs.stop_a[number]]
        b = self.split.document(int(pairs.document_b[number]))[pairs.start_b[number] : pairs.stop_b[number]]
        separator = (special["sep"],)
        tokens = np.concatenate([(special["cls"],), a, separator, b, separator]).astype(np.int64)
        types = np.zeros(len(tokens), np.int64)
        types[len(a) + 2 :] = 1
        return Example(tokens, types, int(pairs.label[number]))


@dataclass(frozen=True)
class TextBlocks:
    """Runs of a document's tokens, `document[start:stop]`, int32 [N] each."""

    document: NDArray[np.int32]
    start: NDArray[np.int32]
    stop: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.document)


@dataclass(frozen=True)
class TextBlockExamples:
    """`prefix block suffix`, such as `[CLS] block [SEP]`, all of type 0."""

    split: TokenSplit
    blocks: TextBlocks
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]

    @property
    def lengths(self) -> NDArray[np.int64]:
        framed = len(self.prefix) + len(self.suffix)
        return (self.blocks.stop - self.blocks.start).astype(np.int64) + framed

    def __getitem__(self, number: int) -> Example:
        blocks = self.blocks
        tokens = self.split.document(int(blocks.document[number]))
        block = tokens[blocks.start[number] : blocks.stop[number]]
        framed = np.concatenate([self.prefix, block, self.suffix]).astype(np.int64)
        return Example(framed, np.zeros(len(framed), np.int64))


def plan_text_blocks(table: SentenceTable, max_tokens: int, *, whole_sentences: bool) -> TextBlocks:
    """Cuts every document into runs of at most `max_tokens`, none over a document's end.

    Args:
        whole_sentences: a run ends where a sentence does, unless a single sentence is longer than a run
            (RoBERTa's FULL-SENTENCES, within documents); else every run but a document's last one is full.
    """
    rows = _plan_blocks(table.bounds, table.offsets, max_tokens, whole_sentences)
    rows[:, 0] = table.documents[rows[:, 0]]
    return TextBlocks(*np.ascontiguousarray(rows.T))


@njit(cache=True)
def _plan_blocks(bounds: Any, offsets: Any, max_tokens: int, whole_sentences: bool) -> Any:
    num_documents = len(offsets) - 1
    most = 0
    for document in range(num_documents):
        first, last = offsets[document], offsets[document + 1]
        # A run that ends before a sentence would not fit is followed by one with at least that sentence.
        most += (last - first) + (bounds[last - 1] - bounds[first]) // max_tokens + 1
    rows = np.empty((most, 3), np.int32)
    num_rows = 0
    for document in range(num_documents):
        ends = bounds[offsets[document] : offsets[document + 1]]
        start, sentence = ends[0], 1
        while start < ends[-1]:
            stop = min(start + max_tokens, ends[-1])
            if whole_sentences:
                while sentence < len(ends) and ends[sentence] <= stop:
                    sentence += 1
                if ends[sentence - 1] > start:
                    stop = ends[sentence - 1]
            rows[num_rows, 0], rows[num_rows, 1], rows[num_rows, 2] = document, start, stop
            num_rows += 1
            start = stop
    return rows[:num_rows].copy()
