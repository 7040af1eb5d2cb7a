"""Where the shards of a corpus lie while it is made.

A shard of work is a folder that is renamed into place when it is complete, with everything that must be known
of it: its existence is the mark that it need not be made again.
"""

import logging
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prolepsis.files import fingerprint, read_json, write_json

_MARK = "workspace.json"
_LOGGER = logging.getLogger(__name__)


class Workspace:
    """A folder for the work of one configuration on one set of files.

    Args:
        directory: where; what another configuration or other files left there is removed. Without it, a
            temporary folder that goes with this object.
        contents: whatever the work depends on, as JSON.
    """

    def __init__(self, directory: Path | None, contents: Mapping[str, Any]) -> None:
        self._temporary = (
            tempfile.TemporaryDirectory(prefix="prolepsis-corpus-") if directory is None else None
        )
        self.directory = Path(self._temporary.name) if self._temporary else Path(directory or "")
        mark = {"fingerprint": fingerprint(contents)}
        if self.directory.exists() and _mark_of(self.directory) != mark:
            clear_workspace(self.directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        if _mark_of(self.directory) is None:
            write_json(self.directory / _MARK, mark)
        else:
            _LOGGER.info("Going on with the work of an earlier run in %s", self.directory)
            _remove_unfinished(self.directory)

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
    """Removes a workspace, and nothing that is none."""
    if (directory / _MARK).is_file():
        shutil.rmtree(directory)


def _mark_of(directory: Path) -> Any:
    try:
        return read_json(directory / _MARK)
    except (FileNotFoundError, ValueError):
        return None


def _remove_unfinished(directory: Path) -> None:
    for partial in directory.rglob(".*.partial"):
        shutil.rmtree(partial, ignore_errors=True)
