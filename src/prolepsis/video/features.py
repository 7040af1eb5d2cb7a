"""The feature store: one vector per step of each video, in files that are mapped into memory.

    frame_features/
        meta.json           encoder, its configuration, rate, dimension, and each shard's SHA-256
        index.parquet       video, shard, offset (in rows of the shard), num_steps
        shard-00000.npy     float16 [rows, dimension], the videos one after the other

A NumPy file is its own description, opens in one system call and gives views without a copy: a detector's
windows are read straight from the page cache, by as many processes as there are, and nothing is held twice.
Half precision halves the file; features of a network that ends in ReLU6 lose about one part in 2,000.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from prolepsis.errors import ProlepsisError
from prolepsis.files import fingerprint, read_json, sha256_file, write_json

FORMAT = 1
SHARD_BYTES = 256 << 20
_DTYPE = np.dtype("<f2")
_INDEX = pl.Schema({"video": pl.String, "shard": pl.Int32, "offset": pl.Int64, "num_steps": pl.Int32})
_REMEDY = "Make the features again: kedro run --pipelines feature_extraction"


@dataclass(frozen=True)
class FeatureStream:
    """Features on their way into a store.

    Attributes:
        encoder, config: the plugin that made them and its configuration.
        weights_sha256: of the encoder's weights.
        rate: steps per second.
        dimension: D.
        num_steps: how many steps each video will have, in the order in which they come.
        blocks: pairs of a video and the features of its next steps, float [n, D]; a video's blocks follow
            each other. Read once.
    """

    encoder: str
    config: dict[str, Any]
    weights_sha256: str
    rate: float
    dimension: int
    num_steps: dict[str, int]
    blocks: Iterable[tuple[str, NDArray[Any]]] = field(repr=False)


def write_feature_store(directory: Path, stream: FeatureStream, *, shard_bytes: int = SHARD_BYTES) -> None:
    """Writes a stream to an existing, empty directory; holds one block at a time.

    Raises:
        ProlepsisError: a video came with other steps than announced, or with values that half precision
            cannot hold.
    """
    index = _plan(stream, shard_bytes)
    videos = groupby(stream.blocks, key=itemgetter(0))
    shards = []
    for (shard,), places in index.group_by(["shard"], maintain_order=True):
        path = directory / f"shard-{shard:05d}.npy"
        with path.open("wb") as file:
            shape = (places["num_steps"].sum(), stream.dimension)
            np.lib.format.write_array_header_1_0(
                file, {"descr": _DTYPE.str, "fortran_order": False, "shape": shape}
            )
            for video, num_steps in places.select("video", "num_steps").iter_rows():
                found, blocks = next(videos, (None, iter(())))
                if found != video:
                    raise ProlepsisError(f"Features of {video!r} were due, but {found!r} came.")
                _write_video(file, video, (num_steps, stream.dimension), (rows for _, rows in blocks))
        shards.append({"file": path.name, "num_bytes": path.stat().st_size, "sha256": sha256_file(path)})
    for video, _ in videos:
        raise ProlepsisError(f"Features of {video!r} came that were not announced.")
    index.write_parquet(directory / "index.parquet")
    meta = {
        "format": FORMAT,
        "encoder": stream.encoder,
        "config": stream.config,
        "weights_sha256": stream.weights_sha256,
        "rate": stream.rate,
        "dimension": stream.dimension,
        "dtype": "float16",
        "shards": shards,
    }
    write_json(directory / "meta.json", meta | {"hash": fingerprint([meta, index.rows()])})


class FeatureStore(Mapping[str, NDArray[np.float16]]):
    """A feature store opened for reading: a mapping from a video to its features, float16 [T, D].

    What it gives are read-only views of the mapped files.

    Attributes:
        videos: in the order in which they were written.
        encoder, config, rate, dimension: as in `FeatureStream`.
        hash: changes whenever anything in the store does.
    """

    def __init__(self, directory: Path, meta: Mapping[str, Any], index: pl.DataFrame) -> None:
        self.directory = directory
        self.encoder: str = meta["encoder"]
        self.config: dict[str, Any] = meta["config"]
        self.rate: float = meta["rate"]
        self.dimension: int = meta["dimension"]
        self.hash: str = meta["hash"]
        self.index = index
        self._shards = [_Shard(directory, self.dimension, **shard) for shard in meta["shards"]]
        self._places = {video: tuple(place) for video, *place in index.iter_rows()}

    @classmethod
    def open(cls, directory: Path) -> "FeatureStore":
        """Opens a store and checks that every shard is as long as it was when written.

        Raises:
            ProlepsisError: there is no store, it is of another format, or a shard is missing or truncated.
        """
        if not (directory / "meta.json").is_file():
            raise ProlepsisError("There is no feature store.", where=directory, remedy=_REMEDY)
        meta = read_json(directory / "meta.json")
        if meta.get("format") != FORMAT:
            raise ProlepsisError(
                f"The feature store has the format {meta.get('format')!r}; this version reads {FORMAT}.",
                where=directory,
                remedy=_REMEDY,
            )
        store = cls(directory, meta, pl.read_parquet(directory / "index.parquet", schema=_INDEX))
        for shard in store._shards:
            shard.check_length()
        return store

    @property
    def videos(self) -> list[str]:
        return list(self._places)

    def __getitem__(self, video: str) -> NDArray[np.float16]:
        shard, offset, num_steps = self._places[video]
        features: NDArray[np.float16] = self._shards[shard].rows()[offset : offset + num_steps]
        return features

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        steps = self.index["num_steps"].sum()
        return f"FeatureStore({self.encoder}, {len(self)} videos, {steps} steps of {self.dimension})"

    def verify(self) -> None:
        """Reads every shard and compares it with the SHA-256 it was written with.

        Raises:
            ProlepsisError: one differs.
        """
        for shard in self._shards:
            shard.check_content()

    def profile(self) -> pl.DataFrame:
        """A row per video: num_steps, dimension, finite, minimum, maximum, mean, and the share of zeros."""
        return pl.DataFrame([_profile_row(video, features) for video, features in self.items()])


class _Shard:
    """One NumPy file, mapped when first read."""

    def __init__(self, directory: Path, dimension: int, *, file: str, num_bytes: int, sha256: str) -> None:
        self._path = directory / file
        self._dimension = dimension
        self._num_bytes = num_bytes
        self._sha256 = sha256
        self._rows: NDArray[np.float16] | None = None

    def rows(self) -> NDArray[np.float16]:
        if self._rows is None:
            self._rows = np.load(self._path, mmap_mode="r", allow_pickle=False)
        return self._rows

    def check_length(self) -> None:
        found = self._path.stat().st_size if self._path.is_file() else 0
        if found != self._num_bytes:
            raise ProlepsisError(
                f"A shard of the feature store has {found:,} bytes instead of {self._num_bytes:,}.",
                where=self._path,
                remedy=_REMEDY,
            )

    def check_content(self) -> None:
        if sha256_file(self._path) != self._sha256:
            raise ProlepsisError(
                "A shard of the feature store is not what was written.", where=self._path, remedy=_REMEDY
            )


def _plan(stream: FeatureStream, shard_bytes: int) -> pl.DataFrame:
    """Which rows of which shard each video gets: whole videos, in order, until a shard is full."""
    rows_per_shard = max(1, shard_bytes // (stream.dimension * _DTYPE.itemsize))
    places = []
    shard = offset = 0
    for video, num_steps in stream.num_steps.items():
        if offset and offset + num_steps > rows_per_shard:
            shard, offset = shard + 1, 0
        places.append((video, shard, offset, num_steps))
        offset += num_steps
    return pl.DataFrame(places, schema=_INDEX, orient="row")


def _write_video(file: BinaryIO, video: str, shape: tuple[int, int], blocks: Iterable[NDArray[Any]]) -> None:
    num_steps, dimension = shape
    written = 0
    for block in blocks:
        if block.ndim != 2 or block.shape[1] != dimension:
            raise ProlepsisError(
                f"Features of shape {block.shape} came; their dimension is {dimension}.", where=video
            )
        with np.errstate(over="ignore"):  # an overflow becomes an infinity, and is reported as one
            rows = block.astype(_DTYPE)
        if not np.isfinite(rows).all():
            raise ProlepsisError(
                f"Features from step {written} on do not fit half precision: NaN, or beyond 65,504.",
                where=video,
                remedy="Encode in fp32, or choose an encoder whose features are of ordinary size.",
            )
        file.write(rows.tobytes())
        written += len(rows)
    if written != num_steps:
        raise ProlepsisError(f"Features of {written} steps came instead of {num_steps}.", where=video)


def _profile_row(video: str, features: NDArray[np.float16]) -> dict[str, Any]:
    values = features.astype(np.float32)
    return {
        "video": video,
        "num_steps": len(values),
        "dimension": values.shape[1],
        "finite": bool(np.isfinite(values).all()),
        "minimum": float(values.min()),
        "maximum": float(values.max()),
        "mean": float(values.mean()),
        "zeros": float((values == 0).mean()),
    }
