"""Videos to features in one pass: decoded in threads, encoded in batches that span videos.

Each video is decoded once, and only the frames that the encoder looks at are converted, at the size at which
it takes them. Four stages work at the same time, each a bounded number of frames ahead of the next, so that
memory stays the same however long the videos are:

    decoding    threads, a video each         frames on show at the steps' times
    batching    the encoder's thread          frames of several steps and videos as one tensor on the device
    encoding    the encoder's thread          or the GPU, while the next batch is made
    writing     whoever reads the features

`Clock` says how many frames each of them could do in a second, and so which one is the limit. PyAV and
PyTorch release the interpreter's lock, so that threads suffice.
"""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prolepsis.training.ahead import made_ahead
from prolepsis.training.device import autocast
from prolepsis.training.progress import progress
from prolepsis.video import media
from prolepsis.video.encoders.base import FrameEncoder
from prolepsis.video.encoders.clips import Clip, FramesAt, clips_at
from prolepsis.video.labels import step_times

STAGES = ("decoding", "batching", "encoding", "writing")

_BATCHES_AHEAD = 2
_WAKE_SECONDS = 0.1
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoSteps:
    """A video and how many steps of it to encode.

    Attributes:
        image_folder_rate: frames per second, if it is a folder of images, which does not say it itself.
    """

    video: str
    path: Path
    num_steps: int
    image_folder_rate: float | None = None


@dataclass(frozen=True)
class Decoding:
    """How many videos are decoded side by side, and by what."""

    threads: int
    frames_at: FramesAt = media.frames_at


@dataclass
class Clock:
    """How many steps were encoded, how long that took, and how long each stage was busy with it.

    Attributes:
        steps, seconds: of the whole, waiting included.
        busy: seconds by stage, without the time that it waited for its neighbours; of several threads the
            mean.
    """

    steps: int = 0
    seconds: float = 0.0
    busy: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def frames_per_second(self) -> float | None:
        """Steps a second of the whole; None when nothing was encoded."""
        return self.steps / self.seconds if self.steps else None

    @property
    def stage_rates(self) -> dict[str, float]:
        """The steps a second that each stage could do if it never had to wait."""
        return {stage: self.steps / busy for stage, busy in self.busy.items() if busy and self.steps}

    @property
    def limit(self) -> str | None:
        """The slowest stage: what to speed up first."""
        rates = self.stage_rates
        return min(rates, key=rates.__getitem__) if rates else None

    def add(self, stage: str, seconds: float) -> None:
        with self._lock:
            self.busy[stage] += seconds

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.add(stage, time.perf_counter() - started)

    def report(self) -> str:
        """One line: the rate of the whole, those of the stages, and the limit."""
        rates = ", ".join(f"{stage} {rate:,.1f}" for stage, rate in self.stage_rates.items())
        return f"{self.frames_per_second or 0:,.1f} steps/s; alone: {rates}; the limit is {self.limit}"


