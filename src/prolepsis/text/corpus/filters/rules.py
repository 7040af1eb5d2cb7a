"""Rules that drop documents."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

LINE_END = r"\r\n|[\n\r\x0B\x0C\x1C-\x1E\x85\u2028\u2029]"
"""What Python's `str.splitlines` takes for the end of a line; polars splits at literals only."""


@dataclass(frozen=True)
class Rule:
    """A reason to drop a document.

    Attributes:
        reason: its code.
        measure: the figure it looks at, one per document.
        drops: whether that figure is bad, an expression of the same column.
    """

    reason: str
    measure: pl.Expr
    drops: pl.Expr

    @classmethod
    def below(cls, reason: str, measure: pl.Expr, least: float) -> "Rule":
        figure = _figure(measure)
        return cls(reason, figure, figure < least)

    @classmethod
    def above(cls, reason: str, measure: pl.Expr, most: float) -> "Rule":
        figure = _figure(measure)
        return cls(reason, figure, figure > most)


def _figure(measure: pl.Expr) -> pl.Expr:
    """A share of nothing is no figure, and drops nothing: polars would take it for the largest of all."""
    return measure.cast(pl.Float64).fill_nan(None)


def apply_rules(documents: pl.DataFrame, measures: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
    """Adds `reason` and `score` of the first rule that drops a document, nulls where none does.

    Args:
        documents: a batch as `DocumentFilter.judge` gets it.
        measures: a row per document with the columns the rules speak of.
        rules: in the order in which they are asked.
    """
    reason = pl.lit(None, dtype=pl.String)
    score = pl.lit(None, dtype=pl.Float64)
    for rule in reversed(rules):
        reason = pl.when(rule.drops).then(pl.lit(rule.reason)).otherwise(reason)
        score = pl.when(rule.drops).then(rule.measure.cast(pl.Float64)).otherwise(score)
    return documents.with_columns(measures.select(reason=reason, score=score))
