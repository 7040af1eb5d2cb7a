"""Where the shards of a corpus lie while it is made.

A shard of work is a folder that is renamed into place when it is complete, with everything that must be known
of it: its existence is the mark that it need not be made again. All lies in a folder that is named after what
the work depends on, so that nothing is taken over from other work, and nothing else is ever removed.
"""

import logging
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from prolepsis.errors import ProlepsisError
from prolepsis.files import fingerprint

_PREFIX = "corpus-"
_LOCK = ".corpus.lock"
_LOGGER = logging.getLogger(__name__)


class Workspace:
    """A folder for the work of one configuration on one set of files; only one run at a time has it.

    Args:
        directory: where to put it; what other work left there is removed. Without it, a temporary folder that
            goes with this object.
        contents: whatever the work depends on, as JSON.

    Raises:
        ProlepsisError: the directory cannot be made, or another run is at work in it.
    """

    def __init__(self, directory: Path | None, contents: Mapping[str, Any]) -> None:
        self._temporary = None
        self._lock = None
        if directory is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="prolepsis-corpus-")
            directory = Path(self._temporary.name)
        else:
            self._lock = _locked(directory)
        self.directory = directory / f"{_PREFIX}{fingerprint(contents)}"
        for other in _folders(directory):
            if other != self.directory:
                _remove(other)
        if self.directory.is_dir():
            _LOGGER.info("Going on with the work of an earlier run in %s", self.directory)
            for partial in self.directory.rglob(".*.partial"):
                shutil.rmtree(partial, ignore_errors=True)
        self.directory.mkdir(exist_ok=True)

    def __del__(self) -> None:
        lock: FileLock | None = getattr(self, "_lock", None)  # absent where making this failed
        if lock is not None:
            lock.release(force=True)

    def read(self, task: int) -> Path:
        """What was read of a group of files."""
        return self.directory / "read" / f"{task:06d}"

    def judged(self, number: int, shard: str) -> Path:
        """What the filters of a pass left of a shard."""
        return self.directory / f"pass-{number}" / shard

    def verdict(self, number: int) -> Path:
        """What the filter that a pass begins with has concluded, a folder for each shard."""
        return self.directory / f"verdict-{number}"


def clear_workspace(directory: Path) -> None:
    """Removes the work in a directory, nothing else, and the directory if it is empty then."""
    for folder in _folders(directory):
        _remove(folder)
    (directory / _LOCK).unlink(missing_ok=True)
    if directory.is_dir() and not any(directory.iterdir()):
        directory.rmdir()


def _locked(directory: Path) -> FileLock:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory / _LOCK, is_singleton=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ProlepsisError(
            "Another run is making a corpus here.",
            where=directory,
            remedy="Wait for it, or give corpus_ingestion.checkpoint_directory another folder.",
        ) from error
    except OSError as error:
        raise ProlepsisError(
            f"Unfinished work cannot be kept here: {error.strerror}.",
            where=directory,
            remedy="Let corpus_ingestion.checkpoint_directory name a folder that can be written.",
        ) from error
    return lock


def _folders(directory: Path) -> list[Path]:
    """The workspaces in a directory, and what is left of those whose removal was interrupted."""
    return [
        path for path in (*directory.glob(f"{_PREFIX}*"), *directory.glob(f".{_PREFIX}*")) if path.is_dir()
    ]


def _remove(folder: Path) -> None:
    """Removes a workspace; under another name first, so that half of one is never taken for a whole."""
    if not folder.name.startswith("."):
        hidden = folder.with_name(f".{folder.name}")
        shutil.rmtree(hidden, ignore_errors=True)
        folder = folder.rename(hidden)
    shutil.rmtree(folder)
