"""Frames on disk between two steps of a long work, in parts of some megabytes that are read one by one."""

import errno
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from prolepsis.errors import ProlepsisError

MAX_PART_ROWS = 4096
MAX_PART_BYTES = 8_000_000


class PartWriter:
    """Appends frames of one schema to a folder; small ones are joined. Nothing is complete before `close`.

    A folder that was given no rows, but frames, holds one without rows, so that its columns are known.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._directory.mkdir(parents=True)
        self._written = 0
        self._empty: pl.DataFrame | None = None
        self._pending: list[pl.DataFrame] = []
        self._pending_rows = 0
        self._pending_bytes = 0

    def append(self, frame: pl.DataFrame) -> None:
        self._empty = frame.clear()
        if frame.height == 0:
            return
        self._pending.append(frame)
        self._pending_rows += frame.height
        self._pending_bytes += int(frame.estimated_size())
        if self._pending_rows >= MAX_PART_ROWS or self._pending_bytes >= MAX_PART_BYTES:
            self._write()

    def close(self) -> None:
        """Writes what is pending."""
        if self._written == 0 and not self._pending and self._empty is not None:
            self._pending.append(self._empty)
        if self._pending:
            self._write()

    def _write(self) -> None:
        part = self._directory / f"{self._written:06d}.arrow"
        try:
            pl.concat(self._pending).write_ipc(part, compression="lz4")
        except OSError as error:
            if error.errno != errno.ENOSPC and "space" not in str(error).lower():
                raise
            raise ProlepsisError(
                "The disk is full: a corpus needs about its own size for intermediate files.",
                where=self._directory,
                remedy="Make room there, or name a larger disk: "
                "--params corpus_ingestion.checkpoint_directory=FOLDER",
            ) from error
        self._written += 1
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0


def parts(directory: Path) -> list[Path]:
    """The files of a folder that a `PartWriter` filled, in order; none where the folder is gone."""
    return sorted(directory.glob("*.arrow"))


def read_parts(directory: Path) -> Iterator[pl.DataFrame]:
    """The frames of a folder, one part at a time.

    Raises:
        ProlepsisError: there is none, or one is damaged.
    """
    found = parts(directory)
    if not found:
        raise damaged(directory, "nothing is there")
    for part in found:
        yield read_part(part)


def read_part(part: Path) -> pl.DataFrame:
    """One frame.

    Raises:
        ProlepsisError: it is missing or damaged.
    """
    try:
        return pl.read_ipc(part)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise damaged(part, str(error)) from error


def damaged(where: Path, what: str) -> ProlepsisError:
    """The error to raise where the work of an earlier run is not what it was."""
    return ProlepsisError(
        f"The unfinished work of an earlier run is damaged: {what}.",
        where=where,
        remedy="Remove the folder corpus-… that this lies in, and run again.",
    )
