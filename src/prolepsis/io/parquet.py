"""Tables as Parquet: one file for what fits memory, a folder of shards for what does not."""

from collections.abc import Iterable

import polars as pl
from kedro_datasets._typing import TablePreview

from prolepsis.errors import ProlepsisError
from prolepsis.files import atomic_directory, atomic_file
from prolepsis.io import previews
from prolepsis.io.local import LocalDataset

_PREVIEW_ROWS = 20


class ParquetDataset(LocalDataset[pl.DataFrame, pl.DataFrame]):
    """A polars DataFrame in one Parquet file.

    ```yaml
    video_manifest:
      type: prolepsis.io.ParquetDataset
      filepath: data/03_primary/video_manifest.parquet
    ```
    """

    def save(self, data: pl.DataFrame) -> None:
        with atomic_file(self._path) as temporary:
            data.write_parquet(temporary)

    def load(self) -> pl.DataFrame:
        return pl.read_parquet(self._path)

    def preview(self, nrows: int = _PREVIEW_ROWS) -> TablePreview:
        return previews.table(pl.scan_parquet(self._path).head(nrows).collect())


class ParquetShardsDataset(LocalDataset[Iterable[pl.DataFrame] | pl.DataFrame, pl.LazyFrame]):
    """A table in a folder of Parquet shards, `part-00000.parquet` and so on, in the order they were given.

    `save` takes one frame or an iterable of frames and holds one at a time; `load` returns a LazyFrame.

    ```yaml
    documents:
      type: prolepsis.io.ParquetShardsDataset
      filepath: data/03_primary/documents
    ```
    """

    def save(self, data: Iterable[pl.DataFrame] | pl.DataFrame) -> None:
        frames = [data] if isinstance(data, pl.DataFrame) else data
        with atomic_directory(self._path) as folder:
            shards = 0
            for frame in frames:
                frame.write_parquet(folder / f"part-{shards:05d}.parquet")
                shards += 1
            if shards == 0:
                raise ProlepsisError(
                    "There is nothing to write: not even an empty shard.",
                    where=self._path,
                    remedy="Return one empty frame where there are no rows, so that the columns are known.",
                )

    def load(self) -> pl.LazyFrame:
        return pl.scan_parquet(self._path / "part-*.parquet", glob=True)

    def preview(self, nrows: int = _PREVIEW_ROWS) -> TablePreview:
        return previews.table(self.load().head(nrows).collect())
