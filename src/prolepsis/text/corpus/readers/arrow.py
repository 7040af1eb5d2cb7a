"""Parquet and Arrow files."""

from collections.abc import Iterator
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
from pydantic import BaseModel, ConfigDict

from prolepsis.text.corpus.files import BadFileError, CorpusFile
from prolepsis.text.corpus.readers.base import BATCH_CHARACTERS, BATCH_DOCUMENTS, CorpusReader, column_index


class ParquetReaderConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    text_column: str = "text"
    """The name of the column of texts."""
    id_column: str = "id"
    """Text or whole numbers, a document's key; where the column is absent, the row number is."""


class ParquetReader(CorpusReader):
    """A Parquet file, some rows of a row group at a time."""

    Config = ParquetReaderConfig
    suffixes = (".parquet",)

    def __init__(self, config: ParquetReaderConfig) -> None:
        self._config = config

    def read(self, file: CorpusFile, max_document_bytes: int) -> Iterator[pl.DataFrame]:
        if file.compression:
            raise BadFileError("A Parquet file compresses itself; decompress it first.")
        with pyarrow.parquet.ParquetFile(file.path, pre_buffer=False, buffer_size=1 << 20) as table:
            text, key = self._columns(table.schema_arrow)
            first_row = 1
            columns = [text] if key is None else [text, key]
            for batch in table.iter_batches(_rows_at_a_time(table.metadata), columns=columns):
                batch.validate(full=True)  # a foreign file's strings may not be UTF-8
                yield self._documents(batch, first_row, key)
                first_row += batch.num_rows

    def _columns(self, schema: pa.Schema) -> tuple[str, str | None]:
        text = self._config.text_column
        column_index(schema.names, text)
        kind = schema.field(text).type
        if not _is_text(kind):
            raise BadFileError(f"The column {text!r} is {kind}, not text.")
        key = self._config.id_column
        usable = key in schema.names and (
            _is_text(schema.field(key).type) or _is_integer(schema.field(key).type)
        )
        return text, key if usable else None

    def _documents(self, batch: pa.RecordBatch, first_row: int, key: str | None) -> pl.DataFrame:
        frame = pl.DataFrame(pl.from_arrow(batch))
        rows = pl.int_range(first_row, first_row + frame.height, eager=True).cast(pl.String)
        keys = rows if key is None else frame[key].cast(pl.String).fill_null(rows)
        return pl.DataFrame({"key": keys, "text": frame[self._config.text_column]})


class ArrowReader(ParquetReader):
    """An Arrow file, of the file (Feather) or the stream format."""

    suffixes = (".arrow", ".feather", ".ipc")

    def read(self, file: CorpusFile, max_document_bytes: int) -> Iterator[pl.DataFrame]:
        with file.open() as stream:
            table = pyarrow.ipc.open_stream(stream)
            key = self._columns(table.schema)[1]
            first_row = 1
            for batch in table:
                batch.validate(full=True)
                yield self._documents(batch, first_row, key)
                first_row += batch.num_rows


def _rows_at_a_time(metadata: Any) -> int:
    """How many rows of a Parquet file make a batch, by the size of its rows on average."""
    total = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
    row = max(1, total // max(1, metadata.num_rows))
    return int(min(BATCH_DOCUMENTS, max(1, BATCH_CHARACTERS // row)))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_integer(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind))
