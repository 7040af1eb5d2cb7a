"""The feature store: one vector per step of each video, in files that are mapped into memory.

    frame_features/
        meta.json           encoder, its configuration, rate, dimension, and each shard's SHA-256
        index.parquet       video, shard, offset (in rows of the shard), num_steps, and the SHA-256 of what
                            the features were made from (source_sha256) and of the features (sha256)
        shard-00000.npy     float16 or float32 [rows, dimension], the videos one after the other

A NumPy file is its own description, opens in one system call and gives views without a copy: a detector's
windows are read straight from the page cache, by as many processes as there are, and nothing is held twice.
Half precision halves the file; features of a network that ends in ReLU6 lose about one part in 2,000.

Writing can be cut off at any moment and taken up again. While it goes on, `progress.jsonl` says what the
features are made with and, a line each, which videos are finished; a later call with the same encoder,
weights, precision, decoder, rate and type of numbers begins with the first video that is not, or that is not
what it was.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from prolepsis.errors import ProlepsisError
from prolepsis.files import fingerprint, read_json, sha256_file, write_json

FORMAT = 3
SHARD_BYTES = 256 << 20
_DTYPES: dict[str, np.dtype[Any]] = {"float16": np.dtype("<f2"), "float32": np.dtype("<f4")}
_INDEX = pl.Schema(
    {
        "video": pl.String,
        "shard": pl.Int32,
        "offset": pl.Int64,
        "num_steps": pl.Int32,
        "source_sha256": pl.String,
        "sha256": pl.String,
    }
)
_PROGRESS = "progress.jsonl"
_OF_THE_CONTENT = ("shards", "configuration_hash", "hash")
_REMEDY = "Make the features again: kedro run --pipelines feature_extraction"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SourceVideo:
    """A video whose features are to be stored.

    Attributes:
        sha256: of the file, or files, that its features are made from.
    """

    video: str
    num_steps: int
    sha256: str


@dataclass(frozen=True)
class FeatureStream:
    """Features on their way into a store.

    Attributes:
        encoder, config: the plugin that made them and its configuration.
        weights_sha256: of the encoder's weights.
        precision: in which they were computed.
        rate: steps per second.
        dimension: D.
        videos: in the order in which they are stored.
        encode: from the last videos of that order, those still to be made, to pairs of a video and the
            features of its next steps, float [n, D]; a video's pairs follow each other. Called once.
        dtype: of the numbers in the store.
        decoder: what decoded and scaled the videos, if they were.
    """

    encoder: str
    config: dict[str, Any]
    weights_sha256: str
    precision: str
    rate: float
    dimension: int
    videos: Sequence[SourceVideo]
    encode: Callable[[Sequence[str]], Iterable[tuple[str, NDArray[Any]]]] = field(repr=False)
    dtype: Literal["float16", "float32"] = "float16"
    decoder: str = ""

    @property
    def configuration(self) -> dict[str, Any]:
        """All that the features depend on besides the videos."""
        return {
            "format": FORMAT,
            "encoder": self.encoder,
            "config": self.config,
            "weights_sha256": self.weights_sha256,
            "precision": self.precision,
            "decoder": self.decoder,
            "rate": self.rate,
            "dimension": self.dimension,
            "dtype": self.dtype,
        }


def write_feature_store(directory: Path, stream: FeatureStream, *, shard_bytes: int = SHARD_BYTES) -> None:
    """Writes a stream to a directory that is empty or holds what an earlier call left when it was cut off.

    Holds one block of features at a time. When it raises, what is finished stays for the next call; what was
    made with another configuration is discarded, with a warning that says what differs.

    Raises:
        ProlepsisError: a video came with other steps than announced, or with values that the store's type
            cannot hold.
    """
    progress = _Progress(directory, stream.configuration | {"shard_bytes": shard_bytes})
    places = _plan(progress.finished_first(stream.videos), stream, shard_bytes)
    progress.resume(places)
    try:
        _write_rest(directory, stream, places, progress)
    except BaseException:
        progress.forget_nothing_done()
        raise
    _conclude(directory, stream, places, progress)


class FeatureStore(Mapping[str, NDArray[np.floating]]):
    """A feature store opened for reading: a mapping from a video to its features [T, D], float16 or float32.

    What it gives are read-only views of the mapped files.

    Attributes:
        videos: in the order in which they were written.
        encoder, config, rate, dimension: as in `FeatureStream`.
        description: all that the features depend on besides the videos, as in `FeatureStream.configuration`.
        configuration_hash: of it.
        hash: changes whenever anything in the store does.
    """

    def __init__(self, directory: Path, meta: Mapping[str, Any], index: pl.DataFrame) -> None:
        self.directory = directory
        self.encoder: str = meta["encoder"]
        self.config: dict[str, Any] = meta["config"]
        self.rate: float = meta["rate"]
        self.dimension: int = meta["dimension"]
        self.description: dict[str, Any] = {key: meta[key] for key in meta if key not in _OF_THE_CONTENT}
        self.configuration_hash: str = meta["configuration_hash"]
        self.hash: str = meta["hash"]
        self.index = index
        self._shards = [_Shard(directory, **shard) for shard in meta["shards"]]
        places = index.select("video", "shard", "offset", "num_steps")
        self._places = {video: tuple(place) for video, *place in places.iter_rows()}

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

    def __getitem__(self, video: str) -> NDArray[np.floating]:
        shard, offset, num_steps = self._places[video]
        features: NDArray[np.floating] = self._shards[shard].rows()[offset : offset + num_steps]
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

    def __init__(self, directory: Path, *, file: str, num_bytes: int, sha256: str) -> None:
        self._path = directory / file
        self._num_bytes = num_bytes
        self._sha256 = sha256
        self._rows: NDArray[np.floating] | None = None

    def rows(self) -> NDArray[np.floating]:
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


@dataclass(frozen=True)
class _Place:
    """Where the features of a video go."""

    source: SourceVideo
    shard: int
    offset: int


class _Progress:
    """What is finished of a store that is being written: a line for its configuration, one for each video."""

    def __init__(self, directory: Path, configuration: Mapping[str, Any]) -> None:
        self._directory = directory
        self._path = directory / _PROGRESS
        self._configuration = json.loads(json.dumps(configuration))
        lines = self._read()
        self._left = bool(lines)
        self._finished = lines[1:] if lines and self._is_same(lines[0]) else []
        self.checksums: list[str] = []

    def finished_first(self, sources: Sequence[SourceVideo]) -> list[SourceVideo]:
        """The videos with those in front that are finished, as long as they are due and what they were."""
        due = {source.video: source for source in sources}
        finished: list[SourceVideo] = []
        for line in self._finished:
            source = due.get(line["video"])
            if source is None or line != _line(source, line["sha256"]):
                break
            finished.append(due.pop(source.video))
        return [*finished, *due.values()]

    def resume(self, places: Sequence[_Place]) -> None:
        """Keeps the finished videos that are still due at their places, and removes all else."""
        kept = self._intact(self._finished, places)
        if kept:
            _logger.info("The features of %d of %d videos are already there", len(kept), len(places))
        if len(kept) < len(self._finished):
            _logger.warning(
                "What an earlier run left in %s is discarded from the video %r on: it, or its features, are "
                "no longer what they were",
                self._directory,
                self._finished[len(kept)]["video"],
            )
        elif self._left and not kept:
            _logger.warning("What an earlier run left in %s is discarded", self._directory)
        rows = {place.shard: place.offset + place.source.num_steps for place in places[: len(kept)]}
        for file in self._directory.glob("shard-*.npy"):
            if int(file.stem.removeprefix("shard-")) not in rows:
                file.unlink()
        self.checksums = [line["sha256"] for line in kept]
        self._path.write_text("".join(json.dumps(line) + "\n" for line in [self._configuration, *kept]))

    def add(self, source: SourceVideo, sha256: str) -> None:
        self.checksums.append(sha256)
        with self._path.open("a") as file:
            file.write(json.dumps(_line(source, sha256)) + "\n")

    def forget_nothing_done(self) -> None:
        """Leaves the directory empty when not one video is finished."""
        if not self.checksums:
            self.remove()
            for file in self._directory.glob("shard-*.npy"):
                file.unlink()

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)

    def _read(self) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = []
        if self._path.is_file():
            for text in self._path.read_text().splitlines():
                try:
                    lines.append(json.loads(text))
                except json.JSONDecodeError:  # the line that was being written when the run was cut off
                    break
        return lines

    def _is_same(self, found: Mapping[str, Any]) -> bool:
        different = sorted(
            key
            for key in found.keys() | self._configuration.keys()
            if found.get(key) != self._configuration.get(key)
        )
        if different:
            changes = ", ".join(
                f"{key} {found.get(key)!r} instead of {self._configuration.get(key)!r}" for key in different
            )
            _logger.warning(
                "An earlier, unfinished run made features with another configuration: %s", changes
            )
        return not different

    def _intact(
        self, lines: Sequence[Mapping[str, Any]], places: Sequence[_Place]
    ) -> list[Mapping[str, Any]]:
        """The first lines that are of the videos that are due, and whose features are what was written."""
        kept = []
        for line, place in zip(lines, places, strict=False):
            rows = _rows_at(self._directory, place)
            if rows is None or line != _line(place.source, hashlib.sha256(rows.tobytes()).hexdigest()):
                break
            kept.append(line)
        return kept


def _plan(sources: Sequence[SourceVideo], stream: FeatureStream, shard_bytes: int) -> list[_Place]:
    """Which rows of which shard each video gets: whole videos, in order, until a shard is full."""
    rows_per_shard = max(1, shard_bytes // (stream.dimension * _DTYPES[stream.dtype].itemsize))
    places = []
    shard = offset = 0
    for source in sources:
        if offset and offset + source.num_steps > rows_per_shard:
            shard, offset = shard + 1, 0
        places.append(_Place(source, shard, offset))
        offset += source.num_steps
    return places


def _write_rest(
    directory: Path, stream: FeatureStream, places: Sequence[_Place], progress: _Progress
) -> None:
    """Writes the videos that are not finished."""
    due = places[len(progress.checksums) :]
    blocks = iter(stream.encode([place.source.video for place in due])) if due else iter(())
    for place in due:
        shape = (_num_rows(places, place.shard), stream.dimension)
        with _open_shard(directory, place, shape, _DTYPES[stream.dtype]) as file:
            sha256 = _write_video(file, place.source, stream, blocks)
        progress.add(place.source, sha256)
    for video, _ in blocks:
        raise ProlepsisError(f"Features of {video!r} came that were not announced.")


def _num_rows(places: Sequence[_Place], shard: int) -> int:
    return sum(place.source.num_steps for place in places if place.shard == shard)


def _open_shard(directory: Path, place: _Place, shape: tuple[int, int], dtype: np.dtype[Any]) -> BinaryIO:
    """The shard of a video, at the place where its features begin; what lies beyond is cut off."""
    path = _shard_path(directory, place.shard)
    file = path.open("wb" if place.offset == 0 else "r+b")
    _write_header(file, shape, dtype)
    file.seek(place.offset * shape[1] * dtype.itemsize, 1)
    file.truncate()
    return file


def _write_header(file: BinaryIO, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
    """At the file's start; NumPy gives it the same length for any number of rows."""
    np.lib.format.write_array_header_1_0(file, {"descr": dtype.str, "fortran_order": False, "shape": shape})


