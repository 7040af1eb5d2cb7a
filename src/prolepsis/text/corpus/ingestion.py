"""The whole way from a folder of files to documents, as passes over spools so that memory holds one batch.

The first pass reads and normalises. Every further pass runs filters; it ends where a filter must have seen
the whole corpus before it can judge (duplicates), which the next pass begins with. So a corpus with both
kinds of duplicates is written to disk three times, uncompressed in all but name (LZ4), which costs far less
than reading it again.
"""

import hashlib
import lzma
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from prolepsis import plugins
from prolepsis.errors import ProlepsisError
from prolepsis.text.corpus.config import READERS, IngestionConfig
from prolepsis.text.corpus.files import BadFileError, CorpusFile, find_files
from prolepsis.text.corpus.filters import CorpusFilter, DocumentFilter
from prolepsis.text.corpus.language import UNDETERMINED
from prolepsis.text.corpus.normalisation import normalised
from prolepsis.text.corpus.readers import CorpusReader, megabytes
from prolepsis.text.corpus.spool import Shards, Spool
from prolepsis.text.corpus.words import num_words
from prolepsis.training.progress import progress

READING = "reading"
"""The name of the first step in the waterfall and among the dropped documents' filters."""

Schema = dict[str, type[pl.DataType]]

_READ: Schema = {
    "number": pl.UInt64,
    "id": pl.String,
    "source": pl.String,
    "language": pl.String,
    "text": pl.String,
}
DOCUMENTS: Schema = {
    "id": pl.String,
    "text": pl.String,
    "language": pl.String,
    "source": pl.String,
    "split": pl.String,
    "num_characters": pl.UInt32,
    "num_words": pl.UInt32,
    "num_bytes": pl.UInt32,
}
DROPPED: Schema = {
    "id": pl.String,
    "text": pl.String,
    "language": pl.String,
    "source": pl.String,
    "filter": pl.String,
    "reason": pl.String,
    "score": pl.Float64,
}

# What opening, decompressing and parsing a damaged file may raise besides BadFileError.
_UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException)


@dataclass(frozen=True)
class IngestedCorpus:
    """What became of a folder of files.

    Attributes:
        documents: shards with the columns of `DOCUMENTS`; may be iterated as often as wanted.
        dropped: shards with the columns of `DROPPED`.
        waterfall: a row per step: step, filter, documents_before, documents_after, bytes_before, bytes_after
            (UTF-8 bytes of text).
        set_aside: file and reason of every file that was not read.
        metrics: counts for people and for `dvc metrics`.
    """

    documents: Iterable[pl.DataFrame]
    dropped: Iterable[pl.DataFrame]
    waterfall: pl.DataFrame
    set_aside: pl.DataFrame
    metrics: dict[str, Any]


def ingest_corpus(folder: Path, config: IngestionConfig) -> IngestedCorpus:
    """Reads, cleans, filters and deduplicates all files of a folder.

    A document's id is its file's path, a hash sign and its key in the file (its own id, or its line), so ids
    of different files cannot clash. Which documents are for validation depends on their text alone.

    Raises:
        ProlepsisError: there is no file to read, too many are bad, or a filter dropped every document.
    """
    reading = _Reading(folder, config)
    reading.run()
    passes = _passes(reading, config)
    source = reading.documents()
    dropped = Spool(DROPPED)
    tally = _Tally()
    languages: Counter[str] = Counter()
    splits: Counter[str] = Counter()
    for steps, following in zip(passes, [*passes[1:], None], strict=True):
        observer = following[0].filter if following is not None else None
        target = Spool(_READ)
        with progress(_description(steps), reading.num_documents, "documents") as bar:
            for batch in source:
                kept = _judge(batch, steps, tally, dropped)
                if isinstance(observer, CorpusFilter):
                    observer.observe(kept)
                target.append(kept)
                bar.advance(batch.height)
        tally.refuse_empty(folder)
        if isinstance(observer, CorpusFilter):
            observer.conclude()
        source = target.drain()
    documents = Spool(DOCUMENTS)
    for batch in source:
        finished = _finished(batch, config.validation_share)
        languages.update(finished["language"])
        splits.update(finished["split"])
        documents.append(finished)
    return IngestedCorpus(
        documents=Shards(documents, config.shard_megabytes),
        dropped=Shards(dropped, config.shard_megabytes),
        waterfall=tally.waterfall(),
        set_aside=reading.set_aside(),
        metrics={
            "files": {"read": reading.num_read, "set_aside": len(reading.reasons)},
            **tally.metrics(),
            "languages": dict(sorted(languages.items())),
            "splits": {split: splits[split] for split in ("train", "val")},
        },
    )


