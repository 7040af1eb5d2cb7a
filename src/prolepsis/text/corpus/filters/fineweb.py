"""FineWeb's own rules."""

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from prolepsis.text.corpus.filtering import DocumentFilter
from prolepsis.text.corpus.filters.rules import ENDS_SENTENCE, Rule, apply_rules, repeated_parts
from prolepsis.text.corpus.words import TOKEN


class FineWebConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    min_sentence_end_lines: float = Field(default=0.12, ge=0, le=1)
    """The least share of lines that end as sentences do."""
    max_short_lines: float = Field(default=0.67, ge=0, le=1)
    """The largest share of short lines."""
    short_line_characters: int = Field(default=30, ge=0)
    """Up to so many characters a line is short."""
    max_duplicate_characters: float = Field(default=0.01, ge=0)
    """The largest share of characters in lines that had occurred before."""
    max_lines_per_word: float = Field(default=0.3, ge=0)
    """Line breaks for each token: lists have many."""


class FineWebFilter(DocumentFilter):
    """FineWeb's own rules (Penedo et al. 2024, arXiv 2406.17557, 3.5): no lists, no repeated lines."""

    Config = FineWebConfig

    def __init__(self, config: FineWebConfig) -> None:
        self._config = config

    def judge(self, documents: pl.DataFrame) -> pl.DataFrame:
        config = self._config
        column = pl.col
        return apply_rules(
            documents,
            self._measures(documents),
            [
                Rule.below("line_punct_ratio", column("sentence_ends"), config.min_sentence_end_lines),
                Rule.above("short_line_ratio", column("short_lines"), config.max_short_lines),
                Rule.above("char_dup_ratio", column("line_characters"), config.max_duplicate_characters),
                Rule.above("list_ratio", column("lines_per_word"), config.max_lines_per_word),
            ],
        )

    def _measures(self, documents: pl.DataFrame) -> pl.DataFrame:
        text = pl.col("text")
        short = self._config.short_line_characters
        lines = text.str.split("\n").list.eval(pl.element().filter(pl.element().str.contains(r"\S")))
        ends = pl.element().str.contains(ENDS_SENTENCE)
        num_lines = pl.col("lines").list.len().clip(lower_bound=1)
        measures = documents.with_columns(lines=lines).select(
            sentence_ends=pl.col("lines").list.eval(ends).list.sum() / num_lines,
            short_lines=pl.col("lines").list.eval(pl.element().str.len_chars() <= short).list.sum()
            / num_lines,
            lines_per_word=text.str.count_matches("\n", literal=True)
            / text.str.count_matches(TOKEN).clip(lower_bound=1),
        )
        without_line_ends = text.str.replace_all("\n", "", literal=True)
        repeated = repeated_parts(documents, r"\n+", "line", without_line_ends)
        return pl.concat([measures, repeated], how="horizontal")