def _write_video(
    file: BinaryIO, source: SourceVideo, stream: FeatureStream, blocks: Iterator[tuple[str, NDArray[Any]]]
) -> str:
    """Writes a video's features, and takes no more blocks than it needs to; returns their SHA-256."""
    digest = hashlib.sha256()
    written = 0
    while written < source.num_steps:
        video, block = next(blocks, (None, np.empty((0, stream.dimension))))
        if video != source.video:
            raise ProlepsisError(
                f"Features of {source.video!r} were due, but {video!r} came.",
                where=f"{source.video}, step {written} of {source.num_steps}",
            )
        if block.ndim != 2 or block.shape[1] != stream.dimension:
            raise ProlepsisError(
                f"Features of shape {block.shape} came; their dimension is {stream.dimension}.",
                where=source.video,
            )
        content = _checked(block, stream.dtype, f"{source.video}, from step {written} on").tobytes()
        digest.update(content)
        file.write(content)
        written += len(block)
    if written != source.num_steps:
        raise ProlepsisError(
            f"Features of {written} steps came instead of {source.num_steps}.", where=source.video
        )
    return digest.hexdigest()


def _checked(block: NDArray[Any], dtype: str, where: str) -> NDArray[Any]:
    """The block in the store's type."""
    with np.errstate(over="ignore"):  # an overflow becomes an infinity, and is reported as one
        rows: NDArray[Any] = block.astype(_DTYPES[dtype])
    if np.isfinite(rows).all():
        return rows
    if np.isfinite(block).all():
        raise ProlepsisError(
            "Features do not fit half precision: they go beyond 65,504.",
            where=where,
            remedy="Store them as they are: dtype: float32.",
        )
    raise ProlepsisError(
        "Features are not numbers: NaN, or infinite.",
        where=where,
        remedy="Encode in fp32, or choose an encoder whose features are of ordinary size.",
    )


