"""The best moments of a video: segments of each class, as tables, one page with pictures, and a cut."""

import json
import math
import os
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from prolepsis.action.evaluation.frames import BACKGROUND
from prolepsis.action.hysteresis import Hysteresis, find_segments
from prolepsis.errors import ProlepsisError
from prolepsis.files import atomic_directory, write_json
from prolepsis.report.blocks import Block, Cell, Grid, Picture, Section, Table, Text
from prolepsis.report.formatting import data_uri, duration, percent, words
from prolepsis.report.page import render_page
from prolepsis.report.timelines import Instance, TimelineData, draw_timeline, encode_jpeg
from prolepsis.video.media import VideoFrames, frames_at, shown_size, to_picture

TABLE = "highlights.json"
_CUT = "highlights.mp4"
_PICTURES_IN_TIMELINE = 10
_WIDTH = 480
_CLOCK = Fraction(1, 90_000)
_SHORTEST_S = 1e-3  # of a frame in the cut: where a span and a frame meet, they may differ by rounding
_QUALITY = "20"  # x264's constant rate factor: hardly to be told from the original

Float32s = NDArray[np.float32]


@dataclass(frozen=True)
class Highlight:
    """A segment of a class.

    Attributes:
        start, end: seconds.
        mean_probability, peak_probability: of the class in the segment.
        peak_time: the centre of the step where it is most probable, in seconds.
    """

    class_index: int
    start: float
    end: float
    mean_probability: float
    peak_probability: float
    peak_time: float


@dataclass(frozen=True)
class WatchedVideo:
    """A video and what a detector believed of it.

    Attributes:
        rate: steps per second.
        scores: probabilities `[T, C]`.
        image_folder_rate: frames per second, if it is a folder of images.
    """

    path: Path
    detector: str
    class_names: Sequence[str]
    rate: float
    scores: Float32s
    image_folder_rate: float


def find_highlights(
    video: WatchedVideo, rule: Hysteresis, best: int, classes: Collection[int] | None = None
) -> list[Highlight]:
    """The `best` segments of each class, those with the highest mean probability; by class, best first."""
    found: dict[int, list[Highlight]] = {}
    for segment in find_segments(video.scores, rule, BACKGROUND):
        if classes is not None and segment.label not in classes:
            continue
        belief = video.scores[segment.start : segment.end, segment.label]
        peak = int(belief.argmax())
        found.setdefault(segment.label, []).append(
            Highlight(
                class_index=segment.label,
                start=segment.start / video.rate,
                end=segment.end / video.rate,
                mean_probability=segment.score,
                peak_probability=float(belief[peak]),
                peak_time=(segment.start + peak + 0.5) / video.rate,
            )
        )
    return [
        highlight
        for label in sorted(found)
        for highlight in sorted(found[label], key=lambda one: (-one.mean_probability, one.start))[:best]
    ]


