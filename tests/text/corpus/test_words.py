import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prolepsis.text.corpus.words import TOKEN, WORD, ngram_hashes


def find(pattern: str, text: str) -> list[str]:
    return pl.Series([text]).str.extract_all(pattern)[0].to_list()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop, l’été!", ["Don't", "stop", "l’été"]),
        ("about 3.14 or 1,000,000.", ["about", "3.14", "or", "1,000,000"]),
        ("well-known", ["well", "known"]),
        ("中文字 and かな", ["中", "文", "字", "and", "か", "な"]),
        ("... -- !", []),
    ],
)
def test_words_are_runs_of_letters_and_digits(text: str, words: list[str]) -> None:
    assert find(WORD, text) == words


def test_tokens_are_words_and_single_signs() -> None:
    assert find(TOKEN, "Wait... (really?)") == ["Wait", "...", "(", "really", "?", ")"]


@given(
    st.lists(st.lists(st.integers(0, 3), max_size=8), min_size=1, max_size=5),
    st.integers(1, 4),
)
def test_ngrams_have_equal_hashes_exactly_where_their_words_are_equal(
    documents: list[list[int]], n: int
) -> None:
    words = [word for document in documents for word in document]
    rows = np.repeat(np.arange(len(documents)), [len(document) for document in documents])
    word_hashes = pl.Series(words, dtype=pl.Int64).hash().to_numpy()

    hashes, starts = ngram_hashes(word_hashes, rows, n)

    ngrams = [
        tuple(document[start : start + n]) for document in documents for start in range(len(document) - n + 1)
    ]
    assert [tuple(words[start : start + n]) for start in starts] == ngrams
    assert len(set(hashes.tolist())) == len(set(ngrams))
    assert len(set(zip(hashes.tolist(), ngrams, strict=True))) == len(set(ngrams))
