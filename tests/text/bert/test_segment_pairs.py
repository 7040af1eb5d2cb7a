from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from prolepsis.text.bert.segment_pairs import SegmentPairs, SentenceTable, plan_segment_pairs

Documents = list[list[int]]  # the lengths of each document's sentences
WORD = 2**64 - 1


def table_of(documents: Documents) -> SentenceTable:
    bounds = [np.cumsum([0, *sentences]) for sentences in documents]
    return SentenceTable(
        documents=np.arange(len(documents), dtype=np.int32),
        bounds=np.concatenate(bounds).astype(np.int32),
        offsets=np.cumsum([0, *map(len, bounds)]),
    )


def plan(
    documents: Documents, max_length: int = 19, short: float = 0.1, seed: int = 0, p: int = 0
) -> SegmentPairs:
    return plan_segment_pairs(
        table_of(documents), max_length=max_length, short_sequence_probability=short, seed=seed, pass_index=p
    )


DOCUMENTS = st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=8), min_size=1, max_size=8)


@settings(deadline=None, max_examples=200)
@given(DOCUMENTS, st.integers(5, 40), st.floats(0, 1), st.integers(0, 2**63), st.integers(0, 9))
def test_the_examples_are_those_of_berts_recipe_written_with_lists_of_tokens(
    documents: Documents, max_length: int, short: float, seed: int, pass_index: int
) -> None:
    pairs = plan(documents, max_length, short, seed, pass_index)
    expected = [
        example
        for document in range(len(documents))
        for example in recipe(documents, document, max_length - 3, short, Random(seed, pass_index, document))
    ]
    ours = [
        (
            [(int(d_a), i) for i in range(a, b)],
            [(int(d_b), i) for i in range(c, d)],
            bool(is_random),
        )
        for d_a, a, b, d_b, c, d, is_random in zip(*vars(pairs).values(), strict=True)
    ]
    assert ours == expected
    assert (pairs.lengths <= max_length).all()


def test_half_of_the_examples_that_could_go_on_go_on() -> None:
    pairs = plan([[3] * 40 for _ in range(4000)], short=0.0)
    # The first chunk of a document has six sentences, so it can always be divided.
    chosen = pairs.label[np.unique(pairs.document_a, return_index=True)[1]]
    assert len(chosen) == 4000
    assert stats.binomtest(int(chosen.sum()), len(chosen), 0.5).pvalue > 1e-3


def test_a_random_segment_comes_from_every_other_document_equally_often() -> None:
    pairs = plan([[4] for _ in range(30)] * 100)
    assert pairs.label.all()  # a document of one sentence has nothing that follows
    assert (pairs.document_a != pairs.document_b).all()
    counts = np.bincount(pairs.document_b % 30, minlength=30)
    assert stats.chisquare(counts).pvalue > 1e-3


def test_a_tenth_of_the_documents_is_cut_shorter() -> None:
    num_documents = 4000
    pairs = plan([[1] * 60 for _ in range(num_documents)], max_length=63)
    # Without a shorter target the first chunk of a document fills the whole example.
    first = np.unique(pairs.document_a, return_index=True)[1]
    first = first[pairs.label[first] == 0]
    shorter = pairs.lengths[first] < 63
    # Of the targets drawn from 2 to 60, one is 60 itself.
    assert stats.binomtest(int(shorter.sum()), len(first), 0.1 * 58 / 59).pvalue > 1e-3


def test_tokens_are_taken_off_the_front_and_the_back_equally_often() -> None:
    pairs = plan([[100] for _ in range(200)], max_length=43)
    front = int(pairs.start_a.sum() + pairs.start_b.sum())
    back = int((100 - pairs.stop_a).sum() + (100 - pairs.stop_b).sum())
    assert (pairs.lengths == 43).all()
    assert (pairs.stop_a - pairs.start_a == 20).all()
    assert stats.binomtest(front, front + back, 0.5).pvalue > 1e-3


