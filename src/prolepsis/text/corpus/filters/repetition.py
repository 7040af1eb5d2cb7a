"""How much of a document repeats itself: paragraphs, lines, and runs of tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from prolepsis.text.corpus.filters.tokens import Tokens
from prolepsis.text.corpus.utf8 import utf8


@dataclass(frozen=True)
class RepeatedParts:
    """What had occurred before in each text.

    Attributes:
        share: of its parts, float64 `[texts]`.
        characters: in such parts, int64 `[texts]`.
    """

    share: npt.NDArray[np.float64]
    characters: npt.NDArray[np.int64]


def repeated_parts(texts: pl.Series, min_breaks: int) -> RepeatedParts:
    """Finds what repeats an earlier part of its text.

    Args:
        texts: strings without nulls.
        min_breaks: how many line ends stand between two parts, at least.
    """
    from prolepsis.text.corpus.filters.repeats import count_parts

    characters, borders = utf8(texts)
    most = int(texts.str.count_matches("\n", literal=True).to_numpy().max(initial=0)) + 1
    counts = np.zeros((len(texts), 3), np.int64)
    count_parts(characters, borders, min_breaks, _hash_table(most), counts)
    return RepeatedParts(counts[:, 1] / np.maximum(counts[:, 0], 1), counts[:, 2])


def _hash_table(num_keys: int) -> tuple[npt.NDArray[Any], ...]:
    """Keys, when they were written, and what for; empty, for that many keys at least."""
    slots = 1 << max(4, (4 * num_keys // 3).bit_length())
    return np.empty(slots, np.uint64), np.zeros(slots, np.int32), np.empty(slots, np.int32)


def ngram_characters(
    tokens: Tokens, top_sizes: Sequence[int], duplicate_sizes: Sequence[int], top_must_recur: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Characters of each text that lie in repeated runs of tokens, as datatrove counts them.

    The most frequent run of n tokens, the first of several, counts with the spaces between its tokens as
    often as it occurs. Repeated runs are found from left to right: where n tokens have begun a run before,
    their characters count and the search goes on behind them.

    Args:
        tokens: of the texts.
        top_sizes: for which n the most frequent run is looked for.
        duplicate_sizes: for which n repeated runs are.
        top_must_recur: whether a most frequent run that occurs once counts nothing.

    Returns:
        Characters in the most frequent run, `[texts, top_sizes]`, and in repeated runs,
        `[texts, duplicate_sizes]`.
    """
    from prolepsis.text.corpus.filters.repeats import count_ngrams

    largest = max([*top_sizes, *duplicate_sizes], default=0)
    # For each size its column in the result, -1 for none.
    top_columns, duplicate_columns = np.full((2, largest + 1), -1, np.int64)
    top_columns[list(top_sizes)] = np.arange(len(top_sizes))
    duplicate_columns[list(duplicate_sizes)] = np.arange(len(duplicate_sizes))
    top = np.zeros((len(tokens.borders) - 1, len(top_sizes)), np.int64)
    duplicate = np.zeros((len(tokens.borders) - 1, len(duplicate_sizes)), np.int64)
    most = int(tokens.counts.max(initial=0))
    count_ngrams(
        (tokens.borders, tokens.hashes, tokens.lengths),
        (min([*top_sizes, *duplicate_sizes], default=1), top_columns, duplicate_columns, top_must_recur),
        _hash_table(most),
        np.empty((4, most + 1), np.int32),
        top,
        duplicate,
    )
    return top, duplicate
