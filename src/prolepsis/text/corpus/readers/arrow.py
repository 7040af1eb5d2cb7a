"""Parquet and Arrow files.

What they can ask of memory is bounded by their writer, not by the size of the file: a page of Parquet (1 MB
unless the writer was told otherwise) with its dictionary, or a record batch of a compressed Arrow file, must
be held whole. Row groups and uncompressed record batches may be of any size.
"""

import io
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
from pydantic import BaseModel, ConfigDict

from prolepsis.text.corpus.files import BadFileError, CorpusFile
from prolepsis.text.corpus.readers import base
from prolepsis.text.corpus.readers.base import CorpusReader, column_index, megabytes

_FILE_BEGINNING = b"ARROW1\0\0"
_MAX_DISTINCT_BYTES = 64_000_000
_MAX_MESSAGE_BYTES = 256_000_000


class TableReaderConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    text_column: str = "text"
    """The name of the column of texts."""
    id_column: str = "id"
    """Text or whole numbers, a document's key; where the column is absent, the row number is."""


class _TableReader(CorpusReader):
    """What readers of Arrow's record batches share."""

    Config = TableReaderConfig
    suffixes: ClassVar[tuple[str, ...]]

    def __init__(self, config: TableReaderConfig) -> None:
        self._config = config

    @abstractmethod
    def _batches(self, file: CorpusFile) -> Iterator[pa.RecordBatch]:
        """Batches with the text column and, where there is a usable one, the id column."""

    def read(self, file: CorpusFile, max_document_bytes: int) -> Iterator[pl.DataFrame]:
        first_row = 1
        for batch in self._batches(file):
            for part in _parts(batch, self._config.text_column, first_row, max_document_bytes):
                yield self._documents(part, first_row)
                first_row += part.num_rows

    def _columns(self, schema: pa.Schema) -> list[str]:
        text = self._config.text_column
        column_index(schema.names, text)
        if schema.names.count(text) > 1:
            raise BadFileError(f"There are {schema.names.count(text)} columns {text!r}.")
        kind = schema.field(text).type
        if not _is_text(kind):
            raise BadFileError(f"The column {text!r} is {kind}, not text.")
        key = self._config.id_column
        usable = key != text and schema.names.count(key) == 1 and _is_key(schema.field(key).type)
        return [text, key] if usable else [text]

    def _documents(self, batch: pa.RecordBatch, first_row: int) -> pl.DataFrame:
        rows = pl.int_range(first_row, first_row + batch.num_rows, eager=True).cast(pl.String)
        key = self._config.id_column
        if key in batch.schema.names:
            # A number alone could be the id of another row.
            keys = _plain(batch.column(key)).cast(pl.String).fill_null("row " + rows)
        else:
            keys = rows
        return pl.DataFrame({"key": keys, "text": _plain(batch.column(self._config.text_column))})


class ParquetReader(_TableReader):
    """A Parquet file, some rows of a row group at a time."""

    suffixes = (".parquet",)

    def _batches(self, file: CorpusFile) -> Iterator[pa.RecordBatch]:
        if file.compression:
            raise BadFileError("A Parquet file compresses itself; decompress it first.")
        with pyarrow.parquet.ParquetFile(file.path) as table:
            columns = self._columns(table.schema_arrow)
            rows = _rows_at_a_time(table.metadata)
            repeated = columns[:1] if _may_repeat(table.metadata, columns[0]) else None
        with pyarrow.parquet.ParquetFile(
            file.path, pre_buffer=False, buffer_size=1 << 20, read_dictionary=repeated
        ) as table:
            yield from table.iter_batches(rows, columns=columns)


class ArrowReader(_TableReader):
    """An Arrow file, of the file format (Feather 2) or the stream format."""

    suffixes = (".arrow", ".feather", ".ipc")

    def _batches(self, file: CorpusFile) -> Iterator[pa.RecordBatch]:
        # To let the library pick columns would make it read a whole record batch instead of mapping it.
        with _opened(file) as source:
            table = _arrow_table(source, file)
            columns = self._columns(table.schema)
            if isinstance(table, pyarrow.ipc.RecordBatchStreamReader):
                yield from (batch.select(columns) for batch in table)
            else:
                for index in range(table.num_record_batches):
                    yield table.get_batch(index).select(columns)


