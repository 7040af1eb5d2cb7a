import re
from collections import Counter

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prolepsis.text.corpus.filters.repetition import ngram_characters, repeated_parts
from prolepsis.text.corpus.filters.tokens import Tokens, tokenize

WORDS = st.sampled_from(["a", "bc", "def", "g", "hijk"])


def tokens_of(texts: list[str]) -> Tokens:
    return tokenize(pl.Series(texts, dtype=pl.String), pl.Series(["en"] * len(texts), dtype=pl.String))


def most_frequent_by_hand(words: list[str], n: int, must_recur: bool) -> int:
    counts = Counter(" ".join(words[start : start + n]) for start in range(len(words) - n + 1))
    run, count = counts.most_common(1)[0] if counts else ("", 0)
    return 0 if count == 1 and must_recur else len(run) * count


def repeated_by_hand(words: list[str], n: int) -> int:
    seen, repeated, start = set(), 0, 0
    while start + n <= len(words):
        run = tuple(words[start : start + n])
        repeated += len("".join(run)) if run in seen else 0
        start += n if run in seen else 1
        seen.add(run)
    return repeated


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(WORDS, max_size=40), max_size=4), st.booleans())
def test_runs_are_counted_as_by_hand(words_of_texts: list[list[str]], must_recur: bool) -> None:
    top_sizes, duplicate_sizes = [2, 3, 4, 1], [5, 6, 7, 3]

    top, duplicate = ngram_characters(
        tokens_of([" ".join(words) for words in words_of_texts]), top_sizes, duplicate_sizes, must_recur
    )

    assert top.tolist() == [
        [most_frequent_by_hand(words, n, must_recur) for n in top_sizes] for words in words_of_texts
    ]
    assert duplicate.tolist() == [
        [repeated_by_hand(words, n) for n in duplicate_sizes] for words in words_of_texts
    ]


@settings(max_examples=50, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=300), st.integers(1, 10))
def test_runs_in_longer_texts_are_counted_as_by_hand(words: list[str], n: int) -> None:
    top, duplicate = ngram_characters(tokens_of([" ".join(words)]), [n], [n], False)

    assert top.item() == most_frequent_by_hand(words, n, must_recur=False)
    assert duplicate.item() == repeated_by_hand(words, n)


def test_the_first_of_equally_frequent_runs_counts() -> None:
    top, _ = ngram_characters(tokens_of(["longer words a b longer words a b"]), [2], [], True)

    assert top.item() == 2 * len("longer words")


def test_no_sizes_and_no_texts_give_no_figures() -> None:
    assert [part.shape for part in ngram_characters(tokens_of(["a b"]), [], [], False)] == [(1, 0), (1, 0)]
    assert [part.shape for part in ngram_characters(tokens_of([]), [2], [5], False)] == [(0, 1), (0, 1)]


@pytest.mark.parametrize(
    ("text", "share", "characters"),
    [
        ("one\ntwo\none", 1 / 3, 3),
        ("one\n\n\none", 1 / 2, 3),
        ("one", 0, 0),
        # Python's re.split leaves an empty part at either end, and the second repeats the first.
        ("\none\n", 1 / 3, 0),
        ("ab\nab\nab\ncd", 2 / 4, 4),
    ],
)
def test_parts_that_occurred_before_are_counted(text: str, share: float, characters: int) -> None:
    repeated = repeated_parts(pl.Series(["one", text, "one"]), min_breaks=1)

    assert repeated.share.tolist() == [0, pytest.approx(share), 0]
    assert repeated.characters.tolist() == [0, characters, 0]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(["a", "bé", "\n", "\n\n"]), max_size=20).map("".join), max_size=4),
    st.integers(1, 3),
)
def test_parts_are_those_of_a_regular_expression(texts: list[str], min_breaks: int) -> None:
    repeated = repeated_parts(pl.Series(texts, dtype=pl.String), min_breaks)

    for text, share, characters in zip(texts, repeated.share, repeated.characters, strict=True):
        parts = re.split(rf"\n{{{min_breaks},}}", text)
        before = [part for place, part in enumerate(parts) if part in parts[:place]]
        assert share == len(before) / len(parts)
        assert characters == len("".join(before))
