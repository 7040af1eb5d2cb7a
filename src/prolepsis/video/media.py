"""Videos in, be they files or folders of numbered images: what they are, and their frames at given times.

Time is that of the presentation timestamps, counted from the first frame, never a frame's number divided by a
nominal rate: so variable rates, a start that is not zero and dropped frames need no special care.
"""

import math
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from prolepsis.errors import ProlepsisError
from prolepsis.video.errors import UnreadableVideoError
from prolepsis.video.image_folders import holds_image, numbered_images

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

Picture = npt.NDArray[np.uint8]  # [height, width, 3] RGB
OnPacket = Callable[["av.Packet[VideoStream]"], None]

SUFFIXES = (
    ".3gp",
    ".asf",
    ".avi",
    ".flv",
    ".m2ts",
    ".m4v",
    ".mkv",
    ".mov",
    ".mp4",
    ".mpeg",
    ".mpg",
    ".mts",
    ".ogv",
    ".ts",
    ".vob",
    ".webm",
    ".wmv",
)

# They store one time for a frame, that of decoding. What FFmpeg makes of it as a presentation timestamp is in
# the wrong order where frames are reordered; the decoding times of the frames in the order they are shown are
# the right ones.
_FORMATS_WITHOUT_PRESENTATION_TIMES = ("asf", "avi")

_SMALLEST_STEP_S = 1e-6  # timestamps are fractions; a time asked for is a float
# A header may be a little off; beyond this the rest of the file is missing.
_MISSING_SHARE = 0.1
_MISSING_S = 0.5
# The delay of reordered frames is no late start.
_LATE_START_S = 0.1
# Containers round timestamps, some to milliseconds: that alone makes no variable frame rate.
_ROUNDING_S = 0.0021
_UNEVEN_SHARE = 0.1
# One frame may stay on show for long, as in a recorded lecture, but not for ever.
_LONG_GAP_S = 60.0
_IMPOSSIBLE_GAP_S = 3600.0
# Where two recordings are put one after another, times begin anew.
_BACKWARDS_S = 0.5


@dataclass(frozen=True)
class VideoInfo:
    """What a video turned out to be when all of it was decoded.

    Width and height are those on show, after the rotation tag. `duration` runs from the first frame's start
    to the last one's end, in seconds; `frames_per_second` is the average, `nominal_frames_per_second` that of
    the header, if it has one. `problems` are what is odd, yet no obstacle.
    """

    container: str
    codec: str
    width: int
    height: int
    rotation: int
    frames_per_second: float
    duration: float
    num_frames: int
    nominal_frames_per_second: float | None
    problems: tuple[str, ...]


def find_videos(folder: Path) -> list[Path]:
    """All that is meant as a video in a folder and its subfolders, sorted; hidden entries are passed over.

    That is every file with a video's suffix, and every subfolder without videos and subfolders that holds an
    image, or bears a video's suffix itself: `probe` says whether it is a sequence. Links to folders are not
    followed; a linked file is listed, and `check_inside` judges it.
    """
    found: list[Path] = []
    for parent, folders, files in _walk(folder):
        videos = [parent / name for name in files if Path(name).suffix.lower() in SUFFIXES]
        found.extend(videos)
        meant_as_one = holds_image(files) or parent.suffix.lower() in SUFFIXES
        if meant_as_one and not videos and not folders and parent != folder:
            found.append(parent)
    return sorted(found)


def find_passed_over(folder: Path, videos: Collection[Path]) -> list[Path]:
    """The files of a folder and its subfolders that are of none of its videos, sorted; no hidden ones."""
    known = frozenset(videos)
    left = [
        parent / name
        for parent, _, files in _walk(folder)
        if parent not in known
        for name in files
        if parent / name not in known
    ]
    return sorted(left)


def _walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Each folder with the names of its folders and files, without hidden ones."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield Path(parent), folders, [name for name in files if not name.startswith(".")]


def check_inside(path: Path, folder: Path) -> None:
    """Refuses a video that leads out of `folder` through a symbolic link: itself, or one of its images.

    Raises:
        UnreadableVideoError: it does, or the link leads in a circle.
    """
    inside = folder.resolve()
    for file in [path, *(path.iterdir() if path.is_dir() else ())]:
        if not _resolved(file, path).is_relative_to(inside):
            raise UnreadableVideoError(
                f"{'It' if file == path else file.name} is a symbolic link to a place outside the folder of "
                "videos.",
                where=path,
                remedy="Put the file itself into the folder.",
            )


