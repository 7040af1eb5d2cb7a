"""Filters over shards: what one pass does with one of them.

A pass runs filters until one must have seen the whole corpus before it can judge; it lets that filter observe
what is left, and the next pass begins with its judgement.
"""

import hashlib
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from prolepsis.files import atomic_directory
from prolepsis.text.corpus.config import IngestionConfig
from prolepsis.text.corpus.filtering import CorpusFilter, DocumentFilter
from prolepsis.text.corpus.ledger import Examples, Ledger, SourceNames
from prolepsis.text.corpus.parts import PartWriter, damaged, read_parts
from prolepsis.text.corpus.words import num_words

READING = "reading"
"""The name of the first step in the waterfall and among the dropped documents' filters."""

KEPT = "kept"
DROPPED = "dropped"
OBSERVED = "observed"
LEDGER_FILE = "ledger.arrow"
EXAMPLES_FILE = "examples.arrow"

_WORKED_ON = ["number", "id", "source", "language", "text"]

DOCUMENT_COLUMNS: dict[str, type[pl.DataType]] = {
    "id": pl.String,
    "text": pl.String,
    "language": pl.String,
    "source": pl.String,
    "split": pl.String,
    "num_characters": pl.UInt32,
    "num_words": pl.UInt32,
    "num_bytes": pl.UInt32,
}
DROPPED_COLUMNS: dict[str, type[pl.DataType]] = {
    "id": pl.String,
    "text": pl.String,
    "language": pl.String,
    "source": pl.String,
    "filter": pl.String,
    "reason": pl.String,
    "score": pl.Float64,
}


@dataclass(frozen=True)
class PassTask:
    """A shard in a pass.

    Attributes:
        number: of the pass, from 0.
        config: of the ingestion.
        names: what sources are counted under.
        source: the folder of the shard's documents, removed when the work is done.
        verdict: of the filter that the pass begins with, a folder of frames; for the first pass, of reading.
        target: what is made: folders `kept`, `dropped` and `observed`, and counts.
        documents: how many were read into the shard.
        expected: how many are in `source`.
    """

    number: int
    config: IngestionConfig
    names: SourceNames
    source: Path
    verdict: Path
    target: Path
    documents: int
    expected: int


@dataclass(frozen=True)
class Step:
    """A filter with its place and its name in the waterfall; None for reading."""

    place: int
    name: str
    filter: DocumentFilter | CorpusFilter | None


@dataclass
class Pass:
    """What is done between two looks at the whole corpus.

    Attributes:
        steps: all but the first look at each document alone.
        observer: the filter that the next pass begins with.
    """

    steps: list[Step]
    observer: CorpusFilter | None = field(default=None)


def plan_passes(config: IngestionConfig) -> list[Pass]:
    """The filters of a configuration, built and divided into passes."""
    passes = [Pass([Step(0, READING, None)])]
    names: Counter[str] = Counter()
    for place, choice in enumerate(config.filters, start=1):
        names[choice.plugin] += 1
        repeated = f" ({names[choice.plugin]})" if names[choice.plugin] > 1 else ""
        step = Step(place, choice.plugin + repeated, choice.load()(choice.configuration()))
        if isinstance(step.filter, CorpusFilter):
            passes[-1].observer = step.filter
            passes.append(Pass([step]))
        else:
            passes[-1].steps.append(step)
    return passes


def run_pass(task: PassTask) -> int:
    """Filters a shard, unless that is done already.

    Returns:
        How many documents were read into it.
    """
    if not task.target.is_dir():
        plan = _passes(task.config)[task.number]
        is_last = plan.observer is None
        with atomic_directory(task.target) as temporary:
            _ShardInPass(task, plan, is_last, temporary).run()
    shutil.rmtree(task.source, ignore_errors=True)
    return task.documents


_planned: dict[str, list[Pass]] = {}


def _passes(config: IngestionConfig) -> list[Pass]:
    """Built once in each process: some filters load models."""
    key = repr(config)
    if key not in _planned:
        _planned.clear()
        _planned[key] = plan_passes(config)
    return _planned[key]


