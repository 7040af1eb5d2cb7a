"""The frame at each step's centre of every video, as pictures in one file that is mapped into memory.

    frame_images/
        meta.json         rate, size, and a hash of what the frames were made from
        index.parquet     video, split, offset (in frames), num_steps, source_sha256, and the
                          minimum, maximum and mean of its pixels
        frames.npy        uint8 [N, size, size, 3] RGB, the videos one after the other

A training that looks at the frames in a new order each epoch needs them at random, which a video file does
not give: a frame costs the decoding of all since the last key frame. Uncompressed they take 3 · size² bytes
a step.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from prolepsis.errors import ProlepsisError
from prolepsis.files import fingerprint, read_json, write_json
from prolepsis.training.progress import Bar, progress
from prolepsis.video import media
from prolepsis.video.labels import step_times

_FORMAT = 1
_FRAMES = "frames.npy"
_INDEX = pl.Schema(
    {
        "video": pl.String,
        "split": pl.String,
        "offset": pl.Int64,
        "num_steps": pl.Int32,
        "source_sha256": pl.String,
        "minimum": pl.Int32,
        "maximum": pl.Int32,
        "mean": pl.Float64,
    }
)
_REMEDY = "Make it again: kedro run --pipelines moco_pretraining --from-nodes collect_frames"


@dataclass(frozen=True)
class FilmedVideo:
    """A video whose frames are to be stored.

    Attributes:
        path: a file or a folder of numbered images, whose rate is `image_folder_rate`.
        sha256: of the file or files.
    """

    video: str
    split: str
    path: Path
    num_steps: int
    sha256: str
    image_folder_rate: float | None = None


@dataclass(frozen=True)
class FrameImageStream:
    """Frames on their way into a store.

    Attributes:
        videos: in the order in which they are stored.
        rate: steps per second.
        size: the side of the square to which frames are squeezed.
        decoder_threads: videos decoded side by side.
    """

    videos: Sequence[FilmedVideo]
    rate: float
    size: int
    decoder_threads: int = 1


class FrameImages(Mapping[str, NDArray[np.uint8]]):
    """Stored frames: a mapping from a video to its frames `[T, size, size, 3]`, read-only views of the file.

    It can be sent to another process: what is sent is the path.

    Attributes:
        rate: steps per second.
        size: the side of a frame.
        hash: changes whenever anything does from which the frames were made.
        index: a row per video, in the order of the frames.
    """

    def __init__(self, directory: Path, meta: Mapping[str, Any], index: pl.DataFrame) -> None:
        self.directory = directory
        self.rate: float = meta["rate"]
        self.size: int = meta["size"]
        self.hash: str = meta["hash"]
        self.index = index
        places = index.select("video", "offset", "num_steps")
        self._places = {video: slice(offset, offset + steps) for video, offset, steps in places.iter_rows()}

    @classmethod
    def open(cls, directory: Path) -> "FrameImages":
        """Opens a store and checks that its file is as long as it must be.

        Raises:
            ProlepsisError: there is no store, it is of another format, or it is cut off.
        """
        if not (directory / "meta.json").is_file():
            raise ProlepsisError("There are no frame images.", where=directory, remedy=_REMEDY)
        meta = read_json(directory / "meta.json")
        if meta.get("format") != _FORMAT:
            raise ProlepsisError(
                f"The frame images have the format {meta.get('format')!r}; this version reads {_FORMAT}.",
                where=directory,
                remedy=_REMEDY,
            )
        images = cls(directory, meta, pl.read_parquet(directory / "index.parquet", schema=_INDEX))
        path = directory / _FRAMES
        found = path.stat().st_size if path.is_file() else 0
        if found != meta["num_bytes"]:
            raise ProlepsisError(
                f"The frame images have {found:,} bytes instead of {meta['num_bytes']:,}.",
                where=path,
                remedy=_REMEDY,
            )
        return images

    @cached_property
    def frames(self) -> NDArray[np.uint8]:
        """All frames, `[N, size, size, 3]`."""
        mapped: NDArray[np.uint8] = np.load(self.directory / _FRAMES, mmap_mode="r", allow_pickle=False)
        return mapped

    def __getitem__(self, video: str) -> NDArray[np.uint8]:
        return self.frames[self._places[video]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        steps = self.index["num_steps"].sum()
        return f"FrameImages({len(self)} videos, {steps} frames of {self.size} pixels)"

    def __getstate__(self) -> dict[str, Any]:
        # Pickled, a mapped array is a copy of its content.
        return {name: value for name, value in vars(self).items() if name != "frames"}

    def of_split(self, split: str) -> list[slice]:
        """Where the frames of each video of a split lie among `frames`."""
        videos = self.index.filter(pl.col("split") == split)["video"]
        return [self._places[video] for video in videos]

    def profile(self) -> pl.DataFrame:
        """A row per video: split, num_steps, and its pixels' minimum, maximum and mean."""
        return self.index.drop("offset", "source_sha256")


def write_frame_images(directory: Path, stream: FrameImageStream) -> None:
    """Decodes every video once and writes its frames to where they belong; holds one frame per thread.

    Raises:
        ProlepsisError: there are no videos.
        UnreadableVideoError: one cannot be decoded to its last step.
    """
    if not stream.videos:
        raise ProlepsisError(
            "There is no video to take frames from.", where="video_manifest", remedy="Ingest videos first."
        )
    ends = np.cumsum([video.num_steps for video in stream.videos]).tolist()
    path = directory / _FRAMES
    frames = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.uint8, shape=(ends[-1], stream.size, stream.size, 3)
    )
    with (
        progress("Collecting frames", total=ends[-1], unit="frames") as bar,
        ThreadPoolExecutor(stream.decoder_threads, thread_name_prefix="decoder") as pool,
    ):
        written = [
            pool.submit(_write_video, frames[end - video.num_steps : end], video, stream, bar)
            for video, end in zip(stream.videos, ends, strict=True)
        ]
        try:
            statistics = [one.result() for one in written]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    frames.flush()
    rows = [
        (video.video, video.split, end - video.num_steps, video.num_steps, video.sha256, *figures)
        for video, end, figures in zip(stream.videos, ends, statistics, strict=True)
    ]
    index = pl.DataFrame(rows, schema=_INDEX, orient="row")
    index.write_parquet(directory / "index.parquet")
    meta = {"format": _FORMAT, "rate": stream.rate, "size": stream.size, "num_bytes": path.stat().st_size}
    write_json(directory / "meta.json", meta | {"hash": fingerprint([meta, index.rows()])})


def _write_video(
    place: NDArray[np.uint8], video: FilmedVideo, stream: FrameImageStream, bar: Bar
) -> tuple[int, int, float]:
    """Writes a video's frames; returns the smallest, the largest and the mean value of its pixels."""
    centres = step_times(video.num_steps, stream.rate).tolist()
    size = (stream.size, stream.size)
    smallest, largest, total = 255, 0, 0
    pictures = media.frames_at(video.path, centres, size, video.image_folder_rate)
    for step, picture in enumerate(pictures):
        place[step] = picture
        smallest, largest = min(smallest, int(picture.min())), max(largest, int(picture.max()))
        total += int(picture.sum(dtype=np.int64))
        bar.advance()
    return smallest, largest, total / place.size