def _resolved(file: Path, video: Path) -> Path:
    try:
        return file.resolve()
    except (RuntimeError, OSError) as error:  # which of the two depends on Python's version
        raise UnreadableVideoError(
            f"{'It' if file == video else file.name} is a symbolic link that leads in a circle.", where=video
        ) from error


def probe(path: Path, image_folder_rate: float | None = None) -> VideoInfo:
    """Decodes a whole video, without converting a frame, and says what it is.

    Headers are not believed: only decoding tells whether a file is whole and how many frames it has. It runs
    in constant memory and releases Python's lock, so that threads probe in parallel.

    Args:
        path: a file or a folder of numbered images.
        image_folder_rate: frames per second of a folder of images, which does not say it itself.

    Raises:
        UnreadableVideoError: it has no video stream or no frame, it is damaged, or its end is missing.
        ProlepsisError: it is a folder of images, and no rate is given.
    """
    if path.is_dir():
        return _probe_images(path, _known_rate(image_folder_rate, path))
    with _open(path) as container:
        stream = container.streams.video[0]
        tally = _Tally()
        for time, frame in decode(container, path):
            tally.add(time, frame)
        if tally.num_frames == 0:
            raise UnreadableVideoError("It has a video stream, but not one frame.", where=path)
        nominal = stream.guessed_rate or stream.average_rate
        duration = tally.duration(stream)
        _check_whole(container, path, tally.num_frames, duration)
        width, height = _size_on_show(stream.width, stream.height, tally.rotation)
        return VideoInfo(
            container=_container_name(container, path),
            codec=stream.codec_context.codec.canonical_name,
            width=width,
            height=height,
            rotation=tally.rotation,
            frames_per_second=tally.num_frames / duration,
            duration=duration,
            num_frames=tally.num_frames,
            nominal_frames_per_second=float(nominal) if nominal else None,
            problems=(*tally.problems(), *_header_problems(container, tally.num_frames)),
        )


def has_presentation_times(path: Path) -> bool:
    """Whether it is a file whose container stores when its frames are to be shown, as most do.

    Raises:
        UnreadableVideoError: it cannot be opened as a video.
    """
    if path.is_dir():
        return False
    with _open(path) as container:
        return container.format.name not in _FORMATS_WITHOUT_PRESENTATION_TIMES


def frames_at(
    path: Path,
    times: Sequence[float],
    size: tuple[int, int] | None = None,
    image_folder_rate: float | None = None,
) -> Iterator[Picture]:
    """Yields the frame on show at each of `times`, as RGB [height, width, 3].

    The frame on show is the last one that started at or before the time; before the first it is the first,
    past the end the last. One pass, at most two decoded frames in memory; frames that nobody asked for are
    not converted, and images that nobody asked for not even read.

    Args:
        path: a file or a folder of numbered images.
        times: seconds after the first frame, ascending.
        size: (height, width) to scale to, bilinear, without regard to the aspect ratio; None keeps the size.
        image_folder_rate: frames per second of a folder of images, which does not say it itself.

    Raises:
        UnreadableVideoError: the file cannot be decoded that far.
        ProlepsisError: it is a folder of images, and no rate is given.
        ValueError: the times do not ascend.
    """
    if any(later < earlier for earlier, later in pairwise(times)):
        raise ValueError("the times must ascend")
    if not times:
        return
    if path.is_dir():
        yield from _images_at(path, times, size, _known_rate(image_folder_rate, path))
        return
    with _open(path) as container:
        wanted = 0
        shown: av.VideoFrame | None = None
        for time, frame in decode(container, path):
            picture: Picture | None = None
            while shown is not None and wanted < len(times) and times[wanted] + _SMALLEST_STEP_S < time:
                picture = to_picture(shown, size) if picture is None else picture
                yield picture
                wanted += 1
            if wanted == len(times):
                return
            shown = frame
        if shown is None:
            raise UnreadableVideoError("It has a video stream, but not one frame.", where=path)
        picture = to_picture(shown, size)
        for _ in range(wanted, len(times)):
            yield picture