class _ShardInPass:
    def __init__(self, task: PassTask, plan: Pass, is_last: bool, directory: Path) -> None:
        self._task = task
        self._plan = plan
        self._is_last = is_last
        self._directory = directory
        self._verdict = pl.concat(read_parts(task.verdict), how="vertical")
        self._kept = PartWriter(directory / KEPT)
        self._dropped = PartWriter(directory / DROPPED)
        self._observed = PartWriter(directory / OBSERVED)
        self._ledger = Ledger(task.names)
        self._examples = Examples()

    def run(self) -> None:
        seen = 0
        for batch in read_parts(self._task.source):
            seen += batch.height
            kept = self._judge(batch)
            if self._plan.observer is not None:
                self._observed.append(self._plan.observer.observe(kept))
            self._kept.append(_finished(kept, self._task.config.validation_share) if self._is_last else kept)
        if seen != self._task.expected:
            raise damaged(self._task.source, f"{seen} documents of {self._task.expected}")
        for writer in (self._kept, self._dropped, self._observed):
            writer.close()
        self._ledger.frame().write_ipc(self._directory / LEDGER_FILE)
        self._examples.frame().write_ipc(self._directory / EXAMPLES_FILE)

    def _judge(self, batch: pl.DataFrame) -> pl.DataFrame:
        """What the steps of the pass leave of a batch."""
        for step in self._plan.steps:
            if batch.height == 0:
                break
            if step.filter is None:
                batch, judged = self._read(batch)
            elif isinstance(step.filter, CorpusFilter):
                judged = step.filter.judge(batch, self._concerning(batch))
            else:
                judged = step.filter.judge(batch)
            if judged.height != batch.height or not {*_WORKED_ON, "reason", "score"} <= {*judged.columns}:
                raise TypeError(
                    f"the filter {step.name!r} must return all rows with `reason` and `score` added"
                )
            self._ledger.add(step.place, step.name, batch, judged)
            gone = judged.filter(pl.col("reason").is_not_null()).with_columns(
                pl.lit(step.name).alias("filter"), pl.col("score").cast(pl.Float64)
            )
            self._dropped.append(gone.select(DROPPED_COLUMNS.keys()))
            self._examples.add(gone)
            batch = judged.filter(pl.col("reason").is_null()).select(_WORKED_ON)
        return batch

    def _read(self, batch: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The documents of good files, and what reading itself drops of them.

        Reasons: `empty` for documents without text, `duplicate_id` for second uses of a key.
        """
        known = batch.join(self._concerning(batch), on="number", how="left", maintain_order="left")
        known = known.filter(pl.col("reason").is_null() | (pl.col("reason") != "bad_file"))
        judged = known.with_columns(
            reason=pl.when(pl.col("text") == "").then(pl.lit("empty")).otherwise(pl.col("reason")),
            score=pl.lit(None, dtype=pl.Float64),
        )
        return known.select(_WORKED_ON), judged

    def _concerning(self, batch: pl.DataFrame) -> pl.DataFrame:
        return self._verdict.filter(pl.col("number").is_between(batch["number"].min(), batch["number"].max()))


def _finished(documents: pl.DataFrame, validation_share: float) -> pl.DataFrame:
    text = pl.col("text")
    finished = documents.with_columns(
        split=pl.Series([split_of(text, validation_share) for text in documents["text"]], dtype=pl.String),
        num_characters=text.str.len_chars(),
        num_words=num_words(text),
        num_bytes=text.str.len_bytes(),
    )
    return finished.select(DOCUMENT_COLUMNS.keys())


def split_of(text: str, validation_share: float) -> str:
    """`val` for about that share of all texts, else `train`; always the same for the same text."""
    digest = hashlib.blake2b(text.encode(), digest_size=8, person=b"prolepsis-split").digest()
    return "val" if int.from_bytes(digest, "big") / 2**64 < validation_share else "train"