def extract_features(
    videos: Sequence[VideoSteps],
    encoder: FrameEncoder,
    *,
    rate: float,
    batch_size: int,
    decoding: Decoding,
    device: torch.device,
    precision: torch.dtype,
    clock: Clock | None = None,
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yields pairs of a video and the features of its next steps, float32 [n, D], videos in the given order.

    Step k is of the frames on show at the encoder's offsets from (k + 0.5) / rate seconds.

    Args:
        encoder: on `device`.
        rate: steps per second.
        batch_size: steps encoded at once, of as many videos as it takes.
        clock: is advanced with every batch.

    Raises:
        UnreadableVideoError: a video cannot be decoded to its last step.
    """
    clock = clock or Clock()
    total = sum(video.num_steps for video in videos)
    clips = _Decoder(videos, encoder, rate, decoding, _BATCHES_AHEAD * batch_size, clock)
    encoding = _BatchEncoder(encoder, device, precision, clock)
    with progress("Encoding frames", total=total, unit="frames") as bar, clips:
        started = time.perf_counter()
        batches = encoding.run(_batches(clips, batch_size))
        with closing(made_ahead(batches, "encoder", _BATCHES_AHEAD)) as encoded:
            for names, features in encoded:
                bar.advance(len(names))
                clock.steps += len(names)
                clock.seconds = time.perf_counter() - started
                with clock.time("writing"):
                    yield from _split(names, features)
    if clock.steps:
        _logger.info("Features: %s", clock.report())


class _BatchEncoder:
    """Batches of clips to features. On a GPU, which works on its own, the next batch is made meanwhile."""

    def __init__(
        self, encoder: FrameEncoder, device: torch.device, precision: torch.dtype, clock: Clock
    ) -> None:
        self._encoder = encoder
        self._device = device
        self._precision = precision
        self._clock = clock
        self._in_flight = 1 if device.type == "cuda" else 0

    def run(
        self, batches: Iterable[list[tuple[str, Clip]]]
    ) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        launched: deque[tuple[list[str], Callable[[], NDArray[np.float32]]]] = deque()
        for batch in batches:
            launched.append(([video for video, _ in batch], self._launch([clip for _, clip in batch])))
            if len(launched) > self._in_flight:
                names, finish = launched.popleft()
                yield names, finish()
        for names, finish in launched:
            yield names, finish()

    def _launch(self, clips: Sequence[Clip]) -> Callable[[], NDArray[np.float32]]:
        """Starts the encoding of a batch; the function returned waits for the features."""
        with self._clock.time("batching"):
            frames = batch_of_clips(clips, self._device)
        if self._device.type != "cuda":
            with self._clock.time("encoding"):
                features = self._encode(frames).cpu().numpy()
            return lambda: features
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        began.record()
        on_device = self._encode(frames)
        ended.record()

        def finish() -> NDArray[np.float32]:
            host: NDArray[np.float32] = on_device.cpu().numpy()
            self._clock.add("encoding", began.elapsed_time(ended) / 1000)
            return host

        return finish

    @torch.inference_mode()
    def _encode(self, frames: Tensor) -> Tensor:
        with autocast(self._device, self._precision):
            features: Tensor = self._encoder(frames)
        return features.float()


def batch_of_clips(clips: Sequence[Clip], device: torch.device) -> Tensor:
    """B clips of K frames as uint8 `[B, K, H, W, 3]` on a device; what clips share is copied there once."""
    pictures = {id(picture): picture for clip in clips for picture in clip}
    shared = len(pictures) < sum(map(len, clips))
    each = pictures.values() if shared else (picture for clip in clips for picture in clip)
    frames = torch.stack([torch.as_tensor(picture) for picture in each])
    if device.type == "cuda" and not frames.is_cuda:
        frames = frames.pin_memory()
    frames = frames.to(device, non_blocking=True)
    if not shared:
        return frames.view(len(clips), -1, *frames.shape[1:])
    places = {key: place for place, key in enumerate(pictures)}
    index = [[places[id(picture)] for picture in clip] for clip in clips]
    return frames[torch.tensor(index, device=device)]


class _Decoder:
    """Clips of all videos in order, as pairs of video and clip, read ahead by a pool of threads.

    Each video has a queue of its own. The pool takes videos in order, so the video that is waited for is
    always among those being decoded; a full queue holds a thread back.
    """

    def __init__(
        self,
        videos: Sequence[VideoSteps],
        encoder: FrameEncoder,
        rate: float,
        decoding: Decoding,
        clips_ahead: int,
        clock: Clock,
    ) -> None:
        self._videos = videos
        self._offsets = encoder.offsets
        self._size = (encoder.input_size, encoder.input_size)
        self._frames_at = decoding.frames_at
        self._rate = rate
        self._threads = max(1, min(decoding.threads, len(videos)))
        self._clock = clock
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="decoder")
        length = max(1, clips_ahead // self._threads)
        self._channels = [_Channel(length, self._stop) for _ in videos]

    def __enter__(self) -> "_Decoder":
        for video, channel in zip(self._videos, self._channels, strict=True):
            self._pool.submit(channel.feed, self._clips(video))
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)

    def __iter__(self) -> Iterator[tuple[str, Clip]]:
        for video, channel in zip(self._videos, self._channels, strict=True):
            for clip in channel:
                yield video.video, clip

    def _clips(self, video: VideoSteps) -> Iterator[Clip]:
        centres = step_times(video.num_steps, self._rate)
        busy = 0.0
        started = time.perf_counter()
        try:
            clips = clips_at(
                video.path,
                centres,
                self._offsets,
                self._size,
                video.image_folder_rate,
                self._frames_at,
            )
            for clip in clips:
                busy += time.perf_counter() - started
                yield clip
                started = time.perf_counter()
        finally:
            self._clock.add("decoding", busy / self._threads)


class _Channel:
    """A bounded queue of clips. What goes wrong in the thread that feeds it is raised where it is read."""

    def __init__(self, length: int, stop: threading.Event) -> None:
        self._queue: queue.Queue[Clip | _End] = queue.Queue(length)
        self._stop = stop

    def feed(self, clips: Iterator[Clip]) -> None:
        """Puts clips until they end or the reader stops."""
        error: Exception | None = None
        try:
            for clip in clips:
                if not self._put(clip):
                    return
        except Exception as raised:  # handed to the thread that reads
            error = raised
        self._put(_End(error))

    def __iter__(self) -> Iterator[Clip]:
        while not self._stop.is_set():
            try:
                item = self._queue.get(timeout=_WAKE_SECONDS)
            except queue.Empty:
                continue
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    def _put(self, item: "Clip | _End") -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=_WAKE_SECONDS)
            except queue.Full:
                continue
            return True
        return False


@dataclass(frozen=True)
class _End:
    """The end of a channel, and why it came early, if it did."""

    error: Exception | None


def _batches(clips: Iterable[tuple[str, Clip]], size: int) -> Iterator[list[tuple[str, Clip]]]:
    batch: list[tuple[str, Clip]] = []
    for pair in clips:
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
