"""The contracts of the plugins in the group `prolepsis.corpus_filters`.

A `DocumentFilter` looks at one document at a time. A `CorpusFilter` must have seen the whole corpus before it
can judge: what it notes of each document is kept on disk, so that shards can be looked at in any process and
a killed run need not look twice.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import ClassVar

import polars as pl
from pydantic import BaseModel

VERDICT = {"number": pl.UInt64, "reason": pl.String, "score": pl.Float64}


class DocumentFilter(ABC):
    """Judges documents one by one; built from an instance of its `Config`."""

    Config: ClassVar[type[BaseModel]]

    @property
    def reads(self) -> str:
        """A digest of files that the configuration names, if any: other content makes other shards."""
        return ""

    @abstractmethod
    def judge(self, documents: pl.DataFrame) -> pl.DataFrame:
        """Decides about a batch.

        Args:
            documents: the columns `number` (UInt64, rising in the order of the corpus), `id`, `source`,
                `language` ("und" as long as no filter has identified it) and `text`, all strings.

        Returns:
            The same rows in the same order with `reason` (a code, null to keep the document) and `score`
            (Float64, the figure that decided) added. `language`, and the text of documents that are kept,
            may be rewritten.
        """


class CorpusFilter(ABC):
    """Judges documents by what the whole corpus holds; built from an instance of its `Config`.

    `observe` and `judge` are called in several processes, each with a filter of its own: nothing may be kept
    in the filter between calls.
    """

    Config: ClassVar[type[BaseModel]]

    @property
    def reads(self) -> str:
        """A digest of files that the configuration names, if any: other content makes other shards."""
        return ""

    @abstractmethod
    def observe(self, documents: pl.DataFrame) -> pl.DataFrame:
        """What must be known of a batch, as few bytes as will do; written to disk.

        Args:
            documents: as `DocumentFilter.judge` gets them.

        Returns:
            A frame with `number` and whatever columns `conclude` needs, always the same.
        """

    @abstractmethod
    def conclude(self, observations: pl.LazyFrame) -> Iterable[pl.DataFrame]:
        """Decides, from what was noted of all batches, in the order of the corpus.

        Args:
            observations: a scan of files; may be collected as often as wanted, in parts where it is large.

        Yields:
            One frame at least, with `number` and whatever `judge` needs; for the inherited `judge` the
            columns of `VERDICT`, a row for each document that is dropped.
        """

    def judge(self, documents: pl.DataFrame, verdict: pl.DataFrame) -> pl.DataFrame:
        """Applies the verdict to a batch.

        Args:
            documents: a batch as `observe` got it.
            verdict: the rows of the frames of `conclude` that concern these documents.

        Returns:
            As `DocumentFilter.judge`.
        """
        return documents.join(verdict.select(VERDICT.keys()), on="number", how="left", maintain_order="left")


def partitions(key: str, num_rows: int, rows_per_partition: int = 4_000_000) -> Iterator[pl.Expr]:
    """Predicates that divide rows by a column of evenly distributed UInt64 hashes into parts that fit memory.

    Equal hashes always fall into the same part.
    """
    count = max(1, -(-num_rows // rows_per_partition))
    for part in range(count):
        yield pl.col(key) % count == part
