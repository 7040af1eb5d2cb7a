"""The files of a corpus folder: which of them may be read, and their bytes without compression."""

import bz2
import gzip
import io
import lzma
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

COMPRESSIONS = (".gz", ".xz", ".bz2", ".zst")


class BadFileError(Exception):
    """A file that cannot be read to its end; the message says why, and where in the file."""


@dataclass(frozen=True)
class CorpusFile:
    """A file of a corpus.

    Attributes:
        path: where it lies.
        name: its path inside the corpus folder, with slashes; the `source` of its documents.
        suffix: what decides its reader, in lower case, the compression's taken off (".jsonl").
        compression: one of `COMPRESSIONS`, or "" for none.
    """

    path: Path
    name: str
    suffix: str
    compression: str

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The content as a stream, decompressed on the way."""
        with self.path.open("rb") as raw:
            yield _decompress(raw, self.compression)


def find_files(folder: Path) -> tuple[list[CorpusFile], dict[str, str]]:
    """All files below a folder in the order of their names, and those passed over with the reason.

    Hidden files are ignored. Links are not followed: one that leads out of the folder could bring in
    anything, and one that stays inside names a file that is read in its own place.
    """
    found = []
    passed_over = {}
    for path in sorted(_walk(folder), key=lambda path: path.relative_to(folder).parts):
        file = _describe(path, folder)
        if path.is_symlink():
            passed_over[file.name] = _about_link(path, folder)
        elif not path.is_file():
            passed_over[file.name] = "It is no regular file."
        else:
            found.append(file)
    return found, passed_over


def decode(data: bytes, offset: int) -> str:
    """Strict UTF-8.

    Args:
        data: bytes of a file.
        offset: where in the (decompressed) file they start, for the message.

    Raises:
        BadFileError: they are not UTF-8, or hold a NUL byte as only binary files do.
    """
    if offset == 0:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise BadFileError("It is UTF-16, not UTF-8: byte-order mark at byte 0.")
        data_start = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    else:
        data_start = 0
    try:
        text = data[data_start:].decode("utf-8")
    except UnicodeDecodeError as error:
        position = data_start + error.start
        raise BadFileError(
            f"It is not UTF-8: {error.reason}, 0x{data[position]:02x} at byte {offset + position}."
        ) from error
    nul = data.find(0)
    if nul >= 0:
        raise BadFileError(f"It is a binary file: NUL at byte {offset + nul}.")
    return text


def _walk(folder: Path) -> Iterator[Path]:
    for directory, subfolders, names in os.walk(folder):
        here = Path(directory)
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        # os.walk lists links to folders among the folders and does not enter them.
        links = [name for name in subfolders if (here / name).is_symlink()]
        for name in [*names, *links]:
            if not name.startswith("."):
                yield here / name


def _describe(path: Path, folder: Path) -> CorpusFile:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = suffixes.pop() if suffixes and suffixes[-1] in COMPRESSIONS else ""
    # A name that is not UTF-8 is legal on Linux but cannot be written into a table.
    name = os.fsencode(path.relative_to(folder).as_posix()).decode("utf-8", errors="replace")
    return CorpusFile(path, name, suffixes[-1] if suffixes else "", compression)


def _about_link(path: Path, folder: Path) -> str:
    target = path.resolve()
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
            return cast(BinaryIO, io.BufferedReader(pa.CompressedInputStream(raw, "zstd")))
    return raw
