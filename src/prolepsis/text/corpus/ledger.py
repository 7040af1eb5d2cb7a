"""What became of the documents, step by step: counts by language and by source, and a few examples."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

EXAMPLES_PER_REASON = 5
EXCERPT_CHARACTERS = 400
MOST_SOURCES = 50

_LEDGER: dict[str, type[pl.DataType]] = {
    "step": pl.Int32,
    "filter": pl.String,
    "language": pl.String,
    "source": pl.String,
    "reason": pl.String,
    "documents": pl.Int64,
    "bytes_before": pl.Int64,
    "bytes_after": pl.Int64,
}
_KEYS = ["step", "filter", "language", "source", "reason"]
_COUNTS = ["documents_before", "documents_after", "bytes_before", "bytes_after"]

WATERFALL: dict[str, type[pl.DataType]] = {
    "step": pl.Int32,
    "filter": pl.String,
    **dict.fromkeys(_COUNTS, pl.Int64),
}
WATERFALL_BY_GROUP: dict[str, type[pl.DataType]] = {"by": pl.String, "group": pl.String, **WATERFALL}
EXAMPLES: dict[str, type[pl.DataType]] = {
    "filter": pl.String,
    "reason": pl.String,
    "score": pl.Float64,
    "language": pl.String,
    "source": pl.String,
    "id": pl.String,
    "excerpt": pl.String,
}


@dataclass(frozen=True)
class SourceNames:
    """What documents are counted under: their files where these are few, else their folders.

    Attributes:
        by_file: whether each file is counted for itself.
    """

    by_file: bool

    @classmethod
    def of(cls, files: Sequence[str]) -> "SourceNames":
        return cls(len(files) <= MOST_SOURCES)

    def __call__(self, source: pl.Expr) -> pl.Expr:
        if self.by_file:
            return source
        # A file outside any folder is counted with all that have its ending.
        folder = source.str.extract(r"^([^/]+)/")
        return pl.coalesce(folder + "/", pl.lit("*") + source.str.extract(r"(\.[^./]+)$"), pl.lit("*"))


class Ledger:
    """The counts of one shard, or of all of them."""

    def __init__(self, names: SourceNames) -> None:
        self._names = names
        self._frames: list[pl.DataFrame] = []

    def add(self, step: int, name: str, before: pl.DataFrame, judged: pl.DataFrame) -> None:
        """Counts what a filter said of a batch.

        Args:
            step: its place in the waterfall.
            name: of the filter.
            before: the batch that it got.
            judged: what it returned; its language counts, since it may be what the filter has found.
        """
        size = pl.col("text").str.len_bytes().cast(pl.Int64)
        rows = judged.select(
            "language", "reason", source=self._names(pl.col("source")), bytes_after=size
        ).with_columns(before.select(bytes_before=size))
        counts = rows.group_by("language", "source", "reason").agg(
            pl.len().cast(pl.Int64).alias("documents"), pl.col("bytes_before", "bytes_after").sum()
        )
        counts = counts.with_columns(pl.lit(step, pl.Int32).alias("step"), pl.lit(name).alias("filter"))
        self._frames.append(counts.select(pl.col(column).cast(dtype) for column, dtype in _LEDGER.items()))
        if len(self._frames) > 100:
            self._frames = [self.frame()]

    def frame(self) -> pl.DataFrame:
        """All counts, one row for each step, language, source and reason (null for what was kept)."""
        return merged(self._frames)


def merged(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """The sum of several ledgers."""
    together = pl.concat([pl.DataFrame(schema=_LEDGER), *frames])
    return together.group_by(_KEYS).agg(pl.exclude(_KEYS).sum()).sort(_KEYS).select(_LEDGER.keys())


def waterfall(ledger: pl.DataFrame, groups: Sequence[str] = ()) -> pl.DataFrame:
    """Documents and bytes of text before and after each step, all together or by columns of the ledger."""
    kept = pl.col("reason").is_null()
    return (
        ledger.group_by(*groups, "step", "filter")
        .agg(
            documents_before=pl.col("documents").sum(),
            documents_after=pl.col("documents").filter(kept).sum(),
            bytes_before=pl.col("bytes_before").sum(),
            bytes_after=pl.col("bytes_after").filter(kept).sum(),
        )
        .sort(*groups, "step")
    )


def waterfall_by_group(ledger: pl.DataFrame) -> pl.DataFrame:
    """The waterfall of each language and of each source, from the step on that knows the language."""
    parts = []
    for by in ("language", "source"):
        part = waterfall(ledger, [by]).rename({by: "group"})
        parts.append(part.select(pl.lit(by).alias("by"), "group", *WATERFALL))
    return pl.concat(parts)


def kept_documents(ledger: pl.DataFrame, step: int) -> int:
    """How many documents a step has left."""
    left = ledger.filter((pl.col("step") == step) & pl.col("reason").is_null())
    return int(left["documents"].sum())


def reasons(ledger: pl.DataFrame) -> dict[str, dict[str, int]]:
    """How many documents each filter dropped for which reason."""
    counts = ledger.drop_nulls("reason").group_by("step", "filter", "reason").agg(pl.col("documents").sum())
    found: dict[str, dict[str, int]] = {}
    for name, reason, count in (
        counts.sort("step", "reason").select("filter", "reason", "documents").iter_rows()
    ):
        found.setdefault(name, {})[reason] = count
    return found


class Examples:
    """A few of the documents that were dropped for each reason, always the same ones."""

    def __init__(self) -> None:
        self._frame = pl.DataFrame(schema=EXAMPLES)

    def add(self, dropped: pl.DataFrame) -> None:
        """Takes in documents with the columns of `EXAMPLES`, `text` instead of `excerpt`."""
        if dropped.height:
            excerpts = dropped.with_columns(excerpt=pl.col("text").str.head(EXCERPT_CHARACTERS))
            self._frame = chosen([self._frame, excerpts.select(EXAMPLES.keys())])

    def frame(self) -> pl.DataFrame:
        return self._frame


def chosen(examples: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Of several sets of examples, as many for each filter and reason as are kept, by a hash of their ids."""
    together = pl.concat([pl.DataFrame(schema=EXAMPLES), *examples])
    draw = pl.col("id").hash(seed=0)
    return (
        together.sort(draw, "id")
        .group_by("filter", "reason", maintain_order=True)
        .head(EXAMPLES_PER_REASON)
        .sort("filter", "reason", "id")
        .select(EXAMPLES.keys())
    )


def num_bytes(texts: pl.Series) -> int:
    total: Any = texts.str.len_bytes().cast(pl.UInt64).sum()
    return int(total)
