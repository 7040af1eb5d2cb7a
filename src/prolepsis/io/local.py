"""What all datasets of this project share: one local path, and metadata for Kedro-Viz and DVC."""

from pathlib import Path
from typing import Any, TypeVar

from kedro.io import AbstractDataset

Saved = TypeVar("Saved")
Loaded = TypeVar("Loaded")


class LocalDataset(AbstractDataset[Saved, Loaded]):
    """A dataset at one path of the local file system.

    Args:
        filepath: the file or folder; relative paths are relative to the project.
        metadata: for Kedro-Viz and for `kedro stages`; not used by the dataset.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._path.as_posix()}

    def _exists(self) -> bool:
        return self._path.exists()