class VideoFrames:
    """All frames of a video once, in the order they are shown, each with its time.

    Attributes:
        duration: seconds, from the first frame's start to the last one's end, as far as they were read.
    """

    def __init__(self, path: Path, image_folder_rate: float | None = None) -> None:
        self._path = path
        self._image_folder_rate = image_folder_rate
        self.duration = 0.0

    def __iter__(self) -> "Iterator[tuple[float, av.VideoFrame]]":
        """Yields seconds after the first frame, and the frame.

        Raises:
            UnreadableVideoError: it cannot be opened, or not be decoded to its end.
            ProlepsisError: it is a folder of images, and no rate is given.
        """
        if self._path.is_dir():
            rate = _known_rate(self._image_folder_rate, self._path)
            for number, image in enumerate(numbered_images(self._path)):
                self.duration = (number + 1) / rate
                yield number / rate, _image(image)[1]
            return
        with _open(self._path) as container:
            tally = _Tally()
            for time, frame in decode(container, self._path):
                tally.add(time, frame)
                self.duration = tally.duration(container.streams.video[0])
                yield time, frame
        if tally.num_frames == 0:
            raise UnreadableVideoError("It has a video stream, but not one frame.", where=self._path)


def _known_rate(image_folder_rate: float | None, path: Path) -> float:
    if image_folder_rate is None:
        raise ProlepsisError(
            "It is a folder of images, which does not say how many of them make a second.",
            where=path,
            remedy="Give image_folder_rate; the column fps of video_manifest holds it.",
        )
    return image_folder_rate


def _probe_images(folder: Path, rate: float) -> VideoInfo:
    """Decodes all images of a folder; they must be of one size."""
    images = numbered_images(folder)
    decoded = map(_image, images)
    codec, first = next(decoded)
    codecs, rotation = {codec}, _rotation(first)
    width, height = _size_on_show(first.width, first.height, rotation)
    for image, (codec, frame) in zip(images[1:], decoded, strict=True):
        size = _size_on_show(frame.width, frame.height, _rotation(frame))
        if size != (width, height):
            raise UnreadableVideoError(
                f"Its images are of different sizes: {images[0].name} is {width}x{height}, "
                f"{image.name} is {size[0]}x{size[1]}.",
                where=folder,
            )
        codecs.add(codec)
    return VideoInfo(
        container="images",
        codec=", ".join(sorted(codecs)),
        width=width,
        height=height,
        rotation=rotation,
        frames_per_second=rate,
        duration=len(images) / rate,
        num_frames=len(images),
        nominal_frames_per_second=rate,
        problems=(),
    )


def _images_at(
    folder: Path, times: Sequence[float], size: tuple[int, int] | None, rate: float
) -> Iterator[Picture]:
    images = numbered_images(folder)
    on_show = (math.floor((time + _SMALLEST_STEP_S) * rate) for time in times)
    for index, same in groupby(min(max(0, index), len(images) - 1) for index in on_show):
        picture = to_picture(_image(images[index])[1], size)
        for _ in same:
            yield picture


def _image(path: Path) -> "tuple[str, av.VideoFrame]":
    """The codec and the frame of an image file."""
    try:
        with _open(path) as container:
            for _, frame in decode(container, path):
                return container.streams.video[0].codec_context.codec.canonical_name, frame
    except UnreadableVideoError as error:
        reason = error.message
    else:
        reason = "It has no frame."
    raise UnreadableVideoError(f"The image {path.name} cannot be used: {reason}", where=path.parent)


@contextmanager
def _open(path: Path) -> "Iterator[InputContainer]":
    import av

    if not path.is_file():
        raise UnreadableVideoError(_what_it_is(path), where=path)
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError) as error:
        raise UnreadableVideoError(
            f"It cannot be opened as a video: {cause_of(error)}.", where=path
        ) from error
    with container:
        if not container.streams.video:
            raise UnreadableVideoError("It has no video stream.", where=path)
        # Threads work on different videos; threads within one only get in each other's way.
        container.streams.video[0].thread_type = "NONE"
        container.streams.video[0].thread_count = 1
        yield container


