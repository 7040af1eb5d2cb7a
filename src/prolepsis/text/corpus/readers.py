"""Plugins that turn a file into batches of documents, in a stream that never holds a large file.

A reader is a class with a `Config`, the `suffixes` of the files it takes, and `read`. A file that is broken
anywhere is set aside as a whole: a reader raises `BadFileError` and the ingestion forgets what it read of it.
"""

import csv
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, ClassVar, Literal

import polars as pl
import pyarrow as pa
import pyarrow.parquet
from pydantic import BaseModel, ConfigDict

from prolepsis.text.corpus.files import BadFileError, CorpusFile, decode

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
        with file.open() as stream:
            match self._unit:
                case "file":
                    yield from batches([("", decode(_whole(stream, max_document_bytes), 0))])
                case "line":
                    yield from batches(_not_blank(_text_lines(stream, max_document_bytes)))
                case "paragraph":
                    yield from batches(_paragraphs(stream, max_document_bytes))


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
        with file.open() as stream:
            yield from batches(self._documents(stream, max_document_bytes))

    def _documents(self, stream: BinaryIO, max_document_bytes: int) -> Iterator[Document]:
        for number, line in _text_lines(stream, max_document_bytes):
            if line.strip():
                yield self._document(number, line)

    def _document(self, number: int, line: str) -> Document:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadFileError(f"Line {number} is not JSON: {error}.") from error
        if not isinstance(record, dict):
            raise BadFileError(f"Line {number} is a JSON {_json_type(record)}, not an object.")
        if self._config.text_key not in record:
            raise BadFileError(
                f"Line {number} has no key {self._config.text_key!r}; it has {_listed(record)}."
            )
        text = record[self._config.text_key]
        if not isinstance(text, str | None):
            raise BadFileError(
                f"Line {number}: {self._config.text_key!r} is a {_json_type(text)}, not a string."
            )
        if text is not None and not _encodable(text):
            raise BadFileError(f"Line {number}: {self._config.text_key!r} holds half of a surrogate pair.")
        key = record.get(self._config.id_key)
        usable = isinstance(key, str | int) and _encodable(str(key))
        return str(key) if usable else str(number), text


class CsvReaderConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    text_column: str = "text"
    """The name of the column of texts."""
    id_column: str = "id"
    """Its value is the document's key; where the column is absent, the line number is."""
    delimiter: str | None = None
    """A comma in `.csv` and a tab in `.tsv` files unless this says otherwise."""


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
        with file.open() as stream:
            lines = (line for _, line in _text_lines(stream, max_document_bytes))
            rows = csv.reader(lines, delimiter=delimiter, strict=True)
            try:
                yield from batches(self._documents(rows))
            except csv.Error as error:
                raise BadFileError(f"Line {rows.line_num} is not CSV: {error}.") from error

    def _documents(self, rows: Any) -> Iterator[Document]:
        header = next(rows, None)
        if header is None:
            return
        text_index = _column_index(header, self._config.text_column)
        id_index = header.index(self._config.id_column) if self._config.id_column in header else None
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                raise BadFileError(
                    f"Line {rows.line_num} has {len(row)} fields, the header has {len(header)}."
                )
            key = row[id_index] if id_index is not None else ""
            yield key or str(rows.line_num), row[text_index]


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
        _column_index(schema.names, text)
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


_HTML_DROPPED = ["aside", "footer", "form", "header", "nav", "noscript", "script", "style", "svg", "template"]
_HTML_BLOCKS = frozenset(
    (
        "address",
        "article",
        "blockquote",
        "body",
        "br",
        "caption",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "li",
        "main",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "td",
        "th",
        "tr",
        "ul",
    )
)
_HTML_SPACE = re.compile(r"[ \t\r\f]+")  # a no-break space is not among them


class HtmlReaderConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    selector: str | None = None
    """A CSS selector; each element that it matches is a document (`article`). Without it the page is one."""


class HtmlReader(CorpusReader):
    """A web page as text: a line for each block, without scripts, navigation, headers and footers.

    The key of a selected element is its `id` attribute, or its number where it has none.
    """

    Config = HtmlReaderConfig
    suffixes = (".html", ".htm", ".xhtml")

    def __init__(self, config: HtmlReaderConfig) -> None:
        self._selector = config.selector

    def read(self, file: CorpusFile, max_document_bytes: int) -> Iterator[pl.DataFrame]:
        from selectolax.lexbor import LexborHTMLParser

        with file.open() as stream:
            page = LexborHTMLParser(decode(_whole(stream, max_document_bytes), 0))
        page.strip_tags(_HTML_DROPPED, recursive=True)
        yield from batches(self._documents(page))

    def _documents(self, page: Any) -> Iterator[Document]:
        if self._selector is None:
            yield "", self._text(page.body) if page.body is not None else None
            return
        for number, element in enumerate(page.css(self._selector), start=1):
            yield element.attributes.get("id") or str(number), self._text(element)

    def _text(self, element: Any) -> str:
        """An element's text with a line for each block; line breaks in the source are spaces."""
        parts: list[str] = []
        # The stack holds nodes still to enter and the breaks that follow a block; pages nest deeper than
        # Python.
        stack: list[Any] = [element]
        while stack:
            node = stack.pop()
            if isinstance(node, str):
                parts.append(node)
            elif node.is_text_node:
                parts.append(node.text_content.replace("\n", " "))
            else:
                if node.tag in _HTML_BLOCKS:
                    parts.append("\n")
                    stack.append("\n")
                stack.extend(reversed(list(node.iter(include_text=True))))
        lines = (_HTML_SPACE.sub(" ", line).strip() for line in "".join(parts).split("\n"))
        return "\n".join(line for line in lines if line)


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


def _whole(stream: BinaryIO, max_bytes: int) -> bytes:
    content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise BadFileError(f"As one document it is larger than {megabytes(max_bytes)}.")
    return content


def _text_lines(stream: BinaryIO, max_bytes: int) -> Iterator[tuple[int, str]]:
    """The lines of a stream with their numbers, from 1."""
    offset = 0
    number = 1
    while line := stream.readline(max_bytes + 1):
        if len(line) > max_bytes:
            raise BadFileError(f"Line {number}, at byte {offset}, is longer than {megabytes(max_bytes)}.")
        yield number, decode(line, offset)
        offset += len(line)
        number += 1


def _not_blank(lines: Iterable[tuple[int, str]]) -> Iterator[Document]:
    return ((str(number), line) for number, line in lines if line.strip())


def _paragraphs(stream: BinaryIO, max_bytes: int) -> Iterator[Document]:
    lines: list[str] = []
    first = size = 0
    for number, line in _text_lines(stream, max_bytes):
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


def _rows_at_a_time(metadata: Any) -> int:
    """How many rows of a Parquet file make a batch, by the size of its rows on average."""
    total = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
    row = max(1, total // max(1, metadata.num_rows))
    return int(min(BATCH_DOCUMENTS, max(1, BATCH_CHARACTERS // row)))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_integer(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind))


def _column_index(columns: list[str], wanted: str) -> int:
    if wanted not in columns:
        raise BadFileError(f"There is no column {wanted!r}; there is {_listed(columns)}.")
    return columns.index(wanted)


def _listed(names: Iterable[object]) -> str:
    shown = ", ".join(repr(str(name))[:40] for name in list(names)[:8])
    return shown or "none"


def _json_type(value: object) -> str:
    kinds = {list: "array", str: "string", bool: "boolean", int: "number", float: "number", dict: "object"}
    return kinds.get(type(value), "null")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def megabytes(size: int) -> str:
    """A size as messages give it."""
    return f"{size / 1e6:g} MB"