@dataclass(frozen=True)
class _Step:
    name: str
    filter: DocumentFilter


class _Reading:
    """The first pass: every file through its reader into a spool."""

    def __init__(self, folder: Path, config: IngestionConfig) -> None:
        self._folder = folder
        self._config = config
        self._max_bytes = int(config.max_document_megabytes * 1e6)
        self._spool = Spool(_READ)
        self._next_number = 0
        self._bad: list[str] = []
        self._refused: list[tuple[int, int]] = []
        self._repeated: list[pl.Series] = []
        self.reasons: dict[str, str] = {}
        self.num_read = 0

    @property
    def num_documents(self) -> int:
        """How many documents the good files hold."""
        return self._next_number - sum(end - start for start, end in self._refused)

    def run(self) -> None:
        readers = _readers(self._config)
        found, self.reasons = find_files(self._folder)
        files = [file for file in found if file.suffix in readers]
        for file in found:
            if file.suffix not in readers:
                self.reasons[file.name] = f"No reader takes {file.suffix or 'a file without a suffix'!r}."
        self._refuse_no_files(files, readers)
        with progress("Reading files", sum(file.path.stat().st_size for file in files) / 1e6, "MB") as bar:
            for file in files:
                bar.note(file.name)
                self._read(file, readers[file.suffix])
                bar.advance(file.path.stat().st_size / 1e6)
        self._refuse_too_many_bad(len(files))

    def documents(self) -> Iterator[pl.DataFrame]:
        """What the good files hold, in the order of the files; may be asked for once."""
        number = pl.col("number")
        for batch in self._spool.drain():
            first, last = batch["number"][0], batch["number"][-1]
            good = pl.lit(True)
            for start, end in self._refused:
                if start <= last and first < end:
                    good &= ~number.is_between(start, end, closed="left")
            kept = batch.filter(good)
            if kept.height:
                yield kept

    def readable(self) -> "_Readable":
        repeated = pl.concat(self._repeated) if self._repeated else pl.Series(dtype=pl.UInt64)
        return _Readable(repeated)

    def set_aside(self) -> pl.DataFrame:
        rows = sorted(self.reasons.items())
        return pl.DataFrame(rows, schema={"file": pl.String, "reason": pl.String}, orient="row")

    def _read(self, file: CorpusFile, reader: CorpusReader) -> None:
        """Spools a file's documents; those of a file that turns out to be bad are refused later on."""
        start = self._next_number
        keys: list[pl.Series] = []
        try:
            for frame in _frames(reader, file, self._max_bytes):
                keys.append(frame["key"].hash())
                self._spool.append(self._described(frame, file))
                self._next_number += frame.height
        except BadFileError as error:
            self._set_aside(file, start, str(error))
        else:
            self.num_read += 1
            if keys:
                repeated = (~pl.concat(keys).is_first_distinct()).arg_true()
                self._repeated.append(repeated.cast(pl.UInt64) + start)

    def _described(self, frame: pl.DataFrame, file: CorpusFile) -> pl.DataFrame:
        largest = frame["text"].str.len_bytes().max()
        if isinstance(largest, int) and largest > self._max_bytes:
            raise BadFileError(f"It holds a document that is larger than {megabytes(self._max_bytes)}.")
        number = pl.int_range(
            self._next_number, self._next_number + frame.height, dtype=pl.UInt64, eager=True
        )
        hash_sign = pl.when(pl.col("key") == "").then(pl.lit("")).otherwise(pl.lit("#"))
        return frame.select(
            number=number,
            id=pl.lit(file.name) + hash_sign + pl.col("key"),
            source=pl.lit(file.name),
            language=pl.lit(UNDETERMINED),
            text=normalised(pl.col("text").fill_null("")),
        )

    def _set_aside(self, file: CorpusFile, start: int, reason: str) -> None:
        self._bad.append(file.name)
        self.reasons[file.name] = reason
        if self._next_number > start:
            self._refused.append((start, self._next_number))

    def _refuse_no_files(self, files: list[CorpusFile], readers: dict[str, CorpusReader]) -> None:
        if not files:
            ignored = f" {len(self.reasons)} were passed over." if self.reasons else ""
            raise ProlepsisError(
                f"The corpus folder holds no file that a reader takes.{ignored}",
                where=self._folder,
                remedy=f"Put text there: {', '.join(sorted(readers))}, also with .gz, .xz, .bz2 or .zst.",
            )

    def _refuse_too_many_bad(self, num_files: int) -> None:
        if len(self._bad) > self._config.max_bad_share * num_files:
            examples = "\n".join(f"    {name}: {self.reasons[name]}" for name in self._bad[:3])
            raise ProlepsisError(
                f"{len(self._bad)} of {num_files} files cannot be read, more than the "
                f"{self._config.max_bad_share:.0%} that may be:\n{examples}",
                where=self._folder,
                remedy="Mend or remove them, or raise max_bad_share.",
            )


