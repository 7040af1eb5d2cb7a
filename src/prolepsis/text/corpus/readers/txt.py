"""Plain text."""

from collections.abc import Iterable, Iterator
from typing import BinaryIO, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict

from prolepsis.text.corpus.files import BadFileError, CorpusFile
from prolepsis.text.corpus.readers.base import CorpusReader, Document, batches, megabytes, text_lines, whole


class TextReaderConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    unit: Literal["file", "paragraph", "line"] = "file"
    """What a document is: the whole file, what stands between blank lines, or each line."""


class TextReader(CorpusReader):
    """Plain text. The key of a paragraph or line is the number of its first line."""

    Config = TextReaderConfig
    suffixes = (".txt", ".text")

    def __init__(self, config: TextReaderConfig) -> None:
        self._unit = config.unit

    def read(self, file: CorpusFile, max_document_bytes: int) -> Iterator[pl.DataFrame]:
        with file.open_text() as stream:
            match self._unit:
                case "file":
                    yield from batches([("", whole(stream, max_document_bytes).decode())])
                case "line":
                    yield from batches(_not_blank(text_lines(stream, max_document_bytes)))
                case "paragraph":
                    yield from batches(_paragraphs(stream, max_document_bytes))


def _not_blank(lines: Iterable[tuple[int, str]]) -> Iterator[Document]:
    return ((str(number), line) for number, line in lines if line.strip())


def _paragraphs(stream: BinaryIO, max_bytes: int) -> Iterator[Document]:
    lines: list[str] = []
    first = size = 0
    for number, line in text_lines(stream, max_bytes):
        if not line.strip():
            if lines:
                yield str(first), "".join(lines)
            lines, size = [], 0
            continue
        if not lines:
            first = number
        lines.append(line)
        size += len(line.encode())
        if size > max_bytes:
            raise BadFileError(f"The paragraph of line {first} is longer than {megabytes(max_bytes)}.")
    if lines:
        yield str(first), "".join(lines)
