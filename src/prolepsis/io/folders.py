"""Raw files as they are: a folder or a file whose reading is the library's business."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from prolepsis.errors import ProlepsisError
from prolepsis.files import atomic_directory, atomic_file
from prolepsis.io.local import LocalDataset


class FolderDataset(LocalDataset[Iterable[tuple[str, bytes]], Path]):
    """A folder of files, written one after the other and read as its path.

    `save` takes an iterable of (relative path, content) and never holds more than one content.
    `load` returns the folder's path.

    ```yaml
    raw_corpus:
      type: prolepsis.io.FolderDataset
      filepath: data/01_raw/corpus
    ```
    """

    def save(self, data: Iterable[tuple[str, bytes]]) -> None:
        with atomic_directory(self._path) as folder:
            for name, content in data:
                file = folder / _inside(name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)

    def load(self) -> Path:
        if not self._path.is_dir():
            raise ProlepsisError(
                "There is no such folder.",
                where=self._path,
                remedy="Put your files there, or make the demo data.",
            )
        return self._path


class FileDataset(LocalDataset[bytes, Path]):
    """A file written from bytes and read as its path; a folder may stand in its place, with several files.

    ```yaml
    raw_annotations:
      type: prolepsis.io.FileDataset
      filepath: data/01_raw/annotations.csv
    ```
    """

    def save(self, data: bytes) -> None:
        with atomic_file(self._path) as temporary:
            temporary.write_bytes(data)

    def load(self) -> Path:
        if not self._path.exists():
            raise ProlepsisError(
                "There is no such file or folder.",
                where=self._path,
                remedy="Put your file there, or make the demo data.",
            )
        return self._path


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"{name!r} would be written outside its folder")
    return path
