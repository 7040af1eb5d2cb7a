"""Frames while they come: what an encoder looks at for each step, as soon as that is known.

The convention is that of `prolepsis.video.encoders.clips`: the frame on show at a moment is the last one that
started at or before it. So a step is known when the first frame after it has come, and what is cut here from
a file, frame by frame, is what is cut there from the whole of it.
"""

import heapq
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit, urlunsplit

from prolepsis.errors import ProlepsisError
from prolepsis.video import media
from prolepsis.video.errors import UnreadableVideoError
from prolepsis.video.labels import num_steps

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

    from prolepsis.video.encoders.clips import Clip

Clock = Callable[[], float]
"""Seconds that only grow."""

OnFrame = Callable[["av.VideoFrame"], None]

_SMALLEST_STEP_S = 1e-6  # timestamps are fractions; a moment asked for is a float
_OPEN_TIMEOUT_S = 15.0
_READ_TIMEOUT_S = 10.0
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
_FAR_BEHIND_S = 2.0
_CAUGHT_UP_S = 0.5
# No two clocks go alike: what comes later by less than this share of the time is no backlog.
_CLOCK_DRIFT = 1e-3
# Pictures one after another, as many a web camera sends them: a frame's time is when it came.
_FORMATS_WITHOUT_TIMES = ("mjpeg", "mpjpeg")


@dataclass(frozen=True)
class StepClip:
    """What an encoder looks at for one step.

    Attributes:
        connection: counts the times that the source was opened; with a new one, time begins anew.
        step: counts from 0 within the connection.
        time: of the step's centre, in seconds since the first frame of the first connection.
        due: when the step's centre was, on the clock; latency counts from there.
        clip: the frames, uint8 `[height, width, 3]`.
    """

    connection: int
    step: int
    time: float
    due: float
    clip: "Clip"


@dataclass(frozen=True)
class _Shown:
    """The frame on show, since when, and when it came."""

    time: float
    frame: "av.VideoFrame"
    arrived: float


class ClipCutter:
    """Frames one after another to the clips of steps.

    Args:
        rate: steps per second.
        offsets: of the encoder's frames from a step's centre, in seconds, ascending.
        size: (height, width) to which frames are scaled.
        whole_steps: hold a step back until its end has passed, so that a video has as many steps as its
            labels have; else it comes as soon as its frames are known.
    """

    def __init__(
        self, rate: float, offsets: Sequence[float], size: tuple[int, int], *, whole_steps: bool
    ) -> None:
        self._rate = rate
        self._offsets = offsets
        self._size = size
        self._whole_steps = whole_steps
        self._moments = heapq.merge(*(self._moments_at(offset) for offset in offsets))
        self._next, self._next_step = next(self._moments)
        self._clips: deque[list[media.Picture]] = deque()
        self._cut = 0
        self._held: deque[StepClip] = deque()
        self._shown: _Shown | None = None
        self._picture: media.Picture | None = None

    def add(self, time: float, frame: "av.VideoFrame", arrived: float) -> list[StepClip]:
        """Takes the next frame, its time, and when it came; returns the steps that are now known."""
        if self._shown is not None:
            while self._next + _SMALLEST_STEP_S < time:
                self._take(self._shown, arrived)
        self._shown, self._picture = _Shown(time, frame, arrived), None
        return self._ready(time)

    def finish(self, duration: float, now: float) -> list[StepClip]:
        """The last steps of a video that is over: to its end its last frame is on show."""
        if self._shown is not None:
            total = num_steps(duration, self._rate)
            while self._cut < total:
                self._take(self._shown, now)
        return self._ready(duration)

    def _moments_at(self, offset: float) -> Iterator[tuple[float, int]]:
        for step in count():
            yield (step + 0.5) / self._rate + offset, step

    def _take(self, shown: _Shown, arrived: float) -> None:
        """Puts the frame on show into the clip that asks for it next."""
        if self._picture is None:
            self._picture = media.to_picture(shown.frame, self._size)
        while self._cut + len(self._clips) <= self._next_step:
            self._clips.append([])
        self._clips[self._next_step - self._cut].append(self._picture)
        self._next, self._next_step = next(self._moments)
        while self._clips and len(self._clips[0]) == len(self._offsets):
            centre = (self._cut + 0.5) / self._rate
            # A frame may be on show for long: the step lies behind its arrival as far as in the video. Where
            # a file is read faster than it was filmed, the frame that made the step known has come before.
            due = min(shown.arrived + max(0.0, centre - shown.time), arrived)
            self._held.append(StepClip(0, self._cut, centre, due, tuple(self._clips.popleft())))
            self._cut += 1

    def _ready(self, passed: float) -> list[StepClip]:
        ready = []
        whole = num_steps(passed, self._rate)
        while self._held and (not self._whole_steps or self._held[0].step < whole):
            ready.append(self._held.popleft())
        return ready


