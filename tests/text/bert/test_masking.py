import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from prolepsis.text.bert.masking import (
    MaskedTokens,
    continues_word,
    group_words,
    mask_tokens,
    mask_words,
    num_predictions,
)
from prolepsis.text.tokenizers import Tokenizer

MASK, SIZE = 4, 50
# A test that goes wrong once in a thousand seeds; the seeds are fixed.
SIGNIFICANCE = 1e-3


def mask(tokens: NDArray[np.int64], seed: int, count: int) -> MaskedTokens:
    return mask_tokens(
        tokens,
        np.arange(1, len(tokens) - 1),
        count,
        mask_id=MASK,
        vocabulary_size=SIZE,
        random=np.random.default_rng(seed),
    )


def test_of_hidden_tokens_80_percent_become_mask_10_stay_and_10_are_random() -> None:
    tokens = np.full(200, 17, np.int64)
    examples = [mask(tokens, seed, 30) for seed in range(400)]
    replaced = np.concatenate([masked.token_ids[masked.positions] for masked in examples])
    is_mask, is_kept = replaced == MASK, replaced == 17
    counts = [is_mask.sum(), is_kept.sum(), (~is_mask & ~is_kept).sum()]
    # A random token may be [MASK] or the token itself: 1 of 50 each.
    shares = np.array([0.8 + 0.1 / SIZE, 0.1 + 0.1 / SIZE, 0.1 - 0.2 / SIZE])
    assert stats.chisquare(counts, shares * len(replaced)).pvalue > SIGNIFICANCE


def test_random_tokens_are_uniform_over_the_whole_vocabulary() -> None:
    tokens = np.full(200, 17, np.int64)
    counts = np.zeros(SIZE, np.int64)
    for seed in range(1000):
        masked = mask(tokens, seed, 30)
        counts += np.bincount(masked.token_ids[masked.positions], minlength=SIZE)
    others = np.delete(counts, [MASK, 17])
    assert stats.chisquare(others).pvalue > SIGNIFICANCE
    assert counts[:4].min() > 0  # the special tokens are among them


def test_every_candidate_is_hidden_equally_often() -> None:
    tokens = np.arange(5, 45)
    counts = np.zeros(len(tokens), np.int64)
    for seed in range(4000):
        counts[mask(tokens, seed, 6).positions] += 1
    assert counts[0] == counts[-1] == 0
    assert stats.chisquare(counts[1:-1]).pvalue > SIGNIFICANCE


@given(st.integers(2, 60), st.integers(0, 20), st.integers(0, 2**32))
def test_only_hidden_tokens_change_and_the_targets_are_what_stood_there(
    length: int, count: int, seed: int
) -> None:
    tokens = np.random.default_rng(seed).integers(0, SIZE, length)
    before = tokens.copy()
    masked = mask(tokens, seed, count)
    assert len(masked.positions) == min(count, length - 2)
    assert (np.diff(masked.positions) > 0).all()
    assert (masked.targets == before[masked.positions]).all()
    shown = np.delete(masked.token_ids, masked.positions)
    assert (shown == np.delete(before, masked.positions)).all()
    assert (tokens == before).all()


@pytest.mark.parametrize(
    ("length", "expected"),
    # Halves are rounded to the even number, as Python does: 10 * .15 to 2, 30 * .15 = 4.5 to 4.
    [(5, 1), (6, 1), (10, 2), (30, 4), (100, 15), (128, 19), (134, 20), (512, 20)],
)
def test_the_number_of_predictions_is_berts(length: int, expected: int) -> None:
    assert num_predictions(length, 0.15, 20) == expected


def words_of(lengths: list[int]) -> list[NDArray[np.int64]]:
    """The positions of words of these lengths, behind a [CLS]."""
    return np.split(np.arange(1, 1 + sum(lengths)), np.cumsum(lengths)[:-1])


def hide_words(lengths: list[int], seed: int, count: int, tokens: NDArray[np.int64]) -> MaskedTokens:
    random = np.random.default_rng(seed)
    return mask_words(tokens, words_of(lengths), count, mask_id=MASK, vocabulary_size=SIZE, random=random)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=20), st.integers(0, 15), st.integers(0, 2**32))
def test_words_are_hidden_whole_or_not_at_all(lengths: list[int], count: int, seed: int) -> None:
    tokens = np.random.default_rng(seed).integers(0, SIZE, sum(lengths) + 2)
    masked = hide_words(lengths, seed, count, tokens)
    hidden = set(masked.positions.tolist())
    assert len(hidden) <= count
    assert (masked.targets == tokens[masked.positions]).all()
    for word in words_of(lengths):
        assert hidden.issuperset(word.tolist()) or hidden.isdisjoint(word.tolist())
    # A word is passed over only where it would have been too much.
    shown = [len(word) for word in words_of(lengths) if hidden.isdisjoint(word.tolist())]
    assert all(length > count - len(hidden) for length in shown)


def test_each_token_of_a_word_meets_its_own_fate() -> None:
    tokens = np.full(92, 17, np.int64)
    pairs = np.zeros((2, 2), np.int64)
    for seed in range(600):
        masked = hide_words([2] * 45, seed, 30, tokens)
        first, second = (masked.token_ids[masked.positions] == MASK).reshape(-1, 2).T
        np.add.at(pairs, (first.astype(int), second.astype(int)), 1)
    assert stats.chi2_contingency(pairs).pvalue > SIGNIFICANCE
    share = 0.8 + 0.1 / SIZE
    expected = np.outer([1 - share, share], [1 - share, share]) * pairs.sum()
    assert stats.chisquare(pairs.ravel(), expected.ravel()).pvalue > SIGNIFICANCE


def test_words_of_one_length_are_hidden_equally_often() -> None:
    tokens = np.full(42, 17, np.int64)
    counts = np.zeros(20, np.int64)
    for seed in range(3000):
        counts[(hide_words([2] * 20, seed, 6, tokens).positions[::2] - 1) // 2] += 1
    assert stats.chisquare(counts).pvalue > SIGNIFICANCE


def test_a_word_goes_on_with_its_continuations_and_ends_at_a_separator(tokenizer: Tokenizer) -> None:
    continues = continues_word(tokenizer)
    names = tokenizer.words()
    assert [names[i] for i in np.flatnonzero(continues)] == [n for n in names if n.startswith("##")]
    inside, starts = np.flatnonzero(continues)[:2], np.flatnonzero(~continues)[5:7]
    separator = tokenizer.special_ids["sep"]
    tokens = np.array(
        [starts[0], inside[0], inside[1], separator, inside[0], starts[1], starts[0], inside[1]]
    )
    words = group_words(tokens, tokens != separator, continues)
    assert [word.tolist() for word in words] == [[0, 1, 2], [4], [5], [6, 7]]
    assert group_words(tokens, np.zeros(8, bool), continues) == []
