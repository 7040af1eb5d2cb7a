"""JSON lines."""

import json
from collections.abc import Iterator
from typing import BinaryIO

import polars as pl
from pydantic import BaseModel, ConfigDict

from prolepsis.text.corpus.files import BadFileError, CorpusFile
from prolepsis.text.corpus.readers.base import CorpusReader, Document, batches, listed, text_lines


class JsonLinesReaderConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    text_key: str = "text"
    """The key of the text in each object."""
    id_key: str = "id"
    """Its value is the document's key; where it is absent, the line number is."""


class JsonLinesReader(CorpusReader):
    """One JSON object per line."""

    Config = JsonLinesReaderConfig
    suffixes = (".jsonl", ".ndjson")

    def __init__(self, config: JsonLinesReaderConfig) -> None:
        self._config = config

    def read(self, file: CorpusFile, max_document_bytes: int) -> Iterator[pl.DataFrame]:
        with file.open_text() as stream:
            yield from batches(self._documents(stream, max_document_bytes))

    def _documents(self, stream: BinaryIO, max_document_bytes: int) -> Iterator[Document]:
        has_ids = False
        last_number = 0
        for number, line in text_lines(stream, max_document_bytes):
            if line.strip():
                key, text = self._document(number, line)
                # Where some lines have ids and others do not, a number alone could be either.
                if key is None:
                    key = f"line {number}" if has_ids else str(number)
                    last_number = last_number if has_ids else number
                else:
                    has_ids = True
                    key = f"id {key}" if _is_number_up_to(key, last_number) else key
                yield key, text

    def _document(self, number: int, line: str) -> tuple[str | None, str | None]:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadFileError(f"Line {number} is not JSON: {error}.") from error
        if not isinstance(record, dict):
            raise BadFileError(f"Line {number} is a JSON {_json_type(record).split()[-1]}, not an object.")
        if self._config.text_key not in record:
            raise BadFileError(
                f"Line {number} has no key {self._config.text_key!r}; it has {listed(record)}."
            )
        text = record[self._config.text_key]
        if not isinstance(text, str | None):
            raise BadFileError(
                f"Line {number}: {self._config.text_key!r} is {_json_type(text)}, not a string."
            )
        if text is not None and not _encodable(text):
            raise BadFileError(f"Line {number}: {self._config.text_key!r} holds half of a surrogate pair.")
        key = record.get(self._config.id_key)
        usable = isinstance(key, str | int) and _encodable(str(key))
        return str(key) if usable else None, text


def _is_number_up_to(key: str, last: int) -> bool:
    return key.isdecimal() and len(key) <= len(str(last)) and int(key) <= last


def _json_type(value: object) -> str:
    kinds = {list: "an array", str: "a string", bool: "a boolean", dict: "an object"}
    return kinds.get(type(value), "null" if value is None else "a number")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
