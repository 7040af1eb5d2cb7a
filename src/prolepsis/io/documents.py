"""JSON and text files."""

import json
from typing import Any, Never

from kedro.io import DatasetError
from kedro_datasets._typing import JSONPreview

from prolepsis.errors import ProlepsisError
from prolepsis.files import atomic_file, read_json, write_json
from prolepsis.io.local import LocalDataset

_PREVIEW_CHARACTERS = 20_000


class JSONDataset(LocalDataset[Any, Any]):
    """A dictionary or a list as JSON: metrics, curves, names. NaN and infinities are refused.

    ```yaml
    bert_metrics:
      type: prolepsis.io.JSONDataset
      filepath: data/08_reporting/bert/metrics.json
      metadata: {dvc: {kind: metric}}
    ```
    """

    def save(self, data: Any) -> None:
        write_json(self._path, data)

    def load(self) -> Any:
        return read_json(self._path)

    def preview(self) -> JSONPreview:
        """The value for Kedro-Viz; a long list is cut to what fits a page."""
        value = self.load()
        text = json.dumps(value)
        if isinstance(value, list) and len(text) > _PREVIEW_CHARACTERS:
            text = json.dumps(value[: max(1, len(value) * _PREVIEW_CHARACTERS // len(text))])
        return JSONPreview(text)


class JSONFolderDataset(LocalDataset[Never, list[Any]]):
    """The values of all JSON files of a folder, in the order of their names. It is only read.

    ```yaml
    validation_results:
      type: prolepsis.io.JSONFolderDataset
      filepath: data/08_reporting/validation
    ```
    """

    def save(self, data: Never) -> None:
        raise DatasetError(f"The files in {self._path} are written one by one, by what makes them.")

    def load(self) -> list[Any]:
        if not self._path.is_dir():
            raise ProlepsisError(
                "There is no such folder.", where=self._path, remedy="Run what writes its JSON files first."
            )
        return [read_json(path) for path in sorted(self._path.glob("*.json"))]


class TextDataset(LocalDataset[str, str]):
    """UTF-8 text, an HTML page for example.

    ```yaml
    report:
      type: prolepsis.io.TextDataset
      filepath: data/08_reporting/report.html
    ```
    """

    def save(self, data: str) -> None:
        with atomic_file(self._path) as temporary:
            temporary.write_text(data, encoding="utf-8")

    def load(self) -> str:
        return self._path.read_text(encoding="utf-8")