def highlight_table(video: WatchedVideo, highlights: Sequence[Highlight]) -> pl.DataFrame:
    """A row for each: class, start, end, mean_probability, peak_probability, and the thumbnail's file."""
    rows = [
        (
            video.class_names[one.class_index],
            round(one.start, 3),
            round(one.end, 3),
            round(one.mean_probability, 4),
            round(one.peak_probability, 4),
            f"thumbnails/{number:03d}_{_safe(video.class_names[one.class_index])}.jpg",
        )
        for number, one in enumerate(highlights)
    ]
    schema = {
        "class": pl.String,
        "start": pl.Float64,
        "end": pl.Float64,
        "mean_probability": pl.Float64,
        "peak_probability": pl.Float64,
        "thumbnail": pl.String,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def write_highlights(
    folder: Path, video: WatchedVideo, highlights: Sequence[Highlight], rule: Hysteresis, *, cut: bool
) -> pl.DataFrame:
    """Writes `highlights.json` and `.csv`, thumbnails, `index.html` and, if wanted, `highlights.mp4`.

    The folder is replaced as a whole; returns its table.

    Raises:
        ProlepsisError: the folder holds something else or cannot be written, or the video cannot be read.
    """
    check_writable(folder, video.path)
    table = highlight_table(video, highlights)
    thumbnails = _pictures(video, [one.peak_time for one in highlights])
    with atomic_directory(folder) as temporary:
        (temporary / "thumbnails").mkdir()
        for name, jpeg in zip(table["thumbnail"], thumbnails, strict=True):
            (temporary / name).write_bytes(jpeg)
        table.write_csv(temporary / "highlights.csv")
        write_json(temporary / TABLE, _description(video, rule) | {"highlights": table.to_dicts()})
        page = _page(video, highlights, thumbnails, _CUT if cut and highlights else None)
        (temporary / "index.html").write_text(page, encoding="utf-8")
        if cut and highlights:
            spans = merge_spans((one.start, one.end) for one in highlights)
            cut_video(video.path, spans, temporary / _CUT, video.image_folder_rate)
    return table


def check_writable(folder: Path, video: Path) -> None:
    """Raises ProlepsisError where a folder holds other things than highlights of this video, which would be
    replaced; or where there can be no such folder."""
    above = next((parent for parent in folder.absolute().parents if parent.exists()), folder)
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise ProlepsisError(
            "The folder cannot be made.",
            where=folder,
            remedy=f"Give another with --output: {above} is no folder, or one that you may not write to.",
        )
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    other = _video_of(folder / TABLE)
    if other is None:
        raise ProlepsisError(
            "The folder holds other things than highlights, and would be replaced.",
            where=folder,
            remedy="Give another folder with --output.",
        )
    if other != str(video.absolute()):
        raise ProlepsisError(
            f"The folder holds the highlights of another video, {other}, and would be replaced.",
            where=folder,
            remedy="Give another folder with --output, or take that one away.",
        )


def _video_of(table: Path) -> str | None:
    """The video that a file of highlights is of; None if it is no such file."""
    try:
        video = json.loads(table.read_bytes())["video"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return video if isinstance(video, str) else None


def merge_spans(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Spans in the order of time, those that overlap or touch made one.

    >>> merge_spans([(5, 6), (1, 3), (2, 4)])
    [(1, 4), (5, 6)]
    """
    merged: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def cut_video(
    path: Path, spans: Sequence[tuple[float, float]], target: Path, image_folder_rate: float | None = None
) -> None:
    """Writes the pictures of a video within some spans, one after another, as H.264 in MP4; no sound.

    Frames keep their distances in time; a span begins with the frame on show at its start, where the span
    before ended.

    Args:
        spans: seconds, ascending, apart from each other.

    Raises:
        UnreadableVideoError: the video cannot be decoded to the last span's end.
    """
    import av

    with av.open(str(target), "w", format="mp4") as container:
        stream = container.add_stream("libx264", options={"crf": _QUALITY})
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = _CLOCK
        size: tuple[int, int] | None = None
        for time, length, frame in _within(VideoFrames(path, image_folder_rate), spans):
            if size is None:
                # H.264 with halved colours has even sides; a picture's size may change within a video.
                width, height = (max(2, side // 2 * 2) for side in shown_size(frame))
                size = stream.height, stream.width = height, width
            out = av.VideoFrame.from_ndarray(to_picture(frame, size), format="rgb24")
            out.pts, out.time_base, out.duration = round(time / _CLOCK), _CLOCK, round(length / _CLOCK)
            container.mux(stream.encode(out))
        container.mux(stream.encode())


def _within(frames: VideoFrames, spans: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float, Any]]:
    """The frames on show within spans: when each comes in the cut, for how many seconds, and itself."""
    before = 0.0
    left = deque(spans)
    for begins, ends, frame in _on_show(frames):
        while left and left[0][0] < ends:
            start, end = left[0]
            first = max(begins, start)
            if min(ends, end) - first > _SHORTEST_S:
                yield before + first - start, min(ends, end) - first, frame
            if ends < end:
                break
            before += end - start
            left.popleft()
        if not left:
            return


def _on_show(frames: VideoFrames) -> Iterator[tuple[float, float, Any]]:
    """Each frame with the seconds from which and until which it is shown; the last one stays."""
    shown: tuple[float, Any] | None = None
    for time, frame in frames:
        if shown is not None:
            yield shown[0], time, shown[1]
        # Before the first frame there is no other to show.
        shown = (time if shown is not None else -math.inf, frame)
    if shown is not None:
        yield shown[0], math.inf, shown[1]


def _pictures(video: WatchedVideo, times: Sequence[float]) -> list[bytes]:
    """The frames on show at some times, in their order, as small JPEGs."""
    order = sorted(range(len(times)), key=times.__getitem__)
    shown = frames_at(
        video.path, [times[index] for index in order], image_folder_rate=video.image_folder_rate
    )
    jpegs = [b""] * len(times)
    for index, picture in zip(order, shown, strict=True):
        jpegs[index] = encode_jpeg(_small(picture))
    return jpegs


def _small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((_WIDTH, _WIDTH))
    return np.asarray(image)


def _description(video: WatchedVideo, rule: Hysteresis) -> dict[str, Any]:
    return {
        "video": str(video.path.absolute()),
        "detector": video.detector,
        "steps_per_second": video.rate,
        "steps": len(video.scores),
        "start_threshold": rule.start_threshold,
        "end_threshold": rule.end_threshold,
        "min_seconds": rule.min_steps / video.rate,
        "release_seconds": rule.release_steps / video.rate,
    }


def _page(
    video: WatchedVideo, highlights: Sequence[Highlight], thumbnails: Sequence[bytes], cut: str | None
) -> str:
    name = video.path.name
    lead = f"What {words(video.detector)} found in {duration(len(video.scores) / video.rate)} of video."
    return render_page(
        f"Highlights of {name}",
        lead,
        [
            Section(
                "Video", "timeline", "From left to right", _TIMELINE_LEAD, [_timeline(video, highlights)]
            ),
            Section(
                "Video",
                "best",
                "The best of each class",
                _best_lead(cut),
                _best(video, highlights, thumbnails),
            ),
            Section("Video", "table", "As a table", "Times in seconds.", [_table(video, highlights)]),
        ],
        command="kedro highlights",
        origin=f"from {name}",
    )


_TIMELINE_LEAD = (
    "Above, the segments listed below; under them, how probable the detector found each action at that "
    "moment, knowing only what came before. Background is not drawn."
)


def _best_lead(cut: str | None) -> str:
    lead = "Each picture is of the moment at which the action was most probable."
    return f"{lead} The file {cut} beside this page shows the segments one after another." if cut else lead


def _timeline(video: WatchedVideo, highlights: Sequence[Highlight]) -> Block:
    seconds = len(video.scores) / video.rate
    times = [(place + 0.5) * seconds / _PICTURES_IN_TIMELINE for place in range(_PICTURES_IN_TIMELINE)]
    shown = frames_at(video.path, times, image_folder_rate=video.image_folder_rate)
    data = TimelineData(
        video=video.path.name,
        rate=video.rate,
        instances=[Instance(one.class_index, one.start, one.end) for one in highlights],
        ignore=np.zeros(len(video.scores), dtype=bool),
        scores={video.detector: video.scores},
        thumbnails=[_small(picture) for picture in shown],
    )
    return replace(draw_timeline(data, video.class_names), truth_name="found")


def _best(video: WatchedVideo, highlights: Sequence[Highlight], thumbnails: Sequence[bytes]) -> list[Block]:
    if not highlights:
        return [Text("No action was probable enough for long enough. A lower --threshold finds more.")]
    pictures = [
        Picture(
            data_uri(jpeg, "image/jpeg"),
            words(video.class_names[one.class_index]),
            f"{words(video.class_names[one.class_index])}, {one.start:.1f} to {one.end:.1f} s, "
            f"{percent(one.mean_probability, 0)}",
        )
        for one, jpeg in zip(highlights, thumbnails, strict=True)
    ]
    return [Grid(pictures)]


def _table(video: WatchedVideo, highlights: Sequence[Highlight]) -> Block:
    columns = ("class", "start", "end", "length", "mean probability", "highest")
    rows = [
        (
            Cell(words(video.class_names[one.class_index])),
            Cell(f"{one.start:.2f}"),
            Cell(f"{one.end:.2f}"),
            Cell(f"{one.end - one.start:.2f}"),
            Cell(percent(one.mean_probability), share=one.mean_probability),
            Cell(percent(one.peak_probability), share=one.peak_probability),
        )
        for one in highlights
    ]
    return Table(columns, rows, frozenset(columns[1:]))


def _safe(name: str) -> str:
    """A class name as a part of a file's name."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
