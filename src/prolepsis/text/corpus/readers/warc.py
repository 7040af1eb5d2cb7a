"""Web archives."""

from collections.abc import Iterator
from typing import BinaryIO

import polars as pl
from pydantic import BaseModel, ConfigDict

from prolepsis.text.corpus.files import BadFileError, CorpusFile, decode
from prolepsis.text.corpus.readers.base import CorpusReader, Document, batches, megabytes
from prolepsis.text.corpus.readers.html import page_text


class WarcReaderConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class WarcReader(CorpusReader):
    """The web pages of a web archive (ISO 28500). The key of a page is its record's id."""

    Config = WarcReaderConfig
    suffixes = (".warc",)

    def __init__(self, config: WarcReaderConfig) -> None:
        self._config = config

    def read(self, file: CorpusFile, max_document_bytes: int) -> Iterator[pl.DataFrame]:
        with file.open() as stream:
            yield from batches(self._documents(stream, max_document_bytes))

    def _documents(self, stream: BinaryIO, max_document_bytes: int) -> Iterator[Document]:
        from fastwarc.warc import ArchiveIterator, WarcRecordType

        for record in ArchiveIterator(stream, record_types=WarcRecordType.response, fsspec_args=False):
            if record.http_content_type not in ("text/html", "application/xhtml+xml"):
                continue
            content = record.reader.read(max_document_bytes + 1)
            if len(content) > max_document_bytes:
                raise BadFileError(f"A page is larger than {megabytes(max_document_bytes)}.")
            yield record.record_id or "", page_text(decode(content, 0))
