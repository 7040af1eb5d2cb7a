"""Which language a document is written in, by py3langid, whose model lies in its own wheel."""

from collections.abc import Callable
from functools import cache

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from prolepsis.text.corpus.filtering import DocumentFilter

UNDETERMINED = "und"


class LanguageFilterConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    languages: list[str] | None = None
    """Codes of the languages to keep (`en`, `fr`); without it, all that are recognised with certainty."""
    threshold: float = Field(default=0.65, ge=0, le=1)
    """The least confidence, as in FineWeb (Penedo et al. 2024)."""
    characters: int = Field(default=500, ge=1)
    """How much of a document's beginning is looked at: 500 characters cost a seventh of a 3 kB document."""


class LanguageFilter(DocumentFilter):
    """Writes each document's language and drops what is uncertain or not wanted.

    All languages of the model compete also where only some are kept: otherwise a Chinese text would have to
    be one of them. Reasons: `language_uncertain`, `language_not_wanted`; the score is the confidence.
    """

    Config = LanguageFilterConfig

    def __init__(self, config: LanguageFilterConfig) -> None:
        self._config = config

    def judge(self, documents: pl.DataFrame) -> pl.DataFrame:
        classify = _identifier()
        beginnings = documents["text"].str.head(self._config.characters)
        unwanted = pl.lit(False)
        if self._config.languages is not None:
            unwanted = ~pl.col("language").is_in(self._config.languages)
        found = [classify(text) for text in beginnings]
        return documents.with_columns(
            language=pl.Series([language for language, _ in found], dtype=pl.String),
            score=pl.Series([confidence for _, confidence in found], dtype=pl.Float64),
        ).with_columns(
            reason=pl.when(pl.col("score") < self._config.threshold)
            .then(pl.lit("language_uncertain"))
            .when(unwanted)
            .then(pl.lit("language_not_wanted"))
        )


@cache
def _identifier() -> Callable[[str], tuple[str, float]]:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    classify: Callable[[str], tuple[str, float]] = identifier.classify
    return classify
