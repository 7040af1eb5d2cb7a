"""The first step: files through their readers to shards of normalised documents.

Files are read in groups, each by one process: consecutive ones until together they have the size of a shard,
large ones alone.
"""

import lzma
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import polars as pl
import pyarrow as pa

from prolepsis import plugins
from prolepsis.errors import ProlepsisError
from prolepsis.files import atomic_directory, read_json, write_json
from prolepsis.text.corpus.config import READERS, IngestionConfig
from prolepsis.text.corpus.files import BadFileError, CorpusFile
from prolepsis.text.corpus.language import UNDETERMINED
from prolepsis.text.corpus.ledger import num_bytes
from prolepsis.text.corpus.normalisation import normalised
from prolepsis.text.corpus.parts import PartWriter, damaged
from prolepsis.text.corpus.readers import CorpusReader, megabytes

SHARD_BYTES = 8_000_000
"""How much text is one shard of work: what a killed run loses at most in each process."""

_DOCUMENTS_PER_TASK = 1 << 40
_RECORD = "record.json"

REFUSED = "refused"
"""The folder, beside the shards of a task, of `number` and `reason` of documents that are not to be used.

`duplicate_id` for second uses of a key in a file, `bad_file` for documents of a file that was set aside.
"""

# What opening, decompressing and parsing a damaged file may raise besides BadFileError.
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    zlib.error,
    lzma.LZMAError,
    pa.ArrowException,
    pl.exceptions.PolarsError,
)


@dataclass(frozen=True)
class ReadingTask:
    """Files that are read one after the other.

    Attributes:
        index: the task's place in the order of the corpus.
        files: what to read.
        config: of the ingestion.
        directory: what is made.
        bytes: of the files.
    """

    index: int
    files: tuple[CorpusFile, ...]
    config: IngestionConfig
    directory: Path
    bytes: int


@dataclass(frozen=True)
class FileRecord:
    """What became of a file.

    Attributes:
        file: its path in the corpus folder.
        encoding: of its characters.
        replaced_bytes: how many bytes could not be decoded, and became U+FFFD.
        documents: how many were read.
        bytes: of their normalised text, in UTF-8.
        reason: why it was set aside; None where it was not.
    """

    file: str
    encoding: str
    replaced_bytes: int
    documents: int
    bytes: int
    reason: str | None


@dataclass(frozen=True)
class Shard:
    """Documents that are worked on together.

    Attributes:
        name: also of its folders.
        first_number: of its first document; those of a shard lie between this and the next one's.
        documents: how many were read into it.
    """

    name: str
    first_number: int
    documents: int


