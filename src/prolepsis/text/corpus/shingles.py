"""Runs of words as 64-bit hashes, the same for texts that differ in case, diacritics, punctuation or figures.

One compiled pass over the UTF-8 bytes of a batch does what a chain of regular expressions would: it folds
case and diacritics, lets a run of digits count as `0`, parts words at everything that is neither letter, mark
nor digit, and takes each character of a script written without spaces as a word.
"""

import unicodedata
from functools import cache
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import polars as pl

from prolepsis.text.corpus.utf8 import utf8

Hashes = npt.NDArray[np.uint64]

# What a code point does to the word that it stands in; any other value is the code point it is read as.
_PARTS = 0
_IS_PASSED_OVER = 1
_IS_A_DIGIT = 2
_WORD_OF_ITS_OWN = 1 << 31

_TABLE_SIZE = 0x20000
_NO_WORD = np.uint64(0)
_FNV_START = np.uint64(14695981039346656037)
_FNV_FACTOR = np.uint64(1099511628211)
_UNSPACED_SCRIPTS = (
    *("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH", "HIRAGANA", "KATAKANA"),
    *("THAI", "LAO", "KHMER", "MYANMAR"),
)


def shingle_hashes(texts: pl.Series, num_words: int) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """Hashes of all runs of `num_words` words inside each text; a text of fewer words is one run.

    Args:
        texts: strings without nulls.
        num_words: the length of a run.

    Returns:
        The hashes, in the order in which the runs stand, `[S]`; and where those of each text begin, with the
        end of the last, `[len(texts) + 1]`. A text without words has none.
    """
    characters, borders = utf8(texts)
    hashes = np.empty(_most_words(characters) + len(texts), np.uint64)
    starts = np.empty(len(texts) + 1, np.int64)
    count = _hash_runs(characters, borders, _folding(), num_words, hashes, starts)
    return hashes[:count].copy(), starts


def _most_words(characters: npt.NDArray[np.uint8]) -> int:
    # Two bytes for each word of a spaced script, three for a character that is a word of its own.
    return len(characters) // 2 + 1


@cache
def _folding() -> npt.NDArray[np.uint32]:
    """What each code point below `_TABLE_SIZE` counts as."""
    return np.array([_fold(chr(code)) for code in range(_TABLE_SIZE)], np.uint32)


def _fold(character: str) -> int:
    category = unicodedata.category(character)
    if category == "Mn":
        return _IS_PASSED_OVER
    if category == "Nd":
        return _IS_A_DIGIT
    if category[0] not in "LMN":
        return _PARTS
    if unicodedata.name(character, "").startswith(_UNSPACED_SCRIPTS):
        return _WORD_OF_ITS_OWN | ord(character)
    bare = [c for c in unicodedata.normalize("NFD", character.lower()) if unicodedata.category(c) != "Mn"]
    return ord(bare[0]) if len(bare) == 1 else ord(character)


@numba.njit(cache=True, nogil=True)
def _hash_runs(
    characters: Any, borders: Any, folding: Any, num_words: int, hashes: Any, starts: Any
) -> int:  # pragma: no cover  # compiled
    window = np.empty(num_words, np.uint64)
    count = 0
    for row in range(len(borders) - 1):
        starts[row] = count
        position, end = borders[row], borders[row + 1]
        word = _NO_WORD
        after_digit = False
        words = 0
        while position <= end:
            code, length = _character(characters, position, end)
            position += length
            # Beyond the table lie ideographs for the most part.
            folded = folding[code] if code < len(folding) else np.uint32(code | _WORD_OF_ITS_OWN)
            if folded == _IS_PASSED_OVER:
                continue
            if word != _NO_WORD and (folded == _PARTS or folded >= _WORD_OF_ITS_OWN):
                count = _add(word, words, window, hashes, count)
                words += 1
                word = _NO_WORD
            if folded >= _WORD_OF_ITS_OWN:
                count = _add(_mixed(np.uint64(folded)), words, window, hashes, count)
                words += 1
            elif folded != _PARTS and not (folded == _IS_A_DIGIT and after_digit and word != _NO_WORD):
                # The hash of Fowler, Noll and Vo.
                word = ((_FNV_START if word == _NO_WORD else word) ^ np.uint64(folded)) * _FNV_FACTOR
            after_digit = folded == _IS_A_DIGIT
        if 0 < words < num_words:
            hashes[count] = _run(window, words, words)
            count += 1
    starts[len(borders) - 1] = count
    return count


@numba.njit(cache=True, nogil=True)
def _character(characters: Any, position: int, end: int) -> tuple[Any, int]:  # pragma: no cover  # compiled
    """A code point and how many bytes it has; a space at the end, which parts words as one does."""
    if position >= end:
        return np.uint32(32), 1
    first = np.uint32(characters[position])
    if first < 0x80:
        return first, 1
    if first < 0xE0:
        return (first & 0x1F) << 6 | (characters[position + 1] & 0x3F), 2
    if first < 0xF0:
        middle = np.uint32(characters[position + 1] & 0x3F) << 6
        return (first & 0x0F) << 12 | middle | (characters[position + 2] & 0x3F), 3
    middle = (
        np.uint32(characters[position + 1] & 0x3F) << 12 | np.uint32(characters[position + 2] & 0x3F) << 6
    )
    return (first & 0x07) << 18 | middle | (characters[position + 3] & 0x3F), 4


@numba.njit(cache=True, nogil=True)
def _add(word: Any, words: int, window: Any, hashes: Any, count: int) -> int:  # pragma: no cover  # compiled
    """Puts a word into the ring of the last ones and writes the run that ends in it."""
    window[words % len(window)] = word
    if words + 1 < len(window):
        return count
    hashes[count] = _run(window, words + 1, len(window))
    return count + 1


@numba.njit(cache=True, nogil=True)
def _run(window: Any, end: int, length: int) -> Any:  # pragma: no cover  # compiled
    """The hash of the `length` words before `end`, of which `window` is a ring."""
    value = np.uint64(length)
    for index in range(end - length, end):
        value = _mixed(value + window[index % len(window)])
    return value


@numba.njit(cache=True, nogil=True)
def _mixed(value: Any) -> Any:  # pragma: no cover  # compiled
    """Spreads a change of any bit over all of them (a step of splitmix64)."""
    value += np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