class Source(Protocol):
    """Where steps come from.

    Attributes:
        name: for people, without passwords.
        live: whether it goes on whether or not anybody keeps up.
    """

    name: str
    live: bool

    def clips(self, stop: threading.Event) -> Generator[StepClip]:
        """The steps until the source ends or `stop` is set."""
        ...


@dataclass(frozen=True)
class Cutting:
    """How clips are cut: the detector's rate, the encoder's offsets and size, the clock, and who looks on."""

    rate: float
    offsets: Sequence[float]
    size: tuple[int, int]
    clock: Clock = time.monotonic
    on_frame: OnFrame | None = None

    def cutter(self, *, whole_steps: bool) -> ClipCutter:
        return ClipCutter(self.rate, self.offsets, self.size, whole_steps=whole_steps)

    def show(self, frame: "av.VideoFrame") -> None:
        if self.on_frame is not None:
            self.on_frame(frame)


class VideoFile:
    """A video file, or a folder of numbered images; at its own pace or as fast as it can be read.

    At its own pace it is live: it has the steps that a camera would have shown.
    """

    def __init__(
        self, path: Path, cutting: Cutting, *, fast: bool, image_folder_rate: float | None = None
    ) -> None:
        self.name = str(path)
        self.live = not fast
        self._path = path
        self._cutting = cutting
        self._image_folder_rate = image_folder_rate

    def clips(self, stop: threading.Event) -> Generator[StepClip]:
        clock = self._cutting.clock
        cutter = self._cutting.cutter(whole_steps=not self.live)
        frames = media.VideoFrames(self._path, self._image_folder_rate)
        started: float | None = None
        for moment, frame in frames:
            started = clock() if started is None else started
            if self.live:
                stop.wait(max(0.0, started + moment - clock()))
            if stop.is_set():
                return
            self._cutting.show(frame)
            # A frame that is decoded too late came, as a camera's, when it was due: that shows as latency.
            yield from cutter.add(moment, frame, started + moment if self.live else clock())
        if self.live and started is not None:
            stop.wait(max(0.0, started + frames.duration - clock()))
        yield from cutter.finish(frames.duration, clock())


@dataclass(frozen=True)
class Address:
    """What FFmpeg opens: a place, the format where it cannot be guessed, and options."""

    place: str
    format: str | None = None
    options: tuple[tuple[str, str], ...] = ()

    @property
    def is_ahead_of_time(self) -> bool:
        """Whether frames come as fast as they can be sent: in pieces of seconds, or a whole recording."""
        return self.place.startswith(("http://", "https://"))

    @property
    def shown(self) -> str:
        """Without user and password."""
        parts = urlsplit(self.place)
        if "@" not in parts.netloc:
            return self.place
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def camera(index: int) -> Address:
    """The camera of that number on this machine.

    Raises:
        ProlepsisError: it is not known how cameras are opened on this system.
    """
    if sys.platform == "linux":
        return Address(f"/dev/video{index}", "v4l2")
    if sys.platform == "darwin":
        # Its own default, 29.97 frames a second, is one that many cameras do not have.
        return Address(str(index), "avfoundation", (("framerate", "30"),))
    raise ProlepsisError(
        f"It is not known how a camera is opened by its number on {sys.platform}.",
        where=f"camera {index}",
        remedy="Give a video file or the address of a stream.",
    )


def stream(url: str) -> Address:
    """An RTSP, HTTP or other stream; RTSP comes over TCP, since a lost packet is a broken picture.

    Raises:
        ProlepsisError: it is no address.
    """
    try:
        urlsplit(url)
    except ValueError as error:  # of which the address is no part: it may hold a password
        raise ProlepsisError(
            f"The address of the stream is none: {error}.",
            where="the source",
            remedy="Write it as rtsp://camera:554/stream or http://[2001:db8::1]/live.m3u8.",
        ) from error
    options = (("rtsp_transport", "tcp"),) if url.startswith("rtsp") else ()
    return Address(url, None, options)


class _Backlog:
    """How far what is read lies behind what is sent, in seconds.

    What is sent waits where nobody sees it until it is read. But a timestamp tells when it was due: as long
    after the stream began as what came soonest.
    """

    def __init__(self) -> None:
        self._soonest: float | None = None
        self._moment = 0.0

    def due(self, moment: float, arrived: float) -> float:
        """When what has the timestamp `moment` was due, on the clock; it has been read when it `arrived`."""
        lag = arrived - moment
        drift = _CLOCK_DRIFT * max(0.0, moment - self._moment)
        self._soonest = lag if self._soonest is None else min(lag, self._soonest + drift)
        self._moment = moment
        return moment + self._soonest