def _what_it_is(path: Path) -> str:
    """Of a path that is no file."""
    if path.exists():
        return "It is a pipe, a socket or a device, not a file."
    return "It is a symbolic link to nothing." if path.is_symlink() else "There is no such file."


def decode(
    container: "InputContainer", where: object, on_packet: "OnPacket | None" = None
) -> "Iterator[tuple[float, av.VideoFrame]]":
    """Frames in the order they are shown, each with its time in seconds after the first one.

    Args:
        where: what an error names: a path, or the address of a stream.
        on_packet: given each packet that has come, before it is decoded.

    Raises:
        UnreadableVideoError: it cannot be decoded further, or its timestamps leap.
    """
    import av

    stream = container.streams.video[0]
    nominal = 1.0 / float(stream.average_rate or 25)
    by_decoding = container.format.name in _FORMATS_WITHOUT_PRESENTATION_TIMES
    start: float | None = None
    last = 0.0
    try:
        for frame in _frames(container, on_packet):
            time = _time(frame, by_decoding)
            if start is None:
                start, now = time or 0.0, 0.0
            else:
                # A frame without a timestamp, as the last ones of an AVI file, follows at the nominal rate.
                now = last + nominal if time is None else time - start
                _check_step(last, now, where)
                now = max(last, now)
            last = now
            yield now, frame
    except (av.error.FFmpegError, IndexError) as error:
        # PyAV raises IndexError where a stream's header is cut off.
        raise UnreadableVideoError(
            f"It cannot be decoded beyond {last:.2f} s: {cause_of(error)}.", where=where
        ) from error


def _frames(container: "InputContainer", on_packet: "OnPacket | None") -> "Iterator[av.VideoFrame]":
    for packet in container.demux(container.streams.video[0]):
        if on_packet is not None:
            on_packet(packet)
        yield from packet.decode()


def _check_step(last: float, now: float, where: object) -> None:
    """Refuses timestamps by which nobody can tell what is on show when."""
    if now < last - _BACKWARDS_S:
        raise UnreadableVideoError(
            f"Its timestamps go back at {last:.2f} s, by {last - now:.2f} s, as where recordings are put one "
            "after another.",
            where=where,
            remedy="Split it there, or write it anew with timestamps that ascend.",
        )
    if now > last + _IMPOSSIBLE_GAP_S:
        raise UnreadableVideoError(
            f"Its timestamps leap at {last:.2f} s, by {now - last:.0f} s.",
            where=where,
            remedy="Write it anew with timestamps that follow one another.",
        )


def _time(frame: "av.VideoFrame", by_decoding: bool) -> float | None:
    stamp = frame.dts if by_decoding else frame.pts
    return None if stamp is None or frame.time_base is None else float(stamp * frame.time_base)


class _Tally:
    """What is counted and measured while the frames of a video pass by."""

    def __init__(self) -> None:
        self.num_frames = 0
        self.rotation = 0
        self.last = 0.0
        self.step = 0.0
        self._first_stamp: float | None = None
        self._shortest = math.inf
        self._longest = 0.0
        self._without_stamp = 0
        self._never_shown = 0

    def add(self, time: float, frame: "av.VideoFrame") -> None:
        if self.num_frames == 0:
            self.rotation = _rotation(frame)
            self._first_stamp = frame.time
        else:
            between = time - self.last
            self._shortest, self._longest = min(self._shortest, between), max(self._longest, between)
            self._never_shown += between == 0
        self._without_stamp += frame.pts is None
        self.step = _frame_duration(frame) or max(time - self.last, self.step)
        self.last = time
        self.num_frames += 1

    def duration(self, stream: "VideoStream") -> float:
        """To the end of the last frame."""
        nominal = stream.guessed_rate or stream.average_rate
        return self.last + (self.step or 1.0 / float(nominal or 25))

    def problems(self) -> Iterator[str]:
        if self._longest - self._shortest > max(_ROUNDING_S, _UNEVEN_SHARE * self._shortest):
            yield (
                "variable frame rate: from one frame to the next are "
                f"{1000 * self._shortest:.0f} to {1000 * self._longest:.0f} ms"
            )
        if self._longest > _LONG_GAP_S:
            yield f"one frame stays on show for {self._longest:.0f} s"
        if self._never_shown:
            yield f"{self._never_shown} timestamps not later than the one before"
        if self._first_stamp is not None and abs(self._first_stamp) > _LATE_START_S:
            yield f"starts at {self._first_stamp:.2f} s; times count from there"
        if self._without_stamp:
            yield f"{self._without_stamp} frames without timestamps, placed at the nominal rate"


