from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from prolepsis.text.bert.contiguous_segments import (
    ContiguousSegmentExamples,
    ContiguousSegments,
    plan_contiguous_segments,
)
from prolepsis.text.bert.segment_pairs import SentenceTable
from prolepsis.text.tokenizers import Tokenizer

SIGNIFICANCE = 1e-3

documents = st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=12), min_size=1, max_size=6)


def table_of(sentence_lengths: list[list[int]]) -> SentenceTable:
    bounds = [np.cumsum([0, *lengths]) for lengths in sentence_lengths]
    return SentenceTable(
        documents=np.arange(len(bounds), dtype=np.int32),
        bounds=np.concatenate(bounds).astype(np.int32),
        offsets=np.cumsum([0, *(len(of) for of in bounds)]),
    )


def plan(
    sentence_lengths: list[list[int]],
    *,
    max_length: int = 64,
    single: float = 0.1,
    short: float = 0.05,
    seed: int = 0,
) -> ContiguousSegments:
    return plan_contiguous_segments(
        table_of(sentence_lengths),
        max_length=max_length,
        single_segment_probability=single,
        random_length_probability=short,
        seed=seed,
        pass_index=0,
    )


@settings(deadline=None)
@given(documents, st.integers(5, 40), st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**32))
def test_examples_follow_each_other_through_every_document_and_lose_only_what_is_too_long(
    sentence_lengths: list[list[int]], max_length: int, single: float, short: float, seed: int
) -> None:
    segments = plan(sentence_lengths, max_length=max_length, single=single, short=short, seed=seed)
    assert (segments.start < segments.middle).all()
    assert (segments.middle <= segments.stop).all()
    assert (segments.lengths <= max_length).all()
    for document, lengths in enumerate(sentence_lengths):
        ends = np.cumsum([0, *lengths])
        here = np.flatnonzero(segments.document == document)
        assert segments.start[here[0]] == 0
        following = [*segments.start[here[1:]].tolist(), int(ends[-1])]
        assert set(following) <= set(ends.tolist())
        for number, next_start in zip(here, following, strict=True):
            assert segments.stop[number] <= next_start
            if segments.stop[number] < next_start:  # cut off
                assert segments.lengths[number] >= max_length - 1


def test_the_first_segment_ends_with_the_sentence_before_the_middle_or_the_one_across_it() -> None:
    # (64 - 3) // 2 = 30 tokens: three sentences of 9 stay below, the fourth goes over it.
    segments = plan([[9] * 8] * 2000, single=0.0, short=0.0)
    firsts = (segments.middle - segments.start) // 9
    assert set(firsts.tolist()) == {3, 4}
    assert stats.binomtest(int((firsts == 3).sum()), len(firsts), 0.5).pvalue > SIGNIFICANCE


def test_a_tenth_has_one_segment() -> None:
    segments = plan([[9] * 8] * 3000, short=0.0)
    single = int((segments.middle == segments.stop).sum())
    assert stats.binomtest(single, len(segments), 0.1).pvalue > SIGNIFICANCE


def test_a_twentieth_is_of_any_length_down_to_five() -> None:
    segments = plan([[1] * 400] * 200, single=1.0)
    # The last example of a document is what was left.
    is_last = np.diff(segments.document, append=-1) != 0
    tokens = (segments.stop - segments.start)[~is_last]
    full = tokens == 62  # 64 sentences of a token, less the two that [CLS] and [SEP] leave no room for
    # Lengths from 62 on do not show.
    assert stats.binomtest(int((~full).sum()), len(tokens), 0.05 * 57 / 60).pvalue > SIGNIFICANCE
    counts = np.bincount(tokens[~full], minlength=62)
    assert counts[:5].sum() == 0
    thirds = [counts[5:24].sum(), counts[24:43].sum(), counts[43:62].sum()]
    assert stats.chisquare(thirds).pvalue > SIGNIFICANCE


def test_another_pass_cuts_otherwise_and_the_same_one_alike() -> None:
    table = table_of([[5, 7, 6] * 6] * 50)

    def middles(pass_index: int) -> list[int]:
        return plan_contiguous_segments(
            table,
            max_length=64,
            single_segment_probability=0.1,
            random_length_probability=0.05,
            seed=3,
            pass_index=pass_index,
        ).middle.tolist()

    assert middles(0) == middles(0)
    assert middles(0) != middles(1)


@pytest.mark.parametrize("single", [0.0, 1.0])
def test_segments_are_framed_and_typed(
    single: float,
    write_shards: Callable[..., Any],
    random_documents: Callable[..., Any],
    tokenizer: Tokenizer,
) -> None:
    split = write_shards(train=random_documents(1, 20)).split("train")
    segments = plan_contiguous_segments(
        SentenceTable.of(split),
        max_length=40,
        single_segment_probability=single,
        random_length_probability=0.0,
        seed=0,
        pass_index=0,
    )
    examples = ContiguousSegmentExamples(split, segments, tokenizer)
    special = tokenizer.special_ids
    with_two = 0
    for number in range(len(segments)):
        document = split.document(int(segments.document[number])).tolist()
        start, middle, stop = (int(of[number]) for of in (segments.start, segments.middle, segments.stop))
        first = [special["cls"], *document[start:middle], special["sep"]]
        second = [*document[middle:stop], special["sep"]] if middle < stop else []
        example = examples[number]
        assert example.token_ids.tolist() == first + second
        assert example.token_types.tolist() == [0] * len(first) + [1] * len(second)
        assert examples.lengths[number] == len(example.token_ids)
        with_two += bool(second)
    assert (with_two == 0) == bool(single)
