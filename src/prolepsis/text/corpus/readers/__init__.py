"""Plugins that turn a file into batches of documents, in a stream that never holds a large file.

A reader is a class with a `Config`, the `suffixes` of the files it takes, and `read`. A file that is broken
anywhere is set aside as a whole: a reader raises `BadFileError` and the ingestion forgets what it read of it.
"""

from prolepsis.text.corpus.readers.base import (
    BATCH_CHARACTERS,
    BATCH_DOCUMENTS,
    CorpusReader,
    Document,
    batches,
    column_index,
    listed,
    megabytes,
    text_lines,
    whole,
)

__all__ = [
    "BATCH_CHARACTERS",
    "BATCH_DOCUMENTS",
    "CorpusReader",
    "Document",
    "batches",
    "column_index",
    "listed",
    "megabytes",
    "text_lines",
    "whole",
]