class _CatchingUp:
    """Has a decoder pass over all but key frames while it is far behind.

    It goes on with a key frame too, since the frames after another one show nothing without those before.
    """

    def __init__(self, container: "InputContainer", tell: Callable[[str], None]) -> None:
        self._context = container.streams.video[0].codec_context
        self._backlog = _Backlog()
        self._tell = tell
        self._passed_over: int | None = None
        self._furthest = 0.0

    def observe(self, packet: "av.Packet[VideoStream]", now: float) -> None:
        """Takes a packet that is about to be decoded."""
        if packet.dts is None:
            return
        moment = float(packet.dts * packet.time_base)
        behind = now - self._backlog.due(moment, now)
        if self._passed_over is None:
            if behind > _FAR_BEHIND_S:
                self._passed_over, self._furthest = 0, 0.0
                self._context.skip_frame = "NONKEY"
        elif packet.is_keyframe and behind < _CAUGHT_UP_S:
            self._context.skip_frame = "DEFAULT"
            self._tell(
                f"Decoding fell {self._furthest:.1f} s behind; {self._passed_over} frames were passed over"
            )
            self._passed_over = None
        if self._passed_over is not None:
            self._furthest = max(self._furthest, behind)
            self._passed_over += not packet.is_keyframe


class LiveStream:
    """A camera or a stream; one that breaks is opened again, after pauses that double.

    The first connection must succeed. A stream that says how long it is is a recording: at its end it has
    ended, and one that breaks is not begun anew. Where decoding falls behind what is sent, only key frames
    are decoded until it has caught up.

    Args:
        on_problem: told what broke and in how many seconds it is tried again.
        on_behind: told how far decoding fell behind, and how many frames were passed over, when it has
            caught up.
    """

    live = True

    def __init__(
        self,
        address: Address,
        cutting: Cutting,
        on_problem: Callable[[str, float], None],
        on_behind: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.name = address.shown
        self._address = address
        self._cutting = cutting
        self._on_problem = on_problem
        self._on_behind = on_behind
        self._is_recording = False

    def clips(self, stop: threading.Event) -> Generator[StepClip]:
        began: float | None = None
        pause = _FIRST_PAUSE_S
        for connection in count():
            came = False
            try:
                for one in self._connection(stop):
                    began = one.due - one.time if began is None else began
                    came, pause = True, _FIRST_PAUSE_S
                    at = one.time if connection == 0 else one.due - began
                    yield StepClip(connection, one.step, at, one.due, one.clip)
                if stop.is_set():
                    return
                problem = "The stream ended"
            except _EndedError:
                return
            except UnreadableVideoError as error:
                if self._is_recording or (began is None and not came):
                    raise
                problem = error.message
            self._on_problem(problem, pause)
            if stop.wait(pause):
                return
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _connection(self, stop: threading.Event) -> Generator[StepClip]:
        clock = self._cutting.clock
        cutter = self._cutting.cutter(whole_steps=False)
        backlog = _Backlog()
        arrived = clock()
        moment = 0.0
        with _open(self._address) as container:
            self._is_recording = bool(container.duration)
            has_times = container.format.name not in _FORMATS_WITHOUT_TIMES
            catching_up = _CatchingUp(container, self._on_behind)

            def on_packet(packet: "av.Packet[VideoStream]") -> None:
                nonlocal arrived
                arrived = clock()
                if has_times:
                    catching_up.observe(packet, arrived)

            started: float | None = None
            for stamp, frame in media.decode(container, self._address.shown, on_packet):
                started = arrived if started is None else started
                moment = stamp if has_times else arrived - started
                if has_times and self._address.is_ahead_of_time:
                    stop.wait(max(0.0, started + moment - clock()))
                    arrived = max(arrived, started + moment)
                if stop.is_set():
                    return
                self._cutting.show(frame)
                yield from cutter.add(moment, frame, backlog.due(moment, arrived))
            if self._is_recording:
                yield from cutter.finish(moment, clock())
                raise _EndedError


class _EndedError(Exception):
    """A stream came to the end that it had promised."""


@contextmanager
def _open(address: Address) -> "Iterator[InputContainer]":
    import av

    try:
        container = av.open(
            address.place,
            format=address.format,
            options=dict(address.options),
            timeout=(_OPEN_TIMEOUT_S, _READ_TIMEOUT_S),
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise UnreadableVideoError(
            f"The source cannot be opened: {media.cause_of(error)}.",
            where=address.shown,
            remedy="Check that the camera or server is there, and that nothing else holds it.",
        ) from error
    with container:
        if not container.streams.video:
            raise UnreadableVideoError("The source has no video stream.", where=address.shown)
        yield container
