from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise, permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from prolepsis.text.bert.masking_spans import (
    choose_ngrams,
    choose_spans,
    geometric_probabilities,
    hide_spans,
    mask_ngrams,
    ngram_probabilities,
    run_numbers,
)

MASK, SIZE = 4, 50
# A test that goes wrong once in a thousand seeds; the seeds are fixed.
SIGNIFICANCE = 1e-3
DRAWS = 10_000

word_sizes = st.lists(st.integers(1, 5), min_size=1, max_size=30)
seeds = st.integers(0, 2**32)


def agrees(observed: Counter, expected: dict) -> bool:
    """Whether these outcomes may have been drawn from the distribution, all of whose outcomes occur."""
    assert observed.keys() <= expected.keys()
    assert sum(expected.values()) == pytest.approx(1)
    total = observed.total()
    counts = [observed[outcome] for outcome in expected]
    shares = [probability * total for probability in expected.values()]
    return bool(stats.chisquare(counts, shares).pvalue > SIGNIFICANCE)


def word_places(sizes: Sequence[int]) -> list[range]:
    ends = np.cumsum([0, *sizes]).tolist()
    return [range(start, stop) for start, stop in pairwise(ends)]


def test_shorter_ngrams_are_likelier_in_proportion_to_one_over_n() -> None:
    assert ngram_probabilities(3) == pytest.approx([6 / 11, 3 / 11, 2 / 11])
    assert ngram_probabilities(3, favor_shorter=False) == pytest.approx([2 / 11, 3 / 11, 6 / 11])


def test_an_ngram_has_n_words_with_its_probability() -> None:
    random = np.random.default_rng(0)
    first_choices = [choose_ngrams([1] * 30, 3, ngram_probabilities(3), random)[0] for _ in range(DRAWS)]
    # The last two words have not enough behind them.
    lengths = Counter(length for first, length in first_choices if first < 28)
    assert agrees(lengths, dict(zip((1, 2, 3), ngram_probabilities(3), strict=True)))
    assert agrees(Counter(first for first, _ in first_choices), dict.fromkeys(range(30), 1 / 30))


def ngram_outcomes(sizes: Sequence[int], count: int) -> Iterator[tuple[frozenset[int], float]]:
    """Every order of the words and every length drawn for each, followed token by token."""
    places, longest = word_places(sizes), 3
    orders = list(permutations(range(len(sizes))))
    for order in orders:
        for lengths in product(range(1, longest + 1), repeat=len(sizes)):
            hidden: set[int] = set()
            for first, length in zip(order, lengths, strict=True):
                offered = [{i for word in places[first : first + n] for i in word} for n in (1, 2, 3)]
                fitting = [some for some in offered[:length] if len(hidden) + len(some) <= count]
                if fitting and not fitting[-1] & hidden:
                    hidden |= fitting[-1]
            weight = np.prod(ngram_probabilities(longest)[np.array(lengths) - 1]) / len(orders)
            yield frozenset(hidden), float(weight)


@pytest.mark.parametrize(("sizes", "count"), [((1, 1, 1, 1), 2), ((1, 2, 1, 1), 3), ((2, 3, 1), 4)])
def test_ngrams_that_overlap_or_do_not_fit_are_treated_as_albert_does(
    sizes: tuple[int, ...], count: int
) -> None:
    expected: dict[frozenset[int], float] = {}
    for outcome, weight in ngram_outcomes(sizes, count):
        expected[outcome] = expected.get(outcome, 0.0) + weight
    random = np.random.default_rng(1)
    places = word_places(sizes)
    observed: Counter[frozenset[int]] = Counter()
    for _ in range(DRAWS):
        chosen = choose_ngrams(sizes, count, ngram_probabilities(3), random)
        words = [word for first, length in chosen for word in places[first : first + length]]
        observed[frozenset(i for word in words for i in word)] += 1
    assert agrees(observed, expected)


@given(word_sizes, st.integers(0, 30), st.integers(1, 4), seeds)
def test_ngrams_never_exceed_the_budget_overlap_or_grow_too_long(
    sizes: list[int], count: int, longest: int, seed: int
) -> None:
    chosen = choose_ngrams(sizes, count, ngram_probabilities(longest), np.random.default_rng(seed))
    words = [word for first, length in chosen for word in range(first, first + length)]
    assert len(words) == len(set(words))
    assert sum(sizes[word] for word in words) <= count
    assert all(1 <= length <= longest for _, length in chosen)


@given(word_sizes, st.integers(0, 30), seeds)
def test_masked_ngrams_are_whole_words_and_the_targets_are_what_stood_there(
    sizes: list[int], count: int, seed: int
) -> None:
    tokens = np.random.default_rng(seed).integers(0, SIZE, sum(sizes) + 1)
    before = tokens.copy()
    words = [np.array(place) + 1 for place in word_places(sizes)]
    masked = mask_ngrams(
        tokens,
        words,
        count,
        ngram_probabilities(3),
        mask_id=MASK,
        vocabulary_size=SIZE,
        random=np.random.default_rng(seed),
    )
    hidden = set(masked.positions.tolist())
    assert len(hidden) == len(masked.positions) <= count
    assert all(hidden.isdisjoint(word.tolist()) or hidden.issuperset(word.tolist()) for word in words)
    restored = masked.token_ids.copy()
    restored[masked.positions] = masked.targets
    assert (restored == before).all()
    assert (tokens == before).all()


