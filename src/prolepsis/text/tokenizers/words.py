"""Words counted once: what all trainers learn from, so that memory follows the distinct words, not the text.

Each trainer cuts text into words as its tokenizer will when it encodes: pairs are never merged, nor pieces
found, across the end of a word. The cuts are made by polars; tests show that they are those of the
`tokenizers` library.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from prolepsis.errors import ProlepsisError

# Texts in lists of some megabytes.
Batches = Iterable[Sequence[str]]

LONGEST_WORD = 1_000
"""A longer word, in characters, is left out when a tokenizer is trained: it is data, not language."""

_SCHEMA: dict[str, Any] = {"word": pl.String, "count": pl.Int64}
_PENDING_ROWS = 1 << 20
_WORDS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Words:
    """Texts cut into words.

    Attributes:
        flat: the words of all texts, in order.
        numbers: int64 `[N]`, how many each text has.
    """

    flat: pl.Series
    numbers: NDArray[np.int64]


def extract(texts: pl.Series, pattern: str) -> Words:
    """The matches of a regular expression."""
    found = texts.str.extract_all(pattern)
    return Words(found.explode().drop_nulls(), found.list.len().cast(pl.Int64).to_numpy())


def count_words(batches: Batches, cut: Callable[[pl.Series], Words]) -> pl.DataFrame:
    """How often each word occurs.

    Args:
        batches: of texts, read once, one held at a time.
        cut: how the texts of a batch become words.

    Returns:
        `word` String and `count` Int64, the most frequent first, equally frequent ones by their code points.
        Words of more than `LONGEST_WORD` characters are left out.

    Raises:
        ProlepsisError: there is no word.
    """
    total = pl.DataFrame(schema=_SCHEMA)
    pending: list[pl.DataFrame] = []
    for texts in batches:
        words = cut(pl.Series(texts, dtype=pl.String)).flat.alias("word")
        counts = words.value_counts(name="count").cast({"count": pl.Int64})
        pending.append(counts.filter(pl.col("word").str.len_chars().is_between(1, LONGEST_WORD)))
        if sum(frame.height for frame in pending) > max(_PENDING_ROWS, total.height):
            total, pending = _sum([total, *pending]), []
    total = _sum([total, *pending])
    if total.is_empty():
        raise ProlepsisError(
            "There is no text to train a tokenizer on.",
            remedy="Look at the corpus report: does the train split have documents?",
        )
    return total.sort(pl.col("count"), "word", descending=[True, False])


def recount(counts: pl.DataFrame, cut: Callable[[str], list[str]]) -> pl.DataFrame:
    """Words cut further, by any function, each only once."""
    return _sum(list(_recounted(counts, cut))).sort(pl.col("count"), "word", descending=[True, False])


def _recounted(counts: pl.DataFrame, cut: Callable[[str], list[str]]) -> Iterator[pl.DataFrame]:
    for frame in counts.iter_slices(_WORDS_AT_ONCE):
        words = pl.Series("word", [cut(word) for word in frame["word"]], dtype=pl.List(pl.String))
        yield frame.select("count").with_columns(words).explode("word").drop_nulls().select("word", "count")


def _sum(frames: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(frames).group_by("word").agg(pl.col("count").sum())
