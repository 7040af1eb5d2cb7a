"""Frame features as a memory-mapped store."""

from typing import Any

import polars as pl
from kedro_datasets._typing import TablePreview

from prolepsis.files import resumable_directory
from prolepsis.io import previews
from prolepsis.io.local import LocalDataset
from prolepsis.video.features import FeatureStore, FeatureStream, write_feature_store

_PREVIEW_VIDEOS = 20


class FeatureStoreDataset(LocalDataset[FeatureStream, FeatureStore]):
    """Features of frames: `save` takes a `FeatureStream` and writes it block by block, `load` maps the files.

    What a `save` that fails or is killed has finished lies in `.frame_features.partial`, beside the store;
    the next one goes on from there.

    ```yaml
    frame_features:
      type: prolepsis.io.FeatureStoreDataset
      filepath: data/04_feature/frame_features
    ```

    >>> store = catalog.load("frame_features")  # doctest: +SKIP
    >>> store["walk_00"].shape                  # doctest: +SKIP
    (125, 1280)
    """

    def save(self, data: FeatureStream) -> None:
        with resumable_directory(self._path) as folder:
            write_feature_store(folder, data)

    def load(self) -> FeatureStore:
        return FeatureStore.open(self._path)

    def preview(self) -> TablePreview:
        """The first videos and where their features lie."""
        index = pl.read_parquet(self._path / "index.parquet", n_rows=_PREVIEW_VIDEOS)
        return previews.table(index)

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._path.as_posix(), "format": "memory-mapped"}