def test_each_token_of_an_ngram_meets_its_own_fate() -> None:
    random = np.random.default_rng(2)
    tokens, word = np.full(12, 17, np.int64), np.arange(1, 11)
    masks: Counter[int] = Counter()
    for _ in range(4000):
        masked = mask_ngrams(
            tokens, [word], 10, np.ones(1), mask_id=MASK, vocabulary_size=SIZE, random=random
        )
        masks[min(9, max(5, int((masked.token_ids == MASK).sum())))] += 1
    share = 0.8 + 0.1 / SIZE  # a random token may be [MASK]
    of_ten = stats.binom(10, share)
    expected = {5: of_ten.cdf(5), **{n: of_ten.pmf(n) for n in (6, 7, 8)}, 9: of_ten.sf(8)}
    assert agrees(masks, expected)


def test_span_lengths_are_geometric_on_condition_of_at_most_ten_words() -> None:
    lengths = np.arange(1, 11)
    geometric = stats.geom(0.2)
    probabilities = geometric_probabilities(0.2, 10)
    assert probabilities == pytest.approx(geometric.pmf(lengths) / geometric.cdf(10))
    assert probabilities @ lengths == pytest.approx(3.8, abs=0.005)  # the mean that the paper gives


def span_outcomes(
    sizes: Sequence[int], count: int, probabilities: NDArray[np.float64]
) -> dict[frozenset[int], float]:
    """The probability of every set of tokens, by following every span that can be drawn."""
    places = word_places(sizes)
    expected: dict[frozenset[int], float] = {}

    def follow(hidden: frozenset[int], probability: float) -> None:
        if len(hidden) == count:
            expected[hidden] = expected.get(hidden, 0.0) + probability
            return
        shown = [(place, word) for word, part in enumerate(places) for place in part if place not in hidden]
        for _, word in shown:
            for length, share in enumerate(probabilities, start=1):
                after = set(hidden)
                for place in (place for part in places[word : word + length] for place in part):
                    if len(after) < count:
                        after.add(place)
                follow(frozenset(after), probability * share / len(shown))

    follow(frozenset(), 1.0)
    return expected


@pytest.mark.parametrize(("sizes", "count"), [((1, 1, 1, 1, 1), 3), ((1, 3, 2), 4), ((2, 1, 2, 1), 3)])
def test_spans_are_drawn_as_spanbert_does(sizes: tuple[int, ...], count: int) -> None:
    probabilities = geometric_probabilities(0.2, 3)
    random = np.random.default_rng(3)
    draws = (choose_spans(sizes, count, probabilities, random) for _ in range(DRAWS))
    observed = Counter(frozenset(chosen.tolist()) for chosen in draws)
    assert agrees(observed, span_outcomes(sizes, count, probabilities))


@given(word_sizes, st.integers(0, 100), seeds)
def test_spans_take_the_whole_budget_and_begin_with_words(sizes: list[int], count: int, seed: int) -> None:
    chosen = choose_spans(sizes, count, geometric_probabilities(0.2, 10), np.random.default_rng(seed))
    assert len(chosen) == min(count, sum(sizes))
    assert (np.diff(chosen) > 0).all()
    starts = {part.start for part in word_places(sizes)}
    spans = np.split(chosen, np.flatnonzero(np.diff(run_numbers(chosen))) + 1) if len(chosen) else []
    assert all(span[0] in starts for span in spans)
    # Only the span that used up the budget may end within a word.
    assert sum(span[-1] + 1 not in {*starts, sum(sizes)} for span in spans) <= 1


def test_runs_are_counted() -> None:
    assert run_numbers(np.array([2, 3, 5, 8, 9, 10])).tolist() == [0, 0, 1, 2, 2, 2]
    assert run_numbers(np.zeros(0, np.int64)).tolist() == []


def fates(*, whole_spans: bool, num_spans: int, length: int) -> NDArray[np.str_]:
    """What became of the tokens of so many spans: `m`asked, `k`ept, `r`andom, [spans, length]."""
    kept, new = 17, 30
    tokens = np.full(num_spans * (length + 1), kept, np.int64)
    positions = np.flatnonzero(np.arange(len(tokens)) % (length + 1))
    masked = hide_spans(
        tokens,
        positions,
        mask_id=MASK,
        draw_tokens=lambda count, random: np.full(count, new),
        whole_spans=whole_spans,
        random=np.random.default_rng(4),
    )
    assert (masked.targets == kept).all()
    assert (np.delete(masked.token_ids, positions) == kept).all()
    assert (tokens == kept).all()
    letters = {MASK: "m", kept: "k", new: "r"}
    return np.array([letters[token] for token in masked.token_ids[positions]]).reshape(num_spans, length)


FATES = {"m": 0.8, "k": 0.1, "r": 0.1}


def test_a_span_becomes_masks_stays_or_becomes_random_as_a_whole() -> None:
    spans = fates(whole_spans=True, num_spans=DRAWS, length=3)
    assert (spans == spans[:, :1]).all()
    assert agrees(Counter(spans[:, 0].tolist()), FATES)


def test_or_every_token_by_itself() -> None:
    pairs = fates(whole_spans=False, num_spans=DRAWS, length=2)
    expected = {a + b: FATES[a] * FATES[b] for a, b in product(FATES, repeat=2)}
    assert agrees(Counter("".join(pair) for pair in pairs), expected)


def test_random_tokens_are_drawn_one_by_one() -> None:
    tokens = np.full(9000, 17, np.int64)
    masked = hide_spans(
        tokens,
        np.flatnonzero(np.arange(9000) % 3),
        mask_id=MASK,
        draw_tokens=lambda count, random: random.choice([20, 21], count),
        whole_spans=True,
        random=np.random.default_rng(5),
    )
    first, second = masked.token_ids.reshape(-1, 3)[:, 1:].T
    became_random = first >= 20
    assert ((second >= 20) == became_random).all()
    pairs = Counter(zip(first[became_random].tolist(), second[became_random].tolist(), strict=True))
    assert agrees(pairs, dict.fromkeys(product((20, 21), repeat=2), 0.25))
