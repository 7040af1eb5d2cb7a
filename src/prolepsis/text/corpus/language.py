"""Which language a document is written in: by py3langid, whose model lies in its own wheel, or by lingua."""

from collections.abc import Callable
from functools import cache
from typing import Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from prolepsis.errors import ProlepsisError
from prolepsis.text.corpus.filtering import DocumentFilter

UNDETERMINED = "und"

# Lingua is asked for the wanted languages and these: the most written ones, and with them each script's.
# All of its languages take 1.1 GB of memory and four times as long.
_RIVALS: tuple[str, ...] = (
    "ar",
    "bg",
    "cs",
    "da",
    "de",
    "el",
    "en",
    "es",
    "fa",
    "fi",
    "fr",
    "he",
    "hi",
    "hu",
    "id",
    "it",
    "ja",
    "ko",
)
_RIVALS += ("nb", "nl", "pl", "pt", "ro", "ru", "sv", "th", "tr", "uk", "vi", "zh")

Classify = Callable[[list[str]], list[tuple[str, float]]]


class LanguageFilterConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    identifier: Literal["py3langid", "lingua"] = "py3langid"
    """`lingua` is better at short and at mixed texts, many times slower and installed on request."""
    languages: list[str] | None = Field(default=None, min_length=1)
    """Codes of the languages to keep (`en`, `fr`); without it, all that are recognised with certainty."""
    threshold: float = Field(default=0.65, ge=0, le=1)
    """The least confidence, as in FineWeb (Penedo et al. 2024)."""
    characters: int = Field(default=500, ge=1, le=1_000_000)
    """How much is looked at, in the middle of a longer document: books begin with names and a title page."""


class LanguageFilter(DocumentFilter):
    """Writes each document's language and drops what is uncertain or not wanted.

    Many languages compete also where only some are kept: otherwise a German text would have to be one of
    them. Reasons: `language_uncertain`, `language_not_wanted`; the score is the confidence.

    Raises:
        ProlepsisError: lingua is not installed, or a wanted language is unknown to the identifier.
    """

    Config = LanguageFilterConfig

    def __init__(self, config: LanguageFilterConfig) -> None:
        self._config = config
        wanted = tuple(config.languages) if config.languages is not None else None
        self._classify: Classify = _py3langid(wanted) if config.identifier == "py3langid" else _lingua(wanted)

    def judge(self, documents: pl.DataFrame) -> pl.DataFrame:
        excerpts = _middle(documents["text"], self._config.characters)
        unwanted = pl.lit(False)
        if self._config.languages is not None:
            unwanted = ~pl.col("language").is_in(self._config.languages)
        found = self._classify(excerpts.to_list())
        return documents.with_columns(
            language=pl.Series([language for language, _ in found], dtype=pl.String),
            score=pl.Series([confidence for _, confidence in found], dtype=pl.Float64),
        ).with_columns(
            reason=pl.when(pl.col("score") < self._config.threshold)
            .then(pl.lit("language_uncertain"))
            .when(unwanted)
            .then(pl.lit("language_not_wanted"))
        )


def _middle(texts: pl.Series, characters: int) -> pl.Series:
    text = pl.col("text")
    surplus = (text.str.len_chars().cast(pl.Int64) - characters).clip(lower_bound=0)
    return pl.DataFrame({"text": texts}).select(text.str.slice(surplus // 2, characters)).to_series()


def _py3langid(wanted: tuple[str, ...] | None) -> Classify:
    from prolepsis.text.corpus.langid import classifier

    known = classifier()
    _refuse_unknown(wanted, known.languages, "py3langid")
    return known.classify


@cache
def _lingua(wanted: tuple[str, ...] | None) -> Classify:
    try:
        from lingua import IsoCode639_1, LanguageDetectorBuilder
    except ImportError as error:
        raise ProlepsisError(
            "The language identifier 'lingua' is not installed.",
            where="language.identifier",
            remedy="pip install 'prolepsis[lingua]', or leave the identifier at py3langid.",
        ) from error

    codes = {name.lower(): getattr(IsoCode639_1, name) for name in dir(IsoCode639_1) if len(name) == 2}
    codes["no"] = codes["nb"]  # Bokmål is what other identifiers call Norwegian
    _refuse_unknown(wanted, sorted(codes), "lingua")
    if wanted is None:
        builder = LanguageDetectorBuilder.from_all_languages()
    else:
        builder = LanguageDetectorBuilder.from_iso_codes_639_1(*{codes[code] for code in [*wanted, *_RIVALS]})
    detector = builder.build()

    def classify(texts: list[str]) -> list[tuple[str, float]]:
        found = []
        for text in texts:
            best = detector.compute_language_confidence_values(text)[0]
            code = best.language.iso_code_639_1.name.lower()
            found.append(("no" if code == "nb" else code, best.value))
        return found

    return classify


def _refuse_unknown(wanted: tuple[str, ...] | None, known: list[str], identifier: str) -> None:
    unknown = [code for code in wanted or () if code not in known]
    if unknown:
        raise ProlepsisError(
            f"{identifier} does not know the language {unknown[0]!r}.",
            where="language.languages",
            remedy=f"It knows {', '.join(known)}.",
        )
