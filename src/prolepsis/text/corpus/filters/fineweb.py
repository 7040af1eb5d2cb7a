"""FineWeb's own rules."""

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from prolepsis.text.corpus.filtering import DocumentFilter
from prolepsis.text.corpus.filters.rules import Rule, apply_rules
from prolepsis.text.corpus.filters.tokens import SENTENCE_END, tokenize


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
    """FineWeb's own rules (Penedo et al. 2024, arXiv 2406.17557, 3.5): no lists, no repeated lines.

    As `FineWebQualityFilter` of datatrove 0.10. Lines of white space alone count only as line breaks.
    """

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
                Rule("empty", column("lines"), column("lines") == 0),
                Rule.below("line_punct_ratio", column("sentence_ends"), config.min_sentence_end_lines),
                Rule.above("short_line_ratio", column("short_lines"), config.max_short_lines),
                Rule.above("char_dup_ratio", column("repeated"), config.max_duplicate_characters),
                Rule.above("list_ratio", column("breaks_per_word"), config.max_lines_per_word),
            ],
        )

    def _measures(self, documents: pl.DataFrame) -> pl.DataFrame:
        text, line = pl.col("text"), pl.col("line")
        repeated = ~pl.struct("row", "line").is_first_distinct()
        by_line = (
            documents.select(line=text.str.split("\n"))
            .with_row_index("row")
            .explode("line", empty_as_null=True)
            .filter(line.str.contains(r"\S"))
            .with_columns(repeated=repeated, characters=line.str.len_chars())
            .group_by("row")
            .agg(
                lines=pl.len(),
                sentence_ends=line.str.contains(rf"{SENTENCE_END}$").mean(),
                short_lines=(pl.col("characters") <= self._config.short_line_characters).mean(),
                repeated=pl.col("characters").filter("repeated").sum(),
            )
        )
        num_breaks = text.str.count_matches("\n", literal=True)
        counts = documents.select(breaks=num_breaks, characters=text.str.len_chars() - num_breaks)
        return (
            counts.with_row_index("row")
            .join(by_line, on="row", how="left", maintain_order="left")
            .with_columns(
                pl.col("lines").fill_null(0),
                repeated=pl.col("repeated") / pl.col("characters"),
                breaks_per_word=self._breaks_per_word(documents, counts["breaks"]),
            )
        )

    def _breaks_per_word(self, documents: pl.DataFrame, num_breaks: pl.Series) -> pl.Series:
        """Line breaks for each token of the documents that may have too many, null for the others.

        There are at least as many tokens as runs of characters without a space, which are found faster.
        """
        runs = documents["text"].str.count_matches(r"\S+")
        suspicious = (num_breaks > self._config.max_lines_per_word * runs).arg_true()
        few = documents[suspicious]
        tokens = pl.Series(tokenize(few["text"], few["language"]).counts)
        ratios = num_breaks.gather(suspicious) / tokens
        return pl.Series([None], dtype=pl.Float64).new_from_index(0, len(runs)).scatter(suspicious, ratios)