class _Readable(DocumentFilter):
    """What reading itself drops: documents without text (`empty`), second uses of a key (`duplicate_id`)."""

    def __init__(self, repeated: pl.Series) -> None:
        self._repeated = repeated

    def judge(self, documents: pl.DataFrame) -> pl.DataFrame:
        return documents.with_columns(
            reason=pl.when(pl.col("text") == "")
            .then(pl.lit("empty"))
            .when(pl.col("number").is_in(self._repeated.implode()))
            .then(pl.lit("duplicate_id")),
            score=pl.lit(None, dtype=pl.Float64),
        )


class _Tally:
    """Documents and bytes before and after each step, and why documents were dropped."""

    def __init__(self) -> None:
        self._sizes: dict[str, list[int]] = {}
        self._reasons: dict[str, Counter[str]] = {}

    def count(self, name: str, before: pl.DataFrame, judged: pl.DataFrame, kept: pl.DataFrame) -> None:
        sizes = self._sizes.setdefault(name, [0, 0, 0, 0])
        added = (before.height, kept.height, _num_bytes(before), _num_bytes(kept))
        self._sizes[name] = [size + more for size, more in zip(sizes, added, strict=True)]
        self._reasons.setdefault(name, Counter()).update(judged["reason"].drop_nulls())

    def waterfall(self) -> pl.DataFrame:
        rows = [(step, name, *sizes) for step, (name, sizes) in enumerate(self._sizes.items())]
        columns = ("documents_before", "documents_after", "bytes_before", "bytes_after")
        schema = {"step": pl.Int32, "filter": pl.String} | dict.fromkeys(columns, pl.Int64)
        return pl.DataFrame(rows, schema=schema, orient="row")

    def metrics(self) -> dict[str, Any]:
        sizes = list(self._sizes.values())
        return {
            "documents": {"read": sizes[0][0], "kept": sizes[-1][1]},
            "bytes": {"read": sizes[0][2], "kept": sizes[-1][3]},
            "dropped": {
                name: dict(sorted(reasons.items())) for name, reasons in self._reasons.items() if reasons
            },
        }

    def refuse_empty(self, folder: Path) -> None:
        """Raises if a step left nothing, naming the first that did."""
        if not self._sizes:
            raise ProlepsisError(
                "The corpus has no document: its files are empty.",
                where=folder,
                remedy="Put files with text there.",
            )
        for name, (before, after, *_) in self._sizes.items():
            if after == 0:
                reason, count = self._reasons[name].most_common(1)[0]
                raise ProlepsisError(
                    f"The step {name!r} dropped every document: all {before} that were left, "
                    f"{count} of them as {reason!r}.",
                    where=folder,
                    remedy=f"Loosen {name!r} under corpus_ingestion.filters, or take it out.",
                )


