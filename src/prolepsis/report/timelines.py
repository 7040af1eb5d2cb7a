"""A video from left to right: pictures, the truth as bands, and each detector's belief as areas below."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from prolepsis.report.blocks import Area, Belief, ClassMark, Section, Span, Tick, Timeline
from prolepsis.report.charts import area, ticks
from prolepsis.report.formatting import data_uri, duration, words

CHAPTER = "Frames"

BACKGROUND = 0
_FAINT = 0.08  # a class that no detector ever believes more than this is not drawn
_SHOWN = 0.3  # … and is in the legend only from here on, unless it is true somewhere


@dataclass(frozen=True)
class Instance:
    """An action from `start` to `end`, in seconds."""

    class_index: int
    start: float
    end: float


@dataclass(frozen=True)
class TimelineData:
    """All that is drawn of a video.

    Attributes:
        rate: steps per second.
        instances: the truth.
        ignore: bool [T]; steps that no figure counts.
        scores: for each detector, probabilities [T, C].
        thumbnails: RGB frames, uint8 [H, W, 3], evenly spaced over the video.
    """

    video: str
    rate: float
    instances: Sequence[Instance]
    ignore: NDArray[np.bool_]
    scores: Mapping[str, NDArray[np.float32]]
    thumbnails: Sequence[NDArray[np.uint8]]


def draw_timeline(data: TimelineData, class_names: Sequence[str]) -> Timeline:
    """Background is left out; a class has the same colour in every timeline."""
    hues = class_hues(len(class_names))
    seconds = len(data.ignore) / data.rate
    lanes = assign_lanes(data.instances)
    peaks = np.max([scores.max(axis=0) for scores in data.scores.values()], axis=0)
    true = {instance.class_index for instance in data.instances}
    return Timeline(
        title=data.video,
        note=f"{duration(seconds)}, {len(data.instances)} actions",
        thumbnails=[data_uri(encode_jpeg(frame), "image/jpeg") for frame in data.thumbnails],
        truth=[
            _span(instance, lane, seconds, words(class_names[instance.class_index]), hues)
            for instance, lane in zip(data.instances, lanes, strict=True)
        ],
        lanes=max(lanes, default=0) + 1,
        ignored=_ignored_spans(data.ignore, data.rate),
        beliefs=[
            Belief(words(name), _areas(scores, class_names, hues)) for name, scores in data.scores.items()
        ],
        legend=[
            ClassMark(words(name), hues[index])
            for index, name in enumerate(class_names)
            if index != BACKGROUND and (index in true or peaks[index] >= _SHOWN)
        ],
        ticks=[Tick(f"{tick:g} s", 100 * tick / seconds) for tick in ticks(0, seconds, 6)],
    )


def timeline_data(
    video: str,
    frame_labels: pl.DataFrame,
    action_instances: pl.DataFrame,
    scores: Mapping[str, pl.LazyFrame],
    thumbnails: Sequence[NDArray[np.uint8]],
) -> TimelineData:
    """What is drawn of one video, from the tables of all videos."""
    labels = frame_labels.filter(pl.col("video") == video).sort("step")
    # Instances of ignored classes have no class index; their time is hatched.
    of_video = (pl.col("video") == video) & (pl.col("class_index") > BACKGROUND)
    instances = action_instances.filter(of_video).sort("start")
    return TimelineData(
        video=video,
        rate=0.5 / float(labels["time"][0]),  # the first step's centre
        instances=[Instance(*row) for row in instances.select("class_index", "start", "end").iter_rows()],
        ignore=labels["ignore"].to_numpy(),
        scores={name: _scores_of(video, frame) for name, frame in scores.items()},
        thumbnails=thumbnails,
    )


def timelines_section(timelines: Sequence[Timeline], num_videos: int) -> Section:
    """The timelines of some of `num_videos` test videos."""
    lead = (
        "Each test video from left to right: what was to be seen, and below it how probable each detector "
        "found each action at that moment, knowing only what came before. Background is not drawn; hatched "
        "time counts in no figure."
    )
    if len(timelines) < num_videos:
        lead += f" The first {len(timelines)} of {num_videos} test videos, by name."
    return Section(CHAPTER, "timelines", "Test videos, moment by moment", lead, timelines)


def class_hues(num_classes: int) -> list[int]:
    """A hue in degrees for each class, far from its neighbours'; background's is not used."""
    count = max(1, num_classes - 1)
    # Stepping by about 5/12 of the circle keeps classes of neighbouring numbers apart, and repeats none.
    stride = next(s for s in range(max(1, round(count * 5 / 12)), 2 * count + 1) if np.gcd(s, count) == 1)
    return [0, *(round(25 + 360 * (index * stride % count) / count) % 360 for index in range(count))]


def assign_lanes(instances: Sequence[Instance]) -> list[int]:
    """For each instance the first lane on which it overlaps none before it."""
    free: list[float] = []
    lanes = [0] * len(instances)
    for index in sorted(range(len(instances)), key=lambda i: instances[i].start):
        instance = instances[index]
        lane = next((lane for lane, end in enumerate(free) if end <= instance.start), len(free))
        free[lane : lane + 1] = [instance.end]
        lanes[index] = lane
    return lanes


def encode_jpeg(frame: NDArray[np.uint8], quality: int = 70) -> bytes:
    """A frame as a small JPEG."""
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    imsave(buffer, frame, format="jpeg", pil_kwargs={"quality": quality, "optimize": True})
    return buffer.getvalue()


def _scores_of(video: str, scores: pl.LazyFrame) -> NDArray[np.float32]:
    rows = scores.filter(pl.col("video") == video).sort("step").select("scores").collect()
    return np.array(rows["scores"].to_list(), dtype=np.float32)


def _areas(scores: NDArray[np.float32], class_names: Sequence[str], hues: Sequence[int]) -> list[Area]:
    peaks = scores.max(axis=0)
    # The surest class is drawn first, so that it hides no other.
    order = sorted(range(len(class_names)), key=lambda index: -float(scores[:, index].sum()))
    return [
        Area(words(class_names[index]), hues[index], area(scores[:, index]))
        for index in order
        if index != BACKGROUND and peaks[index] > _FAINT
    ]


def _span(instance: Instance, lane: int, seconds: float, label: str, hues: Sequence[int]) -> Span:
    start, end = max(0.0, instance.start), min(seconds, instance.end)
    title = f"{label}, {instance.start:.2f} to {instance.end:.2f} s"
    width = 100 * max(0.0, end - start) / seconds
    return Span(label, hues[instance.class_index], 100 * start / seconds, width, lane, title)


def _ignored_spans(ignore: NDArray[np.bool_], rate: float) -> list[Span]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], ignore, [False]))))
    return [
        Span(
            "",
            0,
            100 * start / len(ignore),
            100 * (end - start) / len(ignore),
            0,
            f"not counted, {start / rate:.2f} to {end / rate:.2f} s",
        )
        for start, end in zip(edges[::2], edges[1::2], strict=True)
    ]
