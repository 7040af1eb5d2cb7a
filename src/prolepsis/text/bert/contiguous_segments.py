"""Which pieces of text make up ELECTRA's training examples: two segments that follow each other, or one.

The rules are those of `ExampleBuilder` in google-research/electra (build_pretraining_dataset.py), but for
one: sentences keep their order, where there a short one behind the first segment's end may go back into it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

from prolepsis.text.bert.examples import Example
from prolepsis.text.bert.segment_pairs import SentenceTable
from prolepsis.text.bert.splitmix import between, state_of, uniform
from prolepsis.text.token_shards import TokenSplit
from prolepsis.text.tokenizers import Tokenizer

_NUM_COLUMNS = 4
# The shortest that an example may be made to be.
_MIN_LENGTH = 5


@dataclass(frozen=True)
class ContiguousSegments:
    """The segments `document[start:middle]` and `document[middle:stop]`, int32 [N] each.

    The second may be empty; then there is one segment.
    """

    document: NDArray[np.int32]
    start: NDArray[np.int32]
    middle: NDArray[np.int32]
    stop: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.document)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each example, [CLS] and a [SEP] behind each segment included."""
        return (self.stop - self.start).astype(np.int64) + 2 + (self.middle < self.stop)


@dataclass(frozen=True)
class ContiguousSegmentExamples:
    """`[CLS] A [SEP] B [SEP]` or `[CLS] A [SEP]`; the types are 0 up to the first `[SEP]`, then 1."""

    split: TokenSplit
    segments: ContiguousSegments
    tokenizer: Tokenizer

    @property
    def lengths(self) -> NDArray[np.int64]:
        return self.segments.lengths

    def __getitem__(self, number: int) -> Example:
        segments, special = self.segments, self.tokenizer.special_ids
        document = self.split.document(int(segments.document[number]))
        first = document[segments.start[number] : segments.middle[number]]
        second = document[segments.middle[number] : segments.stop[number]]
        separator = (special["sep"],)
        tokens = np.concatenate([(special["cls"],), first, separator, second, separator]).astype(np.int64)
        if not len(second):
            tokens = tokens[:-1]
        types = np.zeros(len(tokens), np.int64)
        types[len(first) + 2 :] = 1
        return Example(tokens, types)


def plan_contiguous_segments(
    table: SentenceTable,
    *,
    max_length: int,
    single_segment_probability: float,
    random_length_probability: float,
    seed: int,
    pass_index: int,
) -> ContiguousSegments:
    """The examples of one pass over the corpus, of at most `max_length` tokens, in document order.

    An example takes sentences of a document until they make up `max_length` tokens, or with
    `random_length_probability` some length between 5 and that; what is then too much is cut off. The first
    segment ends near the middle.
    """
    rows = _plan(
        table.bounds,
        table.offsets,
        max_length,
        single_segment_probability,
        random_length_probability,
        np.uint64(seed),
        np.uint64(pass_index),
    )
    rows[:, 0] = table.documents[rows[:, 0]]
    return ContiguousSegments(*np.ascontiguousarray(rows.T))


@njit(cache=True)
def _plan(
    bounds: Any,
    offsets: Any,
    max_length: int,
    single_segment_probability: float,
    random_length_probability: float,
    seed: Any,
    pass_index: Any,
) -> Any:
    num_documents = len(offsets) - 1
    # Every example uses up at least one sentence.
    rows = np.empty((len(bounds) - num_documents, _NUM_COLUMNS), np.int32)
    num_rows = 0
    for document in range(num_documents):
        random = state_of(seed, pass_index, uint64(document))
        ends = bounds[offsets[document] : offsets[document + 1]]
        num_sentences = len(ends) - 1
        first = 0
        while first < num_sentences:
            target = max_length
            if uniform(random) < random_length_probability:
                target = between(random, _MIN_LENGTH, max_length)
            stop = first + 1
            while stop < num_sentences and ends[stop] - ends[first] < target:
                stop += 1
            middle = stop
            if uniform(random) >= single_segment_probability:
                middle = _middle(random, ends, first, stop, (target - 3) // 2)
            start = ends[first]
            end_of_first = min(ends[middle], start + max_length - 2)
            room = max(0, max_length - 3 - (end_of_first - start))
            end = end_of_first + min(ends[stop] - ends[middle], room)
            rows[num_rows, 0], rows[num_rows, 1] = document, start
            rows[num_rows, 2], rows[num_rows, 3] = end_of_first, end
            num_rows += 1
            first = stop
    return rows[:num_rows].copy()


@njit(cache=True)
def _middle(random: Any, ends: Any, first: int, stop: int, half: int) -> int:
    """The sentence that begins the second segment; the one that straddles the middle goes to either."""
    middle = first + 1
    while middle < stop:
        straddles = ends[middle + 1] - ends[first] >= half
        before_half = ends[middle] - ends[first] < half
        if straddles and not (before_half and uniform(random) < 0.5):
            break
        middle += 1
    return middle