def _frames(reader: CorpusReader, file: CorpusFile, max_document_bytes: int) -> Iterator[pl.DataFrame]:
    """What the reader reads, with every way in which a file can be damaged as a `BadFileError`."""
    try:
        yield from reader.read(file, max_document_bytes)
    except _UNREADABLE as error:
        raise BadFileError(f"It cannot be read: {error}") from error


def _readers(config: IngestionConfig) -> dict[str, CorpusReader]:
    """A reader for each suffix."""
    readers: dict[str, CorpusReader] = {}
    for name in plugins.names(READERS):
        plugin = plugins.load(READERS, name)
        reader = plugin(plugins.configure(READERS, name, config.readers.get(name, {})))
        for suffix in plugin.suffixes:
            if suffix in readers:
                raise ProlepsisError(
                    f"Two readers take {suffix!r}: {type(readers[suffix]).__name__} and {plugin.__name__}.",
                    where=READERS,
                    remedy="Uninstall one of them.",
                )
            readers[suffix] = reader
    return readers


def _passes(reading: _Reading, config: IngestionConfig) -> list[list[_Step]]:
    """The steps of each pass; all but the first begin with the filter that the one before them observed."""
    passes = [[_Step(READING, reading.readable())]]
    names: Counter[str] = Counter()
    for choice in config.filters:
        names[choice.plugin] += 1
        repeated = f" ({names[choice.plugin]})" if names[choice.plugin] > 1 else ""
        step = _Step(choice.plugin + repeated, choice.load()(choice.configuration()))
        if isinstance(step.filter, CorpusFilter):
            passes.append([step])
        else:
            passes[-1].append(step)
    return passes


def _judge(batch: pl.DataFrame, steps: list[_Step], tally: _Tally, dropped: Spool) -> pl.DataFrame:
    """What the steps of a pass leave of a batch."""
    for step in steps:
        judged = step.filter.judge(batch)
        if judged.height != batch.height or not {*batch.columns, "reason", "score"} <= {*judged.columns}:
            raise TypeError(f"the filter {step.name!r} must return all rows with `reason` and `score` added")
        kept = judged.filter(pl.col("reason").is_null()).select(batch.columns)
        gone = judged.filter(pl.col("reason").is_not_null())
        dropped.append(gone.with_columns(pl.lit(step.name).alias("filter"), pl.col("score").cast(pl.Float64)))
        tally.count(step.name, batch, judged, kept)
        batch = kept
    return batch


def _description(steps: list[_Step]) -> str:
    return "Filtering: " + ", ".join(step.name for step in steps)


def _finished(documents: pl.DataFrame, validation_share: float) -> pl.DataFrame:
    text = pl.col("text")
    return documents.with_columns(
        split=pl.Series([split_of(text, validation_share) for text in documents["text"]], dtype=pl.String),
        num_characters=text.str.len_chars(),
        num_words=num_words(text),
        num_bytes=text.str.len_bytes(),
    )


def split_of(text: str, validation_share: float) -> str:
    """`val` for about that share of all texts, else `train`; always the same for the same text."""
    digest = hashlib.blake2b(text.encode(), digest_size=8, person=b"prolepsis-split").digest()
    return "val" if int.from_bytes(digest, "big") / 2**64 < validation_share else "train"


def _num_bytes(documents: pl.DataFrame) -> int:
    return int(documents["text"].str.len_bytes().cast(pl.UInt64).sum())
