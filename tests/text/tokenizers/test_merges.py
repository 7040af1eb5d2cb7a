from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from prolepsis.text.tokenizers.merges import END, UNKNOWN, learn_merges


def merges_by_recounting(
    words: list[list[int]], counts: list[int], first_id: int, num_merges: int, min_frequency: int
) -> list[tuple[int, int]]:
    """Sennrich et al. 2016, algorithm 1: count all pairs, merge the most frequent, start again."""
    merges: list[tuple[int, int]] = []
    while len(merges) < num_merges:
        pairs: Counter[tuple[int, int]] = Counter()
        for word, count in zip(words, counts, strict=True):
            for pair in pairwise(word):
                if min(pair) >= 0:
                    pairs[pair] += count
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        if pairs[best] < min_frequency:
            break
        words = [merged(word, best, first_id + len(merges)) for word in words]
        merges.append(best)
    return merges


def merged(word: list[int], pair: tuple[int, int], new: int) -> list[int]:
    result: list[int] = []
    for symbol in word:
        # Only a symbol that has not just been merged can be the first half of another merge.
        if result and (result[-1], symbol) == pair:
            result[-1] = new
        else:
            result.append(symbol)
    return result


def learn(
    words: list[list[int]], counts: list[int], first_id: int, num_merges: int, min_frequency: int
) -> list[tuple[int, int]]:
    symbols = np.array([symbol for word in words for symbol in [*word, END]], np.int32)
    found = learn_merges(
        symbols,
        np.array(counts, np.int64),
        first_id=first_id,
        num_merges=num_merges,
        min_frequency=min_frequency,
    )
    return [(int(left), int(right)) for left, right in found]


# Two or three symbols in long words: ties, overlaps such as aaa, and merges of merges.
counted_words = st.lists(
    st.tuples(st.lists(st.sampled_from([0, 1, 2, UNKNOWN]), min_size=1, max_size=14), st.integers(1, 9)),
    min_size=1,
    max_size=8,
)


@given(counted_words, st.integers(1, 5))
def test_merges_are_those_found_by_counting_all_pairs_again_every_time(
    counted: list[tuple[list[int], int]], min_frequency: int
) -> None:
    words, counts = [word for word, _ in counted], [count for _, count in counted]
    expected = merges_by_recounting(words, counts, 3, 12, min_frequency)
    assert learn(words, counts, 3, 12, min_frequency) == expected


@given(counted_words, st.integers(0, 11))
def test_the_first_merges_of_a_long_training_are_a_short_training(
    counted: list[tuple[list[int], int]], num_merges: int
) -> None:
    words, counts = [word for word, _ in counted], [count for _, count in counted]
    assert learn(words, counts, 3, num_merges, 1) == learn(words, counts, 3, 12, 1)[:num_merges]


def test_counts_beyond_32_bits_do_not_overflow() -> None:
    huge = 1 << 40
    assert learn([[0, 1], [1, 2], [2, 0]], [huge, huge + 1, huge - 1], 3, 3, 1) == [(1, 2), (0, 1), (2, 0)]


def test_words_without_a_pair_give_no_merges() -> None:
    assert learn([[0], [1], [2]], [5, 5, 5], 3, 10, 1) == []
