"""Words counted once: what all trainers learn from, so that memory follows the distinct words, not the text.

Each trainer cuts text into words as its tokenizer will when it encodes: pairs are never merged, nor pieces
found, across the end of a word. The cuts are made by polars, whose regular expressions have no look-ahead;
that they are the words of the `tokenizers` library all the same is shown by tests.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import polars as pl

from prolepsis.errors import ProlepsisError

# Texts in lists of some megabytes.
Batches = Iterable[Sequence[str]]

# Texts to words, in any number and order: what is cut is counted.
Cut = Callable[[pl.Series], pl.Series]

LONGEST_WORD = 1_000
"""A longer word, in characters, is left out when a tokenizer is trained: it is data, not language."""

_SCHEMA: dict[str, Any] = {"word": pl.String, "count": pl.Int64}
_PENDING_ROWS = 1 << 20
_WORDS_AT_ONCE = 1 << 16

# What white space of a BERT tokenizer is: its clean-up removes the other control characters, so that what
# stands before and after them is one word.
_BERT_WORD = r"[^[\s--[\x0B\x0C\x85]]!-/:-@\[-`{-~]+|[!-/:-@\[-`{-~]"


def count_words(batches: Batches, cut: Cut) -> pl.DataFrame:
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
        words = cut(pl.Series(texts, dtype=pl.String)).alias("word")
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


def at_white_space_and_signs(texts: pl.Series) -> pl.Series:
    """What stands between white space and ASCII signs, and the signs: every BERT word lies inside one."""
    return texts.str.extract_all(_BERT_WORD).explode().drop_nulls()


def recount(counts: pl.DataFrame, cut: Callable[[str], list[str]]) -> pl.DataFrame:
    """Words cut further, by any function, each only once."""
    return _sum(list(_recounted(counts, cut))).sort(pl.col("count"), "word", descending=[True, False])


def _recounted(counts: pl.DataFrame, cut: Callable[[str], list[str]]) -> Iterator[pl.DataFrame]:
    for frame in counts.iter_slices(_WORDS_AT_ONCE):
        words = pl.Series("word", [cut(word) for word in frame["word"]], dtype=pl.List(pl.String))
        yield frame.select("count").with_columns(words).explode("word").drop_nulls().select("word", "count")


def _sum(frames: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(frames).group_by("word").agg(pl.col("count").sum())
