"""Web archives."""

import io
import re
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, Literal, cast

import polars as pl
from pydantic import BaseModel, ConfigDict

from prolepsis.text.corpus.decoding import FileReport, decode
from prolepsis.text.corpus.files import BadFileError, CorpusFile
from prolepsis.text.corpus.readers.base import CorpusReader, Document, batches, megabytes
from prolepsis.text.corpus.readers.html import declared_encoding, main_text

if TYPE_CHECKING:
    from fastwarc.warc import WarcRecord

_PAGES = ("text/html", "application/xhtml+xml")
_MAX_HEADER_BYTES = 1 << 20
_CHUNK = re.compile(rb"[0-9A-Fa-f]{1,8}[ \t]*(;[^\r\n]*)?\r\n")
_ZLIB_BEGINNINGS = (b"\x1f\x8b", b"\x78")
_ZSTD_BEGINNING = b"\x28\xb5\x2f\xfd"
_GZIP_OR_ZLIB = 47


class WarcReaderConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    key: Literal["record_id", "url"] = "record_id"
    """What a page is called: its record's id, which no other record has, or the address it was fetched from,
    of which only the first page counts."""


class WarcReader(CorpusReader):
    """The web pages of an archive (ISO 28500), as `HtmlReader` reads them.

    Pages are HTTP responses with a status from 200 to 299 and the type of HTML or XHTML; text records of WET
    files (`conversion`) are taken as they are. A page that cannot be unpacked or decoded, or that is nested
    too deeply, has no text; it does not make the archive a bad file, as a damaged or cut record does.
    """

    Config = WarcReaderConfig
    suffixes = (".warc", ".wet")

    def __init__(self, config: WarcReaderConfig) -> None:
        self._by_url = config.key == "url"

    def read(self, file: CorpusFile, max_document_bytes: int) -> Iterator[pl.DataFrame]:
        with file.open() as stream:
            yield from batches(self._documents(stream, file, max_document_bytes))

    def _documents(self, stream: BinaryIO, file: CorpusFile, max_document_bytes: int) -> Iterator[Document]:
        from fastwarc.warc import ArchiveIterator, WarcRecordType

        number = 0
        try:
            for record in ArchiveIterator(
                cast(BinaryIO, _Counted(stream)),
                parse_http=False,
                max_header_len=_MAX_HEADER_BYTES,
                stream_detect=False,
                fsspec_args=False,
            ):
                number += 1
                text: str | None = None
                if record.record_type == WarcRecordType.response and record.is_http:
                    record.parse_http(auto_decode="none")
                    if not _is_page(record):
                        _pass_over(record, number)
                        continue
                    text = _page_text(
                        record, _content(record, number, max_document_bytes), file, max_document_bytes
                    )
                elif record.record_type == WarcRecordType.conversion:
                    text = _decoded(_content(record, number, max_document_bytes), file, None)
                else:
                    _pass_over(record, number)
                    continue
                yield self._key(record) or f"record {number}", text
        except OSError as error:
            raise BadFileError(f"Record {number + 1} of the archive is damaged: {error}.") from error

    def _key(self, record: "WarcRecord") -> str:
        if self._by_url:
            return record.headers.get("WARC-Target-URI") or ""
        return (record.record_id or "").removeprefix("<urn:uuid:").removesuffix(">")


class _Counted:
    """A stream that can tell its place, which the library asks for and streams of zstd cannot."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._place = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._place += len(data)
        return data

    def tell(self) -> int:
        return self._place


def _is_page(record: "WarcRecord") -> bool:
    status = record.http_headers.status_code
    return status is not None and 200 <= status < 300 and record.http_content_type in _PAGES


def _content(record: "WarcRecord", number: int, max_document_bytes: int) -> bytes:
    if record.content_length > max_document_bytes:
        raise BadFileError(f"Record {number} of the archive is larger than {megabytes(max_document_bytes)}.")
    content = record.reader.read(record.content_length)
    _refuse_cut(record, number, len(content))
    return content


def _pass_over(record: "WarcRecord", number: int) -> None:
    _refuse_cut(record, number, record.reader.consume())


def _refuse_cut(record: "WarcRecord", number: int, num_bytes: int) -> None:
    """The library takes what is left of a record at the end of a file without complaint."""
    if num_bytes != record.content_length or record.headers.get("Content-Length") is None:
        raise BadFileError(f"Record {number} of the archive is cut off after {num_bytes} bytes.")


def _page_text(record: "WarcRecord", content: bytes, file: CorpusFile, max_document_bytes: int) -> str | None:
    page = _unpacked(record, content, max_document_bytes)
    if page is None:
        return None
    source = _decoded(page, file, record.http_charset or declared_encoding(page))
    try:
        return None if source is None else main_text(source)
    except BadFileError:  # nested too deeply
        return None


def _unpacked(record: "WarcRecord", content: bytes, max_bytes: int) -> bytes | None:
    """The body without the encodings of its transfer; None if it is damaged or larger than a document may be.

    Crawlers often store the body unpacked with the headers of the packed one; then it is taken as it is.
    """
    from fastwarc.stream_io import BrotliReader, ChunkedReader, ZstdReader

    packed = (record.http_headers.get("Content-Encoding") or "").strip().lower()
    chunked = "chunked" in (record.http_headers.get("Transfer-Encoding") or "").lower()
    try:
        if chunked and _CHUNK.match(content):
            content = ChunkedReader(io.BytesIO(content)).read(max_bytes + 1)
        if packed in ("gzip", "x-gzip", "deflate") and content.startswith(_ZLIB_BEGINNINGS):
            inflate = zlib.decompressobj(wbits=_GZIP_OR_ZLIB)
            content = inflate.decompress(content, max_bytes + 1)
            if not inflate.eof:
                return None
        elif packed == "br" and not content.lstrip().startswith(b"<"):
            content = BrotliReader(io.BytesIO(content)).read(max_bytes + 1)
        elif packed == "zstd" and content.startswith(_ZSTD_BEGINNING):
            content = ZstdReader(io.BytesIO(content)).read(max_bytes + 1)
    except (OSError, zlib.error):
        return None
    return content if len(content) <= max_bytes else None


def _decoded(content: bytes, file: CorpusFile, declared: str | None) -> str | None:
    """A page's text, its bytes noted in the file's report; None if it cannot be decoded."""
    report = FileReport()
    try:
        text = decode(content, file.decoding, report, declared)
    except BadFileError:
        return None
    file.report.add(report)
    return text