def _conclude(directory: Path, stream: FeatureStream, places: Sequence[_Place], progress: _Progress) -> None:
    """Writes the index and the description of a store whose videos are all there."""
    rows = [
        (place.source.video, place.shard, place.offset, place.source.num_steps, place.source.sha256, sha256)
        for place, sha256 in zip(places, progress.checksums, strict=True)
    ]
    index = pl.DataFrame(rows, schema=_INDEX, orient="row")
    index.write_parquet(directory / "index.parquet")
    paths = [
        _finish_shard(directory, shard, stream, places) for shard in {place.shard: None for place in places}
    ]
    shards = [
        {"file": path.name, "num_bytes": path.stat().st_size, "sha256": sha256_file(path)} for path in paths
    ]
    meta = stream.configuration | {
        "configuration_hash": fingerprint(stream.configuration),
        "shards": shards,
    }
    write_json(directory / "meta.json", meta | {"hash": fingerprint([meta, index.rows()])})
    progress.remove()


def _finish_shard(directory: Path, shard: int, stream: FeatureStream, places: Sequence[_Place]) -> Path:
    """Gives a shard the header of the rows that it has: an earlier run may have planned it for others."""
    path = _shard_path(directory, shard)
    shape, dtype = (_num_rows(places, shard), stream.dimension), _DTYPES[stream.dtype]
    with path.open("r+b") as file:
        _write_header(file, shape, dtype)
        file.truncate(file.tell() + shape[0] * shape[1] * dtype.itemsize)
    return path


def _rows_at(directory: Path, place: _Place) -> NDArray[Any] | None:
    """The features at a place of an unfinished shard; None where they do not reach that far."""
    path = _shard_path(directory, place.shard)
    if not path.is_file():
        return None
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        (_, dimension), _, dtype = np.lib.format.read_array_header_1_0(file)
        file.seek(place.offset * dimension * dtype.itemsize, 1)
        content = file.read(place.source.num_steps * dimension * dtype.itemsize)
    if len(content) < place.source.num_steps * dimension * dtype.itemsize:
        return None
    return np.frombuffer(content, dtype)


def _line(source: SourceVideo, sha256: str) -> dict[str, Any]:
    return {
        "video": source.video,
        "num_steps": source.num_steps,
        "source_sha256": source.sha256,
        "sha256": sha256,
    }


def _shard_path(directory: Path, shard: int) -> Path:
    return directory / f"shard-{shard:05d}.npy"


def _profile_row(video: str, features: NDArray[np.floating]) -> dict[str, Any]:
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
