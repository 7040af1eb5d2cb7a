"""The files of a corpus folder: which of them may be read, and their bytes without compression."""

import bz2
import gzip
import io
import lzma
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, cast

from prolepsis.errors import ProlepsisError
from prolepsis.text.corpus.decoding import (
    BLOCK_BYTES,
    DEFAULT_DECODING,
    BadFileError,
    Decoding,
    FileReport,
    Utf8Stream,
)

__all__ = ["COMPRESSIONS", "BadFileError", "CorpusFile", "Decoding", "FileReport", "find_files"]

COMPRESSIONS = (".gz", ".xz", ".bz2", ".zst")


@dataclass(frozen=True)
class CorpusFile:
    """A file of a corpus.

    Attributes:
        path: where it lies.
        name: its path inside the corpus folder, with slashes; the `source` of its documents.
        suffix: what decides its reader, in lower case, the compression's taken off (".jsonl").
        compression: one of `COMPRESSIONS`, or "" for none.
        decoding: how its bytes are understood if it is text.
        report: what became of the bytes when it was last read. A file that was sent to another process has a
            report of its own there.
    """

    path: Path
    name: str
    suffix: str
    compression: str
    decoding: Decoding = DEFAULT_DECODING
    report: FileReport = field(default_factory=FileReport, compare=False)

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The content as a stream, decompressed on the way."""
        self.report.clear()
        with self.path.open("rb") as raw:
            yield _decompress(raw, self.compression)

    @contextmanager
    def open_text(self) -> Iterator[BinaryIO]:
        """The content as a stream of UTF-8 without a byte-order mark, decompressed and decoded on the way.

        Reading raises `BadFileError` where the content is not text, at the end where too much of it was not.
        """
        with self.open() as stream:
            yield io.BufferedReader(Utf8Stream(stream, self.decoding, self.report), BLOCK_BYTES)


def find_files(
    folder: Path,
    include: Sequence[str] = ("**/*",),
    exclude: Sequence[str] = (),
    decoding: Decoding = DEFAULT_DECODING,
) -> tuple[list[CorpusFile], dict[str, str]]:
    """The files below a folder in the order of their names, and those passed over with the reason.

    Args:
        folder: where to look.
        include: globs of which one must match a file's path inside the folder: `*` and `?` stand for what is
            within a name, `**` for any number of folders, also none (`**/*.jsonl.gz`).
        exclude: globs of which none may match it.
        decoding: how the files are to be understood.

    Hidden files are ignored. Links are not followed: one that leads out of the folder could bring in
    anything, and one that stays inside names a file that is read in its own place.
    """
    found = []
    passed_over: dict[str, str] = {}

    def refused(error: OSError) -> None:
        path = Path(error.filename)
        if path == folder:
            raise ProlepsisError(f"The corpus folder cannot be read: {error.strerror}.", where=folder)
        if _matches_one((*path.relative_to(folder).parts, "*"), exclude):
            return
        closed = _describe(path, folder, decoding)
        passed_over[closed.name] = f"The folder cannot be read: {error.strerror}"

    for path in sorted(_walk(folder, refused), key=lambda path: path.relative_to(folder).parts):
        file = _describe(path, folder, decoding)
        parts = path.relative_to(folder).parts
        if not _matches_one(parts, include) or _matches_one(parts, exclude):
            continue
        if path.is_symlink():
            passed_over[file.name] = _about_link(path, folder)
        elif not path.is_file():
            passed_over[file.name] = "It is no regular file."
        else:
            found.append(file)
    return found, passed_over


def _walk(folder: Path, refused: Callable[[OSError], None]) -> Iterator[Path]:
    for directory, subfolders, names in os.walk(folder, onerror=refused):
        here = Path(directory)
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        # os.walk lists links to folders among the folders and does not enter them.
        links = [name for name in subfolders if (here / name).is_symlink()]
        for name in [*names, *links]:
            if not name.startswith("."):
                yield here / name


def _matches_one(parts: tuple[str, ...], globs: Sequence[str]) -> bool:
    return any(_matches(parts, tuple(glob.split("/"))) for glob in globs)


def _matches(parts: tuple[str, ...], glob: tuple[str, ...]) -> bool:
    """Whether a path matches: finds which beginnings of it each beginning of the glob can stand for."""
    reached = {0}
    for pattern in glob:
        if pattern == "**":
            reached = set(range(min(reached), len(parts) + 1)) if reached else reached
        else:
            reached = {
                place + 1 for place in reached if place < len(parts) and fnmatchcase(parts[place], pattern)
            }
    return len(parts) in reached


def _describe(path: Path, folder: Path, decoding: Decoding) -> CorpusFile:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = suffixes.pop() if suffixes and suffixes[-1] in COMPRESSIONS else ""
    # A name that is not UTF-8 is legal on Linux but cannot be written into a table.
    name = os.fsencode(path.relative_to(folder).as_posix()).decode("utf-8", errors="backslashreplace")
    return CorpusFile(path, name, suffixes[-1] if suffixes else "", compression, decoding)


def _about_link(path: Path, folder: Path) -> str:
    try:
        target = path.resolve(strict=False)
    except (OSError, RuntimeError):  # RuntimeError before Python 3.13
        return "It is a link that leads back to itself."
    if not target.is_relative_to(folder.resolve()):
        return f"It is a link that leaves the corpus folder: {target}"
    return "It is a link to a place inside the corpus folder, which is read there."


def _decompress(raw: BinaryIO, compression: str) -> BinaryIO:
    match compression:
        case ".gz":
            return io.BufferedReader(gzip.GzipFile(fileobj=raw))
        case ".xz":
            return cast(BinaryIO, lzma.LZMAFile(raw))
        case ".bz2":
            return cast(BinaryIO, bz2.BZ2File(raw))
        case ".zst":
            import pyarrow as pa

            return cast(BinaryIO, io.BufferedReader(pa.CompressedInputStream(raw, "zstd")))
    return raw
