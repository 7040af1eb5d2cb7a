"""A corpus whose parts stand in wanted proportions."""

import hashlib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Annotated, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from prolepsis.errors import ProlepsisError
from prolepsis.text.corpus.filtering import VERDICT, CorpusFilter

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class MixtureConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    by: Literal["language", "source"] = "language"
    """What the parts are: languages, or files."""
    weights: dict[str, Weight] = Field(min_length=1)
    """The wanted share of each part in the bytes of text, in any unit. Files are named by patterns
    (`books/*`), of which the first that fits counts."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Which documents are taken."""


class Mixture(CorpusFilter):
    """Samples documents so that the parts of the corpus stand in the wanted proportions.

    The result is the largest that needs no document twice: the part that is scarcest for its weight is taken
    whole. Whether a document is taken depends on the seed and its id alone, besides that share. Reasons:
    `not_sampled`, and `not_in_mixture` for parts without a weight; the score is the share that is taken.
    """

    Config = MixtureConfig

    def __init__(self, config: MixtureConfig) -> None:
        self._config = config

    def observe(self, documents: pl.DataFrame) -> pl.DataFrame:
        names = documents[self._config.by]
        parts = {name: self._part(name) for name in names.unique()}
        draws = [_draw(self._config.seed, name) for name in documents["id"]]
        return documents.select(
            "number",
            part=names.replace_strict(parts, return_dtype=pl.String),
            draw=pl.Series(draws, dtype=pl.Float64),
            bytes=pl.col("text").str.len_bytes().cast(pl.Int64),
        )

    def conclude(self, observations: pl.LazyFrame) -> Iterator[pl.DataFrame]:
        totals = observations.group_by("part").agg(pl.col("bytes").sum()).collect()
        parts = {part: total for part, total in totals.iter_rows() if part is not None}
        if not any(self._config.weights[part] for part in parts):
            raise ProlepsisError(
                f"The corpus has no part with a weight: none of {', '.join(self._config.weights)}.",
                where="mixture.weights",
                remedy=f"Name {self._config.by}s of this corpus; its report lists them.",
            )
        shares = self._shares(parts)
        share = pl.col("part").replace_strict(shares, default=0.0, return_dtype=pl.Float64)
        reason = (
            pl.when(pl.col("part").is_null()).then(pl.lit("not_in_mixture")).otherwise(pl.lit("not_sampled"))
        )
        dropped = observations.select("number", "draw", reason=reason, score=share.fill_null(0.0))
        yield dropped.filter(pl.col("draw") >= pl.col("score")).select(VERDICT.keys()).collect()

    def _part(self, name: str) -> str | None:
        if self._config.by == "language":
            return name if name in self._config.weights else None
        return next((pattern for pattern in self._config.weights if fnmatchcase(name, pattern)), None)

    def _shares(self, totals: dict[str, int]) -> dict[str, float]:
        """How much of each part is taken: all of the one that has the fewest bytes for its weight."""
        plenty = {
            part: total / self._config.weights[part]
            for part, total in totals.items()
            if self._config.weights[part] > 0
        }
        scarcest = min(plenty.values(), default=0.0)
        return {part: scarcest / amount if amount else 1.0 for part, amount in plenty.items()}


def _draw(seed: int, name: str) -> float:
    digest = hashlib.blake2b(name.encode(), digest_size=8, salt=seed.to_bytes(8, "little")).digest()
    return int.from_bytes(digest, "big") / 2**64
