import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prolepsis.text.bert.examples import TextBlockExamples, plan_text_blocks
from prolepsis.text.bert.segment_pairs import SentenceTable
from prolepsis.text.tokenizers import Tokenizer

documents = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=6), min_size=1, max_size=5)


def table(sentence_lengths: list[list[int]]) -> SentenceTable:
    ends = [np.cumsum([0, *lengths]) for lengths in sentence_lengths]
    return SentenceTable(
        documents=np.arange(len(ends), dtype=np.int32),
        bounds=np.concatenate([np.zeros(0), *ends]).astype(np.int32),
        offsets=np.cumsum([0, *map(len, ends)]).astype(np.int64),
    )


@given(documents, st.integers(1, 12), st.booleans())
def test_blocks_are_the_documents_in_order_none_longer_than_asked(
    sentence_lengths: list[list[int]], max_tokens: int, whole_sentences: bool
) -> None:
    blocks = plan_text_blocks(table(sentence_lengths), max_tokens, whole_sentences=whole_sentences)
    assert ((blocks.stop - blocks.start) >= 1).all()
    assert ((blocks.stop - blocks.start) <= max_tokens).all()
    for document, lengths in enumerate(sentence_lengths):
        own = blocks.document == document
        bounds = [0, *blocks.stop[own].tolist()]
        assert blocks.start[own].tolist() == bounds[:-1]
        assert bounds[-1] == sum(lengths)


@given(documents, st.integers(1, 12))
def test_whole_sentences_stay_whole_where_they_fit(
    sentence_lengths: list[list[int]], max_tokens: int
) -> None:
    blocks = plan_text_blocks(table(sentence_lengths), max_tokens, whole_sentences=True)
    for document, lengths in enumerate(sentence_lengths):
        ends = np.cumsum([0, *lengths]).tolist()
        cuts = set(blocks.stop[blocks.document == document].tolist())
        for start, stop in itertools.pairwise(ends):
            inside = {cut for cut in cuts if start < cut < stop}
            assert not inside or stop - start > max_tokens
        # No two neighbours would have fitted into one.
        starts = blocks.start[blocks.document == document].tolist()
        stops = blocks.stop[blocks.document == document].tolist()
        for start, following in zip(starts[:-1], stops[1:], strict=True):
            first_sentence_behind = min(end for end in ends if end > stops[starts.index(start)])
            assert min(first_sentence_behind, following) - start > max_tokens or following not in ends


def test_without_whole_sentences_all_but_the_last_are_full() -> None:
    blocks = plan_text_blocks(table([[3, 4, 6], [2]]), 5, whole_sentences=False)
    assert blocks.document.tolist() == [0, 0, 0, 1]
    assert (blocks.stop - blocks.start).tolist() == [5, 5, 3, 2]


def test_a_block_is_framed(
    write_shards: Callable[..., Any], random_documents: Callable[..., Any], tokenizer: Tokenizer
) -> None:
    split = write_shards(train=random_documents(1, 6)).split("train")
    special = tokenizer.special_ids
    blocks = plan_text_blocks(SentenceTable.of(split), 20, whole_sentences=True)
    examples = TextBlockExamples(split, blocks, (special["cls"],), (special["sep"],))
    assert len(examples.lengths) == len(blocks)
    for number in range(len(blocks)):
        tokens, types, label = examples[number]
        block = split.document(int(blocks.document[number]))[blocks.start[number] : blocks.stop[number]]
        assert tokens.tolist() == [special["cls"], *block.tolist(), special["sep"]]
        assert types.tolist() == [0] * len(tokens) == [0] * examples.lengths[number]
        assert label == 0


@pytest.mark.parametrize("whole_sentences", [True, False])
def test_an_empty_corpus_has_no_blocks(whole_sentences: bool) -> None:
    assert len(plan_text_blocks(table([]), 5, whole_sentences=whole_sentences)) == 0
