"""Comma- and tab-separated values."""

import csv
from collections.abc import Iterator
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from prolepsis.text.corpus.files import BadFileError, CorpusFile
from prolepsis.text.corpus.readers.base import CorpusReader, Document, batches, column_index, text_lines


class CsvReaderConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    text_column: str = "text"
    """The name of the column of texts."""
    id_column: str = "id"
    """Its value is the document's key; where the column is absent, the line number is."""
    delimiter: str | None = Field(default=None, pattern=r'^[^"\r\n]$')
    """One character; a comma in `.csv` and a tab in `.tsv` files unless this says otherwise."""


class CsvReader(CorpusReader):
    """Comma- or tab-separated values (RFC 4180) with a line of column names."""

    Config = CsvReaderConfig
    suffixes = (".csv", ".tsv")

    def __init__(self, config: CsvReaderConfig) -> None:
        self._config = config

    def read(self, file: CorpusFile, max_document_bytes: int) -> Iterator[pl.DataFrame]:
        delimiter = self._config.delimiter or ("\t" if file.suffix == ".tsv" else ",")
        # The limit is the csv module's own, for the process; it keeps an open quote from eating the file.
        csv.field_size_limit(max_document_bytes)
        with file.open_text() as stream:
            lines = (line for _, line in text_lines(stream, max_document_bytes))
            rows = csv.reader(lines, delimiter=delimiter, strict=True)
            try:
                yield from batches(self._documents(rows))
            except csv.Error as error:
                raise BadFileError(f"Line {rows.line_num} is not CSV: {error}.") from error

    def _documents(self, rows: Any) -> Iterator[Document]:
        header = next(rows, None)
        if header is None:
            return
        text_index = column_index(header, self._config.text_column)
        id_index = header.index(self._config.id_column) if self._config.id_column in header else None
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                raise BadFileError(
                    f"Line {rows.line_num} has {len(row)} fields, the header has {len(header)}."
                )
            # Where rows have ids, a number alone could be the id of another one.
            number = str(rows.line_num)
            key = number if id_index is None else row[id_index] or f"line {number}"
            yield key, row[text_index]
