"""Videos to features in one pass: decoded in threads, encoded in batches that span videos.

Each video is decoded once, and only the frames on show at the steps' centre times are converted, at the size
the network reads. Decoder threads run a bounded number of frames ahead of the encoder, so memory stays the
same however long the videos are. PyAV and PyTorch release the interpreter's lock, so that threads suffice.
"""

import queue
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from prolepsis.training.device import autocast
from prolepsis.training.progress import progress
from prolepsis.video import media
from prolepsis.video.encoders.base import FrameEncoder

Frame = NDArray[np.uint8]

_WAKE_SECONDS = 0.1


@dataclass(frozen=True)
class VideoSteps:
    """A video and how many steps of it to encode."""

    video: str
    path: Path
    num_steps: int


class Clock:
    """How many frames were encoded, and how long that took, decoding included."""

    def __init__(self) -> None:
        self.frames = 0
        self.seconds = 0.0

    @property
    def frames_per_second(self) -> float:
        return self.frames / self.seconds if self.seconds else 0.0


def extract_features(
    videos: Sequence[VideoSteps],
    encoder: FrameEncoder,
    *,
    rate: float,
    batch_size: int,
    decoder_threads: int,
    device: torch.device,
    precision: torch.dtype,
    clock: Clock | None = None,
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yields pairs of a video and the features of its next steps, float32 [n, D], videos in the given order.

    Step k is the frame on show at (k + 0.5) / rate seconds.

    Args:
        rate: steps per second.
        batch_size: frames encoded at once, of as many videos as it takes.
        clock: is advanced with every batch.

    Raises:
        UnreadableVideoError: a video cannot be decoded to its last step.
    """
    clock = clock or Clock()
    size = (encoder.input_size, encoder.input_size)
    total = sum(video.num_steps for video in videos)
    decoder = _Decoder(videos, rate, size, decoder_threads, 2 * batch_size)
    with progress("Encoding frames", total=total, unit="frames") as bar, decoder:
        started = time.perf_counter()
        for batch in _batches(decoder, batch_size):
            frames = torch.from_numpy(np.stack([frame for _, frame in batch]))
            with autocast(device, precision):
                features = encoder.encode(encoder.prepare(frames.to(device)))
            bar.advance(len(batch))
            clock.frames += len(batch)
            clock.seconds = time.perf_counter() - started
            yield from _split([video for video, _ in batch], features.cpu().numpy())


class _Decoder:
    """Frames of all videos in order, as pairs of video and frame, read ahead by a pool of threads.

    Each video has a queue of its own. The pool takes videos in order, so the video that is waited for is
    always among those being decoded; a full queue holds a thread back.
    """

    def __init__(
        self,
        videos: Sequence[VideoSteps],
        rate: float,
        size: tuple[int, int],
        threads: int,
        frames_ahead: int,
    ) -> None:
        self._videos = videos
        self._rate = rate
        self._size = size
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decoder")
        self._queues: list[queue.Queue[Frame | Exception | None]] = [
            queue.Queue(max(1, frames_ahead // threads)) for _ in videos
        ]

    def __enter__(self) -> "_Decoder":
        for video, frames in zip(self._videos, self._queues, strict=True):
            self._pool.submit(self._decode, video, frames)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)

    def __iter__(self) -> Iterator[tuple[str, Frame]]:
        for video, frames in zip(self._videos, self._queues, strict=True):
            while (frame := frames.get()) is not None:
                if isinstance(frame, Exception):
                    raise frame
                yield video.video, frame

    def _decode(self, video: VideoSteps, frames: "queue.Queue[Frame | Exception | None]") -> None:
        try:
            times = [(step + 0.5) / self._rate for step in range(video.num_steps)]
            for frame in media.frames_at(video.path, times, self._size):
                self._put(frames, frame)
            self._put(frames, None)
        except Exception as error:  # handed to the thread that waits for the frames
            self._put(frames, error)

    def _put(self, frames: "queue.Queue[Frame | Exception | None]", item: Frame | Exception | None) -> None:
        while not self._stop.is_set():
            try:
                frames.put(item, timeout=_WAKE_SECONDS)
            except queue.Full:
                continue
            return


def _batches(frames: Iterable[tuple[str, Frame]], size: int) -> Iterator[list[tuple[str, Frame]]]:
    batch: list[tuple[str, Frame]] = []
    for pair in frames:
        batch.append(pair)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _split(videos: Sequence[str], features: NDArray[np.float32]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """A batch's features, cut where one video ends and the next begins."""
    start = 0
    for end in range(1, len(videos) + 1):
        if end == len(videos) or videos[end] != videos[start]:
            yield videos[start], features[start:end]
            start = end
