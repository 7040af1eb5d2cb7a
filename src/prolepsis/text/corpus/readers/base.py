"""The contract of corpus readers, and what they share: lines and batches of bounded size."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import BinaryIO, ClassVar

import polars as pl
from pydantic import BaseModel

from prolepsis.text.corpus.files import BadFileError, CorpusFile

BATCH_DOCUMENTS = 4096
BATCH_CHARACTERS = 8_000_000

Document = tuple[str, str | None]
"""A document's key (its name inside the file) and its text."""


class CorpusReader(ABC):
    """The contract of the plugins in the group `prolepsis.corpus_readers`.

    Attributes:
        Config: what a user may set; the constructor takes an instance of it.
        suffixes: the endings of file names the reader is for, in lower case, without a compression's.
    """

    Config: ClassVar[type[BaseModel]]
    suffixes: ClassVar[tuple[str, ...]]

    @abstractmethod
    def read(self, file: CorpusFile, max_document_bytes: int) -> Iterator[pl.DataFrame]:
        """The documents of a file in batches.

        Args:
            file: what to read.
            max_document_bytes: a document that is larger makes the file a bad one, and is not read to its
                end.

        Yields:
            Frames with the columns `key` (String, the document's name inside the file, "" where the file is
            the document) and `text` (String, null where there is none).

        Raises:
            BadFileError: the file is broken, with the place in it.
        """


def batches(documents: Iterable[Document]) -> Iterator[pl.DataFrame]:
    """Collects documents into frames as `CorpusReader.read` yields them."""
    rows: list[Document] = []
    characters = 0
    for document in documents:
        rows.append(document)
        characters += len(document[1] or "")
        if len(rows) == BATCH_DOCUMENTS or characters > BATCH_CHARACTERS:
            yield _frame(rows)
            rows, characters = [], 0
    if rows:
        yield _frame(rows)


def _frame(rows: list[Document]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"key": pl.String, "text": pl.String}, orient="row")


def whole(stream: BinaryIO, max_bytes: int) -> bytes:
    """All that a stream holds, as one document may hold it."""
    content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise BadFileError(f"As one document it is larger than {megabytes(max_bytes)}.")
    return content


def text_lines(stream: BinaryIO, max_bytes: int) -> Iterator[tuple[int, str]]:
    """The lines of a stream of UTF-8 with their numbers, from 1, and their line ends."""
    number = 1
    while line := stream.readline(max_bytes + 1):
        if len(line) > max_bytes:
            raise BadFileError(f"Line {number} is longer than {megabytes(max_bytes)}.")
        yield number, line.decode()
        number += 1


def column_index(columns: list[str], wanted: str) -> int:
    """The place of a column of a table."""
    if wanted not in columns:
        raise BadFileError(f"There is no column {wanted!r}; there is {listed(columns)}.")
    return columns.index(wanted)


def listed(names: Iterable[object]) -> str:
    """The first few names, as messages give them."""
    shown = ", ".join(repr(str(name))[:40] for name in list(names)[:8])
    return shown or "none"


def megabytes(size: int) -> str:
    """A size as messages give it."""
    return f"{size / 1e6:g} MB"