def _check_whole(container: "InputContainer", path: Path, num_frames: int, duration: float) -> None:
    stream = container.streams.video[0]
    promised = 0.0
    if stream.duration is not None and stream.time_base is not None:
        promised = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        # Matroska counts from zero, not from the first frame.
        promised = (container.duration - max(0, container.start_time or 0)) / 1e6
    there = duration
    if _falls_short(there, promised) and stream.duration is None and len(container.streams) > 1:
        # The promise is for all streams together: the sound may go on after the picture.
        there = max(there, _seconds_of_all_streams(path))
    if _falls_short(there, promised):
        raise UnreadableVideoError(
            f"It is cut off: of the {promised:.2f} s it promises, {there:.2f} s are there.", where=path
        )
    if num_frames < (1 - _MISSING_SHARE) * stream.frames:
        raise UnreadableVideoError(
            f"It is cut off: of the {stream.frames} frames it promises, {num_frames} are there.", where=path
        )


def _falls_short(there: float, promised: float) -> bool:
    return promised - there > max(_MISSING_S, _MISSING_SHARE * promised)


def _seconds_of_all_streams(path: Path) -> float:
    """From the first packet's start to the last one's end, whichever streams they are of; none is decoded."""
    import av

    start, end = math.inf, -math.inf
    with _open(path) as container, suppress(av.error.FFmpegError):  # what is cut off may end with an error
        for packet in container.demux():
            if packet.pts is not None and packet.time_base is not None:
                start = min(start, float(packet.pts * packet.time_base))
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    return max(0.0, end - start)


def _header_problems(container: "InputContainer", num_frames: int) -> Iterator[str]:
    stream = container.streams.video[0]
    if not stream.duration and not container.duration:
        yield "no duration in the header"
    if stream.frames not in (0, num_frames):
        yield f"the header promises {stream.frames} frames, {num_frames} are there"


def to_picture(frame: "av.VideoFrame", size: tuple[int, int] | None) -> Picture:
    """A decoded frame as RGB, upright, scaled to (height, width) where a size is given."""
    from av.video.reformatter import VideoReformatter

    quarter_turns = _rotation(frame) // 90
    height, width = size or (None, None)
    if quarter_turns % 2:
        height, width = width, height
    # Not the reformatter that a frame brings along: threads that look at one frame would share it.
    scaled = VideoReformatter().reformat(
        frame, width=width, height=height, format="rgb24", interpolation="BILINEAR"
    )
    converted = scaled.to_ndarray()
    picture = converted.astype(np.uint8, copy=False)
    return np.ascontiguousarray(np.rot90(picture, quarter_turns)) if quarter_turns else picture


def shown_size(frame: "av.VideoFrame") -> tuple[int, int]:
    """Width and height of a frame that is upright."""
    return _size_on_show(frame.width, frame.height, _rotation(frame))


def _rotation(frame: "av.VideoFrame") -> int:
    """Degrees, counter-clockwise, by which the frame must be turned to be upright: 0, 90, 180 or 270."""
    return round(frame.rotation / 90) * 90 % 360


def _size_on_show(width: int, height: int, rotation: int) -> tuple[int, int]:
    return (height, width) if rotation % 180 else (width, height)


def _frame_duration(frame: "av.VideoFrame") -> float:
    if not frame.duration or frame.time_base is None:
        return 0.0
    return float(frame.duration * frame.time_base)


def _container_name(container: "InputContainer", path: Path) -> str:
    """FFmpeg names a family ("mov,mp4,m4a,…"); the suffix chooses the member where it can."""
    family = container.format.name.split(",")
    suffix = path.suffix.lower().lstrip(".")
    return suffix if suffix in family else family[0]


def cause_of(error: Exception) -> str:
    """What FFmpeg or the system says, to go on a sentence with."""
    import av

    if isinstance(error, av.error.ExitError):  # "immediate exit requested": by the time limit of a stream
        return "nothing came for too long"
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:].rstrip(".")