def test_a_plan_depends_on_the_seed_and_the_pass_and_nothing_else() -> None:
    documents = [[3, 5, 8, 2, 6] for _ in range(50)]
    first = np.stack(list(vars(plan(documents)).values()))
    assert np.array_equal(first, np.stack(list(vars(plan(documents)).values())))
    for other in (plan(documents, seed=1), plan(documents, p=1)):
        assert len(other) != len(first[0]) or not np.array_equal(first, np.stack(list(vars(other).values())))


def test_a_single_document_is_its_own_random_neighbour() -> None:
    pairs = plan([[4, 4]])
    assert set(pairs.document_b.tolist()) == {0}


def test_documents_without_tokens_are_passed_over(write_shards: Callable[..., object]) -> None:
    documents = [[], [[5, 6], [7]], [], [[8, 9, 10]], []]
    table = SentenceTable.of(write_shards(train=documents).split("train"))
    assert table.documents.tolist() == [1, 3]
    assert table.bounds.tolist() == [0, 2, 3, 0, 3]
    assert table.offsets.tolist() == [0, 3, 5]
    pairs = plan_segment_pairs(table, max_length=20, short_sequence_probability=0, seed=0, pass_index=0)
    assert set(pairs.document_a.tolist()) == {1, 3}
    assert set(pairs.document_b.tolist()) <= {1, 3}


def test_sentences_are_found_across_shards(write_shards: Callable[..., object]) -> None:
    random = np.random.default_rng(0)
    documents = [[[7] * n for n in random.integers(1, 40, size=random.integers(1, 6))] for _ in range(120)]
    split = write_shards(train=documents).split("train")
    assert len(split.shards) > 3
    expected = table_of([[len(sentence) for sentence in sentences] for sentences in documents])
    for name, values in vars(SentenceTable.of(split)).items():
        assert np.array_equal(values, getattr(expected, name)), name


class Random:
    """SplitMix64 with plain integers."""

    def __init__(self, seed: int, pass_index: int, document: int) -> None:
        self.state = mix(mix(mix(seed) ^ pass_index) ^ document)

    def uniform(self) -> float:
        word = mix(self.state)
        self.state = (self.state + 0x9E3779B97F4A7C15) & WORD
        return (word >> 11) / 2**53

    def between(self, lowest: int, highest: int) -> int:
        return lowest + int(self.uniform() * (highest - lowest + 1))


def mix(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) & WORD
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & WORD
    return value ^ (value >> 31)


def recipe(
    documents: Documents, document: int, max_tokens: int, short: float, random: Random
) -> list[tuple[list[tuple[int, int]], list[tuple[int, int]], bool]]:
    """A document's examples, with tokens written as (document, position)."""
    text = [
        [
            [(number, i) for i in range(stop - length, stop)]
            for length, stop in zip(of, np.cumsum(of), strict=True)
        ]
        for number, of in enumerate(documents)
    ]
    target = max_tokens
    if random.uniform() < short:
        target = random.between(2, max_tokens)
    waiting = list(text[document])
    examples = []
    while waiting:
        chunk = []
        while waiting and sum(map(len, chunk)) < target:
            chunk.append(waiting.pop(0))
        split = random.between(1, len(chunk) - 1) if len(chunk) > 1 else 1
        a = [token for sentence in chunk[:split] for token in sentence]
        b = [token for sentence in chunk[split:] for token in sentence]
        is_random = len(chunk) == 1 or random.uniform() < 0.5
        if is_random:
            waiting = chunk[split:] + waiting
            for _ in range(10):
                other = random.between(0, len(text) - 1)
                if other != document:
                    break
            rest = text[other][random.between(0, len(text[other]) - 1) :]
            b = list(rest.pop(0))
            while rest and len(b) < target - len(a):
                b += rest.pop(0)
        while len(a) + len(b) > max_tokens:
            front = random.uniform() < 0.5
            (a if len(a) > len(b) else b).pop(0 if front else -1)
        examples.append((a, b, is_random))
    return examples


@pytest.mark.parametrize("seed", [0, 2**63])
def test_the_generator_gives_uniform_numbers(seed: int) -> None:
    random = Random(seed, 0, 0)
    assert stats.kstest([random.uniform() for _ in range(2000)], "uniform").pvalue > 1e-3
