"""Figures as PNG files."""

import base64
from typing import Any

from kedro_datasets._typing import ImagePreview

from prolepsis.files import atomic_file
from prolepsis.io.local import LocalDataset

_DOTS_PER_INCH = 120


class PictureDataset(LocalDataset[Any, bytes]):
    """A matplotlib figure, written as PNG and read as the file's bytes.

    ```yaml
    word_map:
      type: prolepsis.io.PictureDataset
      filepath: data/08_reporting/word2vec/word_map.png
      metadata: {dvc: {kind: plot}}
    ```
    """

    def save(self, data: Any) -> None:
        with atomic_file(self._path) as temporary:
            # Without the metadata the same figure gives the same bytes.
            data.savefig(
                temporary, format="png", dpi=_DOTS_PER_INCH, bbox_inches="tight", metadata={"Software": None}
            )

    def load(self) -> bytes:
        return self._path.read_bytes()

    def preview(self) -> ImagePreview:
        return ImagePreview(base64.b64encode(self.load()).decode("ascii"))
