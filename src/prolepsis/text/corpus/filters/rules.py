"""Rules that drop documents, and the measures that filters share."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

SENTENCE_ENDS = ".?!\"'”’»)…。！？؟۔।"
ENDS_SENTENCE = rf"[{SENTENCE_ENDS}]$"


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
        return cls(reason, measure, measure < least)

    @classmethod
    def above(cls, reason: str, measure: pl.Expr, most: float) -> "Rule":
        return cls(reason, measure, measure > most)


def apply_rules(documents: pl.DataFrame, measures: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
    """Adds `reason` and `score` of the first rule that drops a document, nulls where none does.

    Args:
        documents: a batch as `DocumentFilter.judge` gets it.
        measures: a row per document with the columns the rules speak of.
        rules: in the order in which they are asked.
    """
    reason = pl.coalesce(pl.when(rule.drops).then(pl.lit(rule.reason)) for rule in rules)
    score = pl.coalesce(pl.when(rule.drops).then(rule.measure.cast(pl.Float64)) for rule in rules)
    return documents.with_columns(measures.select(reason=reason, score=score))


def repeated_parts(documents: pl.DataFrame, separator: str, name: str, whole: pl.Expr) -> pl.DataFrame:
    """Parts of each document that had occurred before in it, for every document.

    Returns:
        `{name}_share`, of the parts, and `{name}_characters`, of the characters of `whole`.
    """
    # polars splits at literals only; a character that normalisation removes marks the separators.
    parts = (
        documents.select(
            part=pl.col("text").str.strip_chars().str.replace_all(separator, "\x1e").str.split("\x1e"),
            length=whole.str.len_chars(),
        )
        .with_row_index("row")
        .explode("part", empty_as_null=True)
        .with_columns(repeated=~pl.struct("row", "part").is_first_distinct())
    )
    length = pl.col("length").first().clip(lower_bound=1)
    return (
        parts.group_by("row", maintain_order=True)
        .agg(
            (pl.col("repeated").sum() / pl.len()).alias(f"{name}_share"),
            (pl.col("part").filter(pl.col("repeated")).str.len_chars().sum() / length).alias(
                f"{name}_characters"
            ),
        )
        .drop("row")
    )