@dataclass(frozen=True)
class ReadRecord:
    """What a task has read."""

    files: list[FileRecord]
    shards: list[Shard]

    @classmethod
    def load(cls, directory: Path) -> "ReadRecord":
        try:
            record = read_json(directory / _RECORD)
            files = [FileRecord(**entry) for entry in record["files"]]
            shards = [Shard(**entry) for entry in record["shards"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise damaged(directory / _RECORD, str(error)) from error
        return cls(files, shards)


def find_readers(config: IngestionConfig) -> dict[str, CorpusReader]:
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


def grouped(files: Sequence[CorpusFile], sizes: Sequence[int]) -> list[tuple[CorpusFile, ...]]:
    """Consecutive files in groups of about a shard's bytes, as they lie on disk."""
    groups: list[tuple[CorpusFile, ...]] = []
    group: list[CorpusFile] = []
    size = 0
    for file, more in zip(files, sizes, strict=True):
        if group and size + more > SHARD_BYTES:
            groups.append(tuple(group))
            group, size = [], 0
        group.append(file)
        size += more
    return [*groups, tuple(group)] if group else groups


def read_files(task: ReadingTask) -> int:
    """Reads the files of a task, unless that is done already.

    Returns:
        The bytes of the files.
    """
    if not task.directory.is_dir():
        with atomic_directory(task.directory) as temporary:
            _Reading(task, temporary).run()
    return task.bytes


class _Reading:
    def __init__(self, task: ReadingTask, directory: Path) -> None:
        self._task = task
        self._config = task.config
        self._directory = directory
        self._max_bytes = int(task.config.max_document_megabytes * 1e6)
        self._next_number = task.index * _DOCUMENTS_PER_TASK
        self._files: list[FileRecord] = []
        self._shards: list[Shard] = []
        self._refused: list[pl.DataFrame] = []
        self._writer: PartWriter | None = None
        self._room = 0

    def run(self) -> None:
        readers = find_readers(self._config)
        for file in self._task.files:
            self._files.append(self._read(file, readers[file.suffix]))
        self._finish_shard()
        schema = {"number": pl.UInt64, "reason": pl.String}
        (self._directory / REFUSED).mkdir()
        pl.concat([pl.DataFrame(schema=schema), *self._refused]).write_ipc(
            self._directory / REFUSED / "000000.arrow"
        )
        record = ReadRecord(self._files, self._shards)
        write_json(self._directory / _RECORD, asdict(record))

    def _read(self, file: CorpusFile, reader: CorpusReader) -> FileRecord:
        """Writes a file's documents; those of a file that turns out to be bad are refused afterwards."""
        start = self._next_number
        keys: list[pl.Series] = []
        size = 0
        reason = None
        try:
            for frame in _frames(reader, file, self._max_bytes):
                keys.append(frame["key"].hash(seed=0))
                documents = self._documents(frame, file)
                size += num_bytes(documents["text"])
                self._write(documents)
        except BadFileError as error:
            reason = str(error)
        documents_read = self._next_number - start
        numbers = pl.int_range(start, self._next_number, dtype=pl.UInt64, eager=True)
        if reason is not None:
            self._refuse(numbers, "bad_file")
            documents_read = size = 0
        elif keys:
            self._refuse(numbers.filter(~pl.concat(keys).is_first_distinct()), "duplicate_id")
        return FileRecord(
            file.name, file.report.encoding, file.report.replaced_bytes, documents_read, size, reason
        )

    def _documents(self, frame: pl.DataFrame, file: CorpusFile) -> pl.DataFrame:
        largest = frame["text"].str.len_bytes().max()
        if isinstance(largest, int) and largest > self._max_bytes:
            raise BadFileError(f"It holds a document that is larger than {megabytes(self._max_bytes)}.")
        first = self._next_number
        hash_sign = pl.when(pl.col("key") == "").then(pl.lit("")).otherwise(pl.lit("#"))
        return frame.select(
            number=pl.int_range(first, first + frame.height, dtype=pl.UInt64, eager=True),
            id=pl.lit(file.name) + hash_sign + pl.col("key"),
            source=pl.lit(file.name),
            language=pl.lit(UNDETERMINED),
            text=normalised(frame["text"].fill_null(""), self._config.normalisation),
        )

    def _write(self, documents: pl.DataFrame) -> None:
        """Appends to the open shard, and closes it where it is full."""
        if self._writer is None:
            name = f"{self._task.index:06d}-{len(self._shards):06d}"
            self._writer = PartWriter(self._directory / name)
            self._shards.append(Shard(name, self._next_number, 0))
            self._room = SHARD_BYTES
        self._writer.append(documents)
        self._next_number += documents.height
        shard = self._shards[-1]
        self._shards[-1] = replace(shard, documents=shard.documents + documents.height)
        self._room -= num_bytes(documents["text"])
        if self._room <= 0:
            self._finish_shard()

    def _finish_shard(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _refuse(self, numbers: pl.Series, reason: str) -> None:
        if len(numbers):
            self._refused.append(pl.DataFrame({"number": numbers, "reason": [reason] * len(numbers)}))


def _frames(reader: CorpusReader, file: CorpusFile, max_document_bytes: int) -> Iterator[pl.DataFrame]:
    """What the reader reads, with every way in which a file can be damaged as a `BadFileError`."""
    try:
        yield from reader.read(file, max_document_bytes)
    except _UNREADABLE as error:
        raise BadFileError(f"It cannot be read: {error}") from error