@contextmanager
def _opened(file: CorpusFile) -> Iterator[pa.NativeFile]:
    """The file, mapped into memory rather than read where it is not compressed as a whole."""
    if file.compression:
        with file.open() as stream, pa.PythonFile(_BoundedReads(stream), mode="r") as source:
            yield source
    elif file.path.stat().st_size == 0:
        raise BadFileError("It is empty, which not even an Arrow file without rows is.")
    else:
        with pa.memory_map(str(file.path)) as source:
            yield source


class _BoundedReads(io.RawIOBase):
    """A stream that refuses to read very much at once: a damaged length would be reserved in memory."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._stream.seekable()

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _MAX_MESSAGE_BYTES:
            raise BadFileError(f"It has a message that is larger than {megabytes(_MAX_MESSAGE_BYTES)}.")
        return self._stream.read(size)


def _arrow_table(source: pa.NativeFile, file: CorpusFile) -> Any:
    """A reader of the record batches of either format."""
    beginning = source.read(len(_FILE_BEGINNING))
    source.seek(0)
    if beginning != _FILE_BEGINNING:
        return pyarrow.ipc.open_stream(source)
    if file.compression:
        raise BadFileError(
            f"Arrow's file format is read from its end; decompress the {file.compression} first."
        )
    return pyarrow.ipc.open_file(source)


def _parts(
    batch: pa.RecordBatch, text: str, first_row: int, max_document_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Divides a batch as `base.batches` does documents; nothing is copied."""
    for start in range(0, batch.num_rows, base.BATCH_DOCUMENTS):
        rows = batch.slice(start, base.BATCH_DOCUMENTS)
        rows.validate(full=True)  # a foreign file's strings may not be UTF-8
        sizes = _sizes(rows.column(text))
        if sizes.max() > max_document_bytes:
            row = first_row + start + int(sizes.argmax())
            raise BadFileError(f"The text of row {row} is larger than {megabytes(max_document_bytes)}.")
        ends = np.cumsum(sizes)
        begin = 0
        while begin < rows.num_rows:
            limit = ends[begin] + base.BATCH_CHARACTERS
            end = int(np.searchsorted(ends, limit, side="right"))
            yield rows.slice(begin, end - begin)
            begin = end


def _sizes(texts: pa.Array) -> npt.NDArray[np.int64]:
    """How many bytes each text has."""
    if pa.types.is_dictionary(texts.type):
        distinct = np.append(_sizes(texts.dictionary), 0)  # the last one is for nulls
        sizes: npt.NDArray[np.int64] = distinct[texts.indices.cast(pa.int64()).fill_null(-1).to_numpy()]
        return sizes
    # Arrow has no length of string views; polars takes all kinds of strings over without copying them.
    return pl.Series(pl.from_arrow(texts)).str.len_bytes().fill_null(0).cast(pl.Int64).to_numpy()


def _plain(column: pa.Array) -> pl.Series:
    values = pl.Series(pl.from_arrow(column))
    return values.cast(pl.String) if pa.types.is_dictionary(column.type) else values


def _rows_at_a_time(metadata: pyarrow.parquet.FileMetaData) -> int:
    """How many rows of a Parquet file make a batch, by the size of its rows on average."""
    total = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
    row = max(1, total // max(1, metadata.num_rows))
    return int(min(base.BATCH_DOCUMENTS, max(1, base.BATCH_CHARACTERS // row)))


def _may_repeat(metadata: pyarrow.parquet.FileMetaData, text: str) -> bool:
    """Whether the texts take so little space that long ones may lie in the file once and in rows often.

    They are then kept as numbers of distinct texts, which the library collects for a whole row group.
    """
    column = metadata.schema.names.index(text)
    chunks = [metadata.row_group(index).column(column) for index in range(metadata.num_row_groups)]
    return all(
        chunk.total_uncompressed_size < min(_MAX_DISTINCT_BYTES, 256 * chunk.num_values) for chunk in chunks
    )


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_key(kind: pa.DataType) -> bool:
    return _is_text(kind) or bool(pa.types.is_integer(kind))
