import heapq

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from prolepsis.text.word2vec.huffman import HuffmanPaths

COUNTS = st.lists(st.integers(1, 50), min_size=2, max_size=40).map(
    lambda counts: sorted(counts, reverse=True)
)


def path(paths: HuffmanPaths, word: int) -> list[tuple[int, int]]:
    """The nodes above a word, each with the branch taken."""
    part = slice(paths.offsets[word], paths.offsets[word + 1])
    return list(zip(paths.nodes[part].tolist(), paths.signs[part].tolist(), strict=True))


def build(counts: list[int]) -> HuffmanPaths:
    return HuffmanPaths.build(np.array(counts, dtype=np.int64))


def test_the_tree_is_that_of_word2vec_c() -> None:
    # 2 + 3 = 5 (node 0); it ties with the word of 5 and goes first: 5 + 5 = 10 (1); 9 + 10 = 19 (2).
    paths = build([9, 5, 3, 2])
    assert [path(paths, word) for word in range(4)] == [
        [(2, 1)],
        [(2, -1), (1, -1)],
        [(2, -1), (1, 1), (0, -1)],
        [(2, -1), (1, 1), (0, 1)],
    ]
    assert paths.longest == 3


@given(COUNTS)
def test_no_code_of_words_is_shorter(counts: list[int]) -> None:
    lengths = np.diff(build(counts).offsets)
    heap = counts.copy()
    heapq.heapify(heap)
    total = 0
    while len(heap) > 1:
        joined = heapq.heappop(heap) + heapq.heappop(heap)
        total += joined
        heapq.heappush(heap, joined)
    assert (lengths * counts).sum() == total


@given(COUNTS, st.integers(0, 2**32 - 1))
def test_the_probabilities_of_all_words_sum_to_one(counts: list[int], seed: int) -> None:
    paths = build(counts)
    scores = np.random.default_rng(seed).normal(scale=3.0, size=len(counts) - 1)
    total = sum(
        np.prod([1 / (1 + np.exp(-sign * scores[node])) for node, sign in path(paths, word)])
        for word in range(len(counts))
    )
    np.testing.assert_allclose(total, 1.0)
    assert set(paths.nodes.tolist()) == set(range(len(counts) - 1))
    assert all(path(paths, word)[0][0] == len(counts) - 2 for word in range(len(counts)))


def test_counts_beyond_32_bits_and_a_chain_of_words_have_their_tree() -> None:
    fibonacci = [1, 1]
    while len(fibonacci) < 60:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    paths = build(fibonacci[::-1])
    assert paths.longest == 59  # longer than the 40 that word2vec.c has room for
    assert np.diff(paths.offsets).min() == 1
