"""Hiding several words in a row: the n-grams of ALBERT and the spans of SpanBERT."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from prolepsis.text.bert.masking import MaskedTokens, hide

_MASK_SHARE = 0.8
_KEEP_SHARE = 0.1

DrawTokens = Callable[[int, np.random.Generator], NDArray[np.int64]]
"""Draws so many tokens, int64 [count], from some distribution."""


def ngram_probabilities(longest: int, *, favor_shorter: bool = True) -> NDArray[np.float64]:
    """Of n-grams of 1, 2, ... `longest` words: in proportion to 1 / n, or that turned round."""
    weights: NDArray[np.float64] = 1.0 / np.arange(1, longest + 1)
    weights /= weights.sum()
    return weights if favor_shorter else weights[::-1]


def geometric_probabilities(p: float, longest: int) -> NDArray[np.float64]:
    """Of spans of 1, 2, ... `longest` words: the geometric distribution on condition that none is longer."""
    weights: NDArray[np.float64] = (1 - p) ** np.arange(longest, dtype=np.float64)
    weights /= weights.sum()
    return weights


def mask_ngrams(
    token_ids: NDArray[np.int64],
    words: Sequence[NDArray[np.int64]],
    count: int,
    probabilities: NDArray[np.float64],
    *,
    mask_id: int,
    vocabulary_size: int,
    random: np.random.Generator,
) -> MaskedTokens:
    """Hides n-grams of whole words, at most `count` tokens; each token meets its own fate (`hide`).

    Args:
        token_ids: the example, [length].
        words: of `group_words`; an n-gram may go on behind a [SEP], as in google-research/albert.
        probabilities: of 1, 2, ... words in an n-gram.
    """
    chosen = choose_ngrams([len(word) for word in words], count, probabilities, random)
    hidden = [word for first, length in chosen for word in words[first : first + length]]
    positions = np.sort(np.concatenate(hidden)) if hidden else np.zeros(0, np.int64)
    return hide(token_ids, positions, mask_id=mask_id, vocabulary_size=vocabulary_size, random=random)


def choose_ngrams(
    sizes: Sequence[int], count: int, probabilities: NDArray[np.float64], random: np.random.Generator
) -> list[tuple[int, int]]:
    """Chooses n-grams that do not overlap: first word and number of words of each, in order of choice.

    Every word in random order is offered as the first of an n-gram. Where that would make it more than
    `count` tokens, the n-gram is shortened; if it then overlaps a chosen one, or is still too long, it is
    passed over (google-research/albert, `create_masked_lm_predictions`).

    Args:
        sizes: tokens of each word.
    """
    num_words = len(sizes)
    ends = np.cumsum([0, *sizes]).tolist()
    lengths = random.choice(len(probabilities), size=num_words, p=probabilities) + 1
    taken = [False] * num_words
    chosen = []
    room = count
    for first, length in zip(random.permutation(num_words).tolist(), lengths.tolist(), strict=True):
        if not room:
            break
        stop = min(first + length, num_words)
        while stop > first and ends[stop] - ends[first] > room:
            stop -= 1
        if stop == first or any(taken[first:stop]):
            continue
        taken[first:stop] = [True] * (stop - first)
        chosen.append((first, stop - first))
        room -= ends[stop] - ends[first]
    return chosen


def choose_spans(
    sizes: Sequence[int], count: int, probabilities: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.int64]:
    """Chooses exactly `count` tokens of the words' tokens, or all if there are fewer; their places, rising.

    A span begins with the word of a random token that is not yet chosen, and takes in so many words, chosen
    ones counted; the last one ends, within a word if need be, when there are enough tokens. Spans that
    overlap or touch become one (facebookresearch/SpanBERT, `PairWithSpanMaskingScheme`).

    Args:
        sizes: tokens of each word.
        probabilities: of 1, 2, ... words in a span.
    """
    num_words = len(sizes)
    ends = np.cumsum([0, *sizes])
    word_of = np.repeat(np.arange(num_words), sizes)
    chosen = np.zeros(len(word_of), np.bool_)
    room = min(count, len(word_of))
    # Every span adds a token at least.
    lengths = iter(random.choice(len(probabilities), size=room, p=probabilities) + 1)
    while room:
        anchor = random.integers(len(word_of))
        if chosen[anchor]:
            continue
        first = word_of[anchor]
        start, stop = ends[first], ends[min(first + next(lengths), num_words)]
        new = start + np.flatnonzero(~chosen[start:stop])[:room]
        chosen[new] = True
        room -= len(new)
    return np.flatnonzero(chosen)


def run_numbers(positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each of the rising positions, which run without a gap it belongs to, counted from 0."""
    return np.cumsum(np.diff(positions, prepend=positions[:1]) > 1)


def hide_spans(
    token_ids: NDArray[np.int64],
    positions: NDArray[np.int64],
    *,
    mask_id: int,
    draw_tokens: DrawTokens,
    whole_spans: bool,
    random: np.random.Generator,
) -> MaskedTokens:
    """80 % of the spans become [MASK], 10 % stay, and of 10 % every token becomes a random one.

    Args:
        token_ids: the example, [length].
        positions: rising; those without a gap between them are a span.
        draw_tokens: draws the random tokens.
        whole_spans: all tokens of a span meet the same fate; else each its own.
    """
    targets = token_ids[positions]
    fate = random.random(len(positions))
    if whole_spans:
        fate = fate[run_numbers(positions)]
    replacements = np.where(fate < _MASK_SHARE, mask_id, targets)
    is_random = fate >= _MASK_SHARE + _KEEP_SHARE
    replacements[is_random] = draw_tokens(int(is_random.sum()), random)
    masked = token_ids.copy()
    masked[positions] = replacements
    return MaskedTokens(masked, positions, targets)
