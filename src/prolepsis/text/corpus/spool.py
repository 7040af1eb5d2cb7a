"""Frames on disk between two passes over a corpus, so that memory holds one batch at a time."""

import errno
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from prolepsis.errors import ProlepsisError
from prolepsis.text.corpus.readers import BATCH_DOCUMENTS

_PART_BYTES = 8_000_000


class Spool:
    """Frames of one schema, appended, then read in the same order, as often as wanted.

    Small frames are joined and parts are read one by one. The temporary folder (in `TMPDIR`) goes when the
    spool is no longer referenced.
    """

    def __init__(self, schema: dict[str, type[pl.DataType]]) -> None:
        self.schema = schema
        self._directory = tempfile.TemporaryDirectory(prefix="prolepsis-corpus-")
        self._parts: list[Path] = []
        self._written = 0
        self._pending: list[pl.DataFrame] = []
        self._pending_rows = 0
        self._pending_bytes = 0

    def append(self, frame: pl.DataFrame) -> None:
        """Adds rows; extra columns are left out."""
        if frame.height == 0:
            return
        frame = frame.select(self.schema.keys())
        self._pending.append(frame)
        self._pending_rows += frame.height
        self._pending_bytes += int(frame.estimated_size())
        if self._pending_rows >= BATCH_DOCUMENTS or self._pending_bytes >= _PART_BYTES:
            self._flush()

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """The rows in parts of some megabytes."""
        self._flush()
        for part in self._parts:
            yield pl.read_ipc(part)

    def drain(self) -> Iterator[pl.DataFrame]:
        """As iteration, but every part is deleted once the next one is asked for."""
        self._flush()
        while self._parts:
            part = self._parts.pop(0)
            yield pl.read_ipc(part)
            part.unlink()

    def _flush(self) -> None:
        if not self._pending:
            return
        part = Path(self._directory.name) / f"{self._written:06d}.arrow"
        try:
            pl.concat(self._pending).write_ipc(part, compression="lz4")
        except OSError as error:
            if error.errno != errno.ENOSPC and "space" not in str(error).lower():
                raise
            raise ProlepsisError(
                "The disk is full: a corpus needs about its own size for intermediate files.",
                where=self._directory.name,
                remedy="Make room there, or let TMPDIR name a folder on a larger disk.",
            ) from error
        self._parts.append(part)
        self._written += 1
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0


class Shards:
    """A spool's rows in frames of about so many megabytes; one empty frame where there are no rows."""

    def __init__(self, spool: Spool, megabytes: float) -> None:
        self._spool = spool
        self._bytes = megabytes * 1e6

    def __iter__(self) -> Iterator[pl.DataFrame]:
        frames: list[pl.DataFrame] = []
        size = 0
        yielded = False
        for frame in self._spool:
            frames.append(frame)
            size += int(frame["text"].str.len_bytes().sum())
            if size >= self._bytes:
                yield pl.concat(frames)
                frames, size, yielded = [], 0, True
        if frames:
            yield pl.concat(frames)
        elif not yielded:
            yield pl.DataFrame(schema=self._spool.schema)
