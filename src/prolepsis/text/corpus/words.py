"""What a word is to the filters: regular expressions for polars (Rust syntax), and hashes of word n-grams.

The published filters count the tokens of spaCy's language-specific splitters. These expressions stand for
them at several hundred times the speed: a run of letters, digits and marks, apostrophes and decimal points
inside it, is a word; other signs are tokens of their own. Scripts written without spaces count each character
as a word.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

_UNSPACED_SCRIPTS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"

WORD = (
    rf"[{_UNSPACED_SCRIPTS}]"
    rf"|[\p{{L}}\p{{M}}\p{{N}}_&&[^{_UNSPACED_SCRIPTS}]]+(?:['’][\p{{L}}\p{{M}}]+|[.,]\p{{N}}+)*"
)
TOKEN = rf"{WORD}|\.{{2,}}|[^\s\p{{L}}\p{{M}}\p{{N}}_]"

UNSPACED_LANGUAGES = frozenset({"zh", "yue", "wuu", "ja", "th", "lo", "km", "my"})
"""Languages of which a word's length in characters says nothing, since each character counts as a word."""

Hashes = npt.NDArray[np.uint64]

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def num_words(text: pl.Expr) -> pl.Expr:
    return text.str.count_matches(WORD)


def ngram_hashes(
    word_hashes: Hashes, rows: npt.NDArray[np.int64], n: int
) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """Hashes of all runs of `n` words that do not cross the border of a document.

    Args:
        word_hashes: hashes of the words of all documents, one after the other, shape [N].
        rows: the document of each word, rising, shape [N].
        n: the number of words in a run.

    Returns:
        The hash of each run, and the position of its first word, shapes [M].
    """
    windows = len(word_hashes) - n + 1
    if windows <= 0:
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    hashes = np.zeros(windows, np.uint64)
    for position in range(n):
        # A polynomial in the words' hashes modulo 2^64: unsigned arithmetic wraps, as wanted.
        hashes = hashes * _MULTIPLIER + word_hashes[position : position + windows]
    starts = np.flatnonzero(rows[:windows] == rows[n - 1 :])
    return hashes[starts], starts
