"""Files that are either whole or absent: everything is written aside and renamed into place."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from prolepsis.errors import ProlepsisError

_BLOCK_BYTES = 1 << 20
_LOCK = ".lock"


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` to write to; renames it to `path` if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp is private; a result is not
        _flush(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def resumable_directory(path: Path) -> Iterator[Path]:
    """Like `atomic_directory`, but what a block leaves that fails, or is killed, is there for the next one.

    Yields the folder `.NAME.partial` beside `path`; it is removed after a failure that left nothing in it.

    Raises:
        ProlepsisError: another process is filling the folder.
    """
    partial = path.with_name(f".{path.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    lock = FileLock(partial / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ProlepsisError(
            "Another run is making this.", where=path, remedy="Wait until it has ended, or end it."
        ) from None
    succeeded = False
    try:
        yield partial
        succeeded = True
    finally:
        lock.release()
        (partial / _LOCK).unlink(missing_ok=True)
        if succeeded:
            _install(partial, path)
        elif not any(partial.iterdir()):
            partial.rmdir()


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yields an empty folder beside `path` to fill; puts it in the place of `path` if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial"))
    try:
        yield temporary
        _install(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as readable UTF-8 JSON, atomically. NaN and infinities are refused."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def fingerprint(value: Mapping[str, Any] | list[Any]) -> str:
    """Sixteen hexadecimal digits that change when anything in a JSON-like value does."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _install(folder: Path, path: Path) -> None:
    """Puts a folder, with its files on the disk, in the place of `path`."""
    folder.chmod(0o777 & ~_umask())
    for file in folder.rglob("*"):
        if file.is_file():
            _flush(file)
    replaced = _move_aside(path)
    folder.replace(path)
    if replaced is not None:
        _remove(replaced)


def _move_aside(path: Path) -> Path | None:
    if not path.exists() and not path.is_symlink():
        return None
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".replaced"))
    path.replace(aside / path.name)
    return aside


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
