"""A corpus filter: documents that are mostly numbers teach a language model little."""

from typing import ClassVar

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from prolepsis.text.corpus.filtering import DocumentFilter


class DigitsConfig(BaseModel):
    """What is too much."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_share: float = Field(0.3, ge=0, le=1, description="of the characters that may be digits")


class DigitsFilter(DocumentFilter):
    """Drops documents of which more than a share of the characters are digits."""

    Config: ClassVar[type[BaseModel]] = DigitsConfig

    def __init__(self, config: DigitsConfig) -> None:
        self.max_share = config.max_share

    def judge(self, documents: pl.DataFrame) -> pl.DataFrame:
        characters = pl.col("text").str.len_chars()
        share = pl.when(characters > 0).then(pl.col("text").str.count_matches(r"\d") / characters)
        return documents.with_columns(score=share.cast(pl.Float64)).with_columns(
            reason=pl.when(pl.col("score") > self.max_share).then(pl.lit("too_many_digits"))
        )
