"""How much of a document repeats itself: paragraphs, lines, and runs of tokens."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from prolepsis.text.corpus.filters.tokens import Tokens


def repeated_parts(documents: pl.DataFrame, name: str, text: pl.Expr, separator: str) -> pl.DataFrame:
    """Parts of each document that had occurred before in it, for every document.

    Args:
        documents: a batch.
        name: that the columns begin with.
        text: what is parted.
        separator: a regular expression.

    Returns:
        `{name}_share`, of the parts, and `{name}_characters`, the number of characters in them.
    """
    # polars splits at literals only; a character that normalisation removes marks the separators.
    parts = (
        documents.select(part=text.str.replace_all(separator, "\x1e").str.split("\x1e"))
        .with_row_index("row")
        .explode("part", empty_as_null=True)
        .with_columns(repeated=~pl.struct("row", "part").is_first_distinct())
    )
    return (
        parts.group_by("row", maintain_order=True)
        .agg(
            (pl.col("repeated").sum() / pl.len()).alias(f"{name}_share"),
            pl.col("part").filter("repeated").str.len_chars().sum().alias(f"{name}_characters"),
        )
        .drop("row")
    )


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
    from prolepsis.text.corpus.filters.ngrams import count_ngrams

    largest = max([*top_sizes, *duplicate_sizes], default=0)
    # For each size its column in the result, -1 for none.
    top_columns, duplicate_columns = np.full((2, largest + 1), -1, np.int64)
    top_columns[list(top_sizes)] = np.arange(len(top_sizes))
    duplicate_columns[list(duplicate_sizes)] = np.arange(len(duplicate_sizes))
    top = np.zeros((len(tokens.borders) - 1, len(top_sizes)), np.int64)
    duplicate = np.zeros((len(tokens.borders) - 1, len(duplicate_sizes)), np.int64)
    most = int(tokens.counts.max(initial=0))
    slots = 1 << max(4, (2 * most).bit_length())
    count_ngrams(
        (tokens.borders, tokens.hashes, tokens.lengths),
        (top_columns, duplicate_columns, top_must_recur),
        (np.empty(slots, np.uint64), np.full(slots, -1, np.int64), np.empty(slots, np.int32)),
        np.empty((5, most + 1), np.int32),
        top,
        duplicate,
    )
    return top, duplicate
