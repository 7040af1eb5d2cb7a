"""Which pieces of text make up BERT's training examples: segment pairs for next-sentence prediction.

The rules are those of `create_instances_from_document` in google-research/bert (create_pretraining_data.py).
What is chosen for a document depends on nothing but (seed, pass, document), so a plan can be made again at
any time. It holds ranges of token positions, not tokens: 28 bytes an example.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

from prolepsis.text.bert.splitmix import between, state_of, uniform
from prolepsis.text.token_shards import TokenSplit

# [CLS] A [SEP] B [SEP]
NUM_SPECIAL_TOKENS = 3
_NUM_COLUMNS = 7
# The tries that BERT allows a random document to be another one than A's.
_MAX_TRIES = 10


@dataclass(frozen=True)
class SentenceTable:
    """Where the sentences of every document that has any tokens begin and end.

    Attributes:
        documents: int32 [N], the documents' numbers in their split.
        bounds: int32, for each document where its sentences start, and at last its number of tokens.
        offsets: int64 [N + 1], where each document's part of `bounds` begins.
    """

    documents: NDArray[np.int32]
    bounds: NDArray[np.int32]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, split: TokenSplit) -> "SentenceTable":
        num_tokens = np.diff(split.offsets)
        documents = np.flatnonzero(num_tokens)
        lists = [shard.sentence_lists for shard in split.shards]
        starts = np.concatenate([starts for _, starts in lists])
        # Documents without tokens have no sentences either, so `starts` needs no thinning.
        num_sentences = np.concatenate([np.diff(ends) for ends, _ in lists])[documents]
        ends = np.cumsum(num_sentences)
        return cls(
            documents=documents.astype(np.int32),
            bounds=np.insert(starts, ends, num_tokens[documents]).astype(np.int32),
            offsets=np.concatenate([np.zeros(1, np.int64), np.cumsum(num_sentences + 1)]),
        )


@dataclass(frozen=True)
class SegmentPairs:
    """Examples as token ranges, one array element each: A is `document_a[start_a:stop_a]`, B likewise.

    `label` is 1 where B does not follow A.
    """

    document_a: NDArray[np.int32]
    start_a: NDArray[np.int32]
    stop_a: NDArray[np.int32]
    document_b: NDArray[np.int32]
    start_b: NDArray[np.int32]
    stop_b: NDArray[np.int32]
    label: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.document_a)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each example, [CLS] and both [SEP] included."""
        tokens = (self.stop_a - self.start_a) + (self.stop_b - self.start_b)
        return tokens.astype(np.int64) + NUM_SPECIAL_TOKENS


def plan_segment_pairs(
    table: SentenceTable,
    *,
    max_length: int,
    short_sequence_probability: float,
    seed: int,
    pass_index: int,
    swapped: bool = False,
) -> SegmentPairs:
    """The examples of one pass over the corpus, of at most `max_length` tokens, in document order.

    Half of the pairs do not follow each other: B comes from a random document, or with `swapped` the two
    have changed places (ALBERT's sentence order). A chunk of one sentence takes B from a random document
    always, in google-research/albert too.
    """
    rows = _plan(
        table.bounds,
        table.offsets,
        max_length - NUM_SPECIAL_TOKENS,
        short_sequence_probability,
        swapped,
        np.uint64(seed),
        np.uint64(pass_index),
    )
    # The kernel counts documents among those that have tokens.
    rows[:, 0] = table.documents[rows[:, 0]]
    rows[:, 3] = table.documents[rows[:, 3]]
    return SegmentPairs(*np.ascontiguousarray(rows.T))


@njit(cache=True)
def _plan(
    bounds: Any,
    offsets: Any,
    max_tokens: int,
    short_sequence_probability: float,
    swapped: bool,
    seed: Any,
    pass_index: Any,
) -> Any:
    num_documents = len(offsets) - 1
    # Every example uses up at least one sentence.
    rows = np.empty((len(bounds) - num_documents, _NUM_COLUMNS), np.int32)
    num_rows = 0
    for document in range(num_documents):
        random = state_of(seed, pass_index, uint64(document))
        target = max_tokens
        if uniform(random) < short_sequence_probability:
            target = between(random, 2, max_tokens)
        ends = bounds[offsets[document] : offsets[document + 1]]
        num_sentences = len(ends) - 1
        first = 0
        stop = 0
        while stop < num_sentences:
            stop += 1
            start_a, stop_b = ends[first], ends[stop]
            if stop < num_sentences and stop_b - start_a < target:
                continue
            # Sentences `first` to `stop` are a chunk, to be divided in two.
            sentences_a = 1
            if stop - first >= 2:
                sentences_a = between(random, 1, stop - first - 1)
            stop_a = ends[first + sentences_a]
            document_b, start_b = document, stop_a
            does_not_follow = stop - first == 1 or uniform(random) < 0.5
            if does_not_follow and (stop - first == 1 or not swapped):
                document_b = _another_document(random, document, num_documents)
                ends_b = bounds[offsets[document_b] : offsets[document_b + 1]]
                start_b, stop_b = _random_segment(random, ends_b, target - (stop_a - start_a))
                # The sentences that B would have been are put back.
                stop = first + sentences_a
            elif does_not_follow:
                start_a, stop_a, start_b, stop_b = start_b, stop_b, start_a, stop_a
            start_a, stop_a, start_b, stop_b = _truncate(random, start_a, stop_a, start_b, stop_b, max_tokens)
            rows[num_rows] = (document, start_a, stop_a, document_b, start_b, stop_b, int(does_not_follow))
            num_rows += 1
            first = stop
    return rows[:num_rows].copy()


@njit(cache=True)
def _another_document(random: Any, document: int, num_documents: int) -> int:
    """A document drawn uniformly: another one, unless ten draws in a row give the same."""
    drawn = document
    for _ in range(_MAX_TRIES):
        drawn = between(random, 0, num_documents - 1)
        if drawn != document:
            break
    return drawn


@njit(cache=True)
def _random_segment(random: Any, ends: Any, num_tokens: int) -> Any:
    """Whole sentences from a random one on, until there are `num_tokens` or the document ends."""
    num_sentences = len(ends) - 1
    first = between(random, 0, num_sentences - 1)
    last = first + 1
    while last < num_sentences and ends[last] - ends[first] < num_tokens:
        last += 1
    return ends[first], ends[last]


@njit(cache=True)
def _truncate(random: Any, start_a: int, stop_a: int, start_b: int, stop_b: int, max_tokens: int) -> Any:
    """Takes tokens off the longer segment (B if equal), each from its front or its back at random."""
    while (stop_a - start_a) + (stop_b - start_b) > max_tokens:
        from_front = uniform(random) < 0.5
        if stop_a - start_a > stop_b - start_b:
            if from_front:
                start_a += 1
            else:
                stop_a -= 1
        elif from_front:
            start_b += 1
        else:
            stop_b -= 1
    return start_a, stop_a, start_b, stop_b
