"""Annotation files in: readers by plugin, and the checks that stop a run before it trains on wrong labels."""

import csv
import difflib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from prolepsis.errors import ProlepsisError
from prolepsis.video.labels import BACKGROUND

SPLITS = ("train", "val", "test")
_MOST_SHOWN = 5


@dataclass(frozen=True)
class Annotation:
    """One line of an annotation file: `label` from `start` to `end` seconds; `place` is where it stands."""

    video: str
    start: float
    end: float
    label: str
    place: str


class AnnotationReader(Protocol):
    """A plugin of the group `prolepsis.annotation_readers`."""

    def read(self, path: Path) -> list[Annotation]:
        """All annotations of a file, unchecked but for their form.

        Raises:
            ProlepsisError: the file is not of the reader's format.
        """


class CsvReader:
    """A CSV with a header and times in seconds: `video,start,end,label`; other columns are passed over.

    A video is named by its path in the folder; its suffix and a leading train, val or test may be left out.
    """

    class Config(BaseModel):
        """Names of the columns, and what separates them."""

        model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

        video: str = "video"
        """The column with the video's path or id."""
        start: str = "start"
        """The column with the action's start, in seconds."""
        end: str = "end"
        """The column with its end, in seconds."""
        label: str = "label"
        """The column with the name of its class."""
        delimiter: str = Field(",", min_length=1, max_length=1)
        """What stands between two columns."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def read(self, path: Path) -> list[Annotation]:
        config = self._config
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, delimiter=config.delimiter, restval="")
            try:
                self._check_header(rows.fieldnames or [], path)
                return [
                    Annotation(
                        video=row[config.video].strip(),
                        start=_seconds(row[config.start], config.start, rows.line_num, path),
                        end=_seconds(row[config.end], config.end, rows.line_num, path),
                        label=row[config.label].strip(),
                        place=f"line {rows.line_num}",
                    )
                    for row in rows
                ]
            except (UnicodeDecodeError, csv.Error) as error:
                raise ProlepsisError(
                    f"The annotations are not a CSV in UTF-8: {error}.",
                    where=path,
                    remedy="Save them as UTF-8 text.",
                ) from error

    def _check_header(self, names: Sequence[str], path: Path) -> None:
        wanted = [self._config.video, self._config.start, self._config.end, self._config.label]
        missing = [name for name in wanted if name not in names]
        if missing:
            raise ProlepsisError(
                f"There is no column {', '.join(missing)}; the columns are: {', '.join(names) or 'none'}.",
                where=f"{path}, line 1",
                remedy="Name the columns in the first line, or give their names: "
                "video_ingestion.annotations.config.",
            )


class ActivityNetReader:
    """The JSON of ActivityNet and of the THUMOS'14 files in its form.

    `{"database": {video: {"annotations": [{"segment": [start, end], "label": …}, …], …}, …}}`, in seconds.
    Other keys, the subset among them, are passed over: the folder of a video says its split.
    """

    class Config(BaseModel):
        """What the file leaves out."""

        model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

        video_prefix: str = ""
        """Put before each video's name: `v_` for ActivityNet, whose files have it and whose JSON has not."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def read(self, path: Path) -> list[Annotation]:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise _wrong_json(f"is not JSON: {error}", path) from error
        database = content.get("database") if isinstance(content, dict) else None
        if not isinstance(database, dict):
            raise _wrong_json('has no object "database"', path)
        annotations = []
        for video, entry in database.items():
            listed = entry.get("annotations") if isinstance(entry, dict) else None
            if not isinstance(listed, list):
                raise _wrong_json(f'has no list "annotations" for the video {video!r}', path)
            for number, item in enumerate(listed):
                annotations.append(self._annotation(video, number, item, path))
        return annotations

    def _annotation(self, video: str, number: int, item: Any, path: Path) -> Annotation:
        place = f"database.{video}.annotations[{number}]"
        match item:
            case {"segment": [int() | float() as start, int() | float() as end], "label": str() as label}:
                return Annotation(
                    self._config.video_prefix + video, float(start), float(end), label.strip(), place
                )
        raise _wrong_json(f'has no "segment": [start, end] with a "label" at {place}', path)


@dataclass(frozen=True)
class Checked:
    """Annotations that may be trusted, under the ids of their videos, in order of video and time.

    `left_out` counts those of videos that were set aside or, where that is allowed, unknown.
    """

    annotations: list[Annotation]
    left_out: int


def video_id(path: str) -> str:
    """A video's name: its path without a leading train, val or test and without the suffix."""
    parts = PurePosixPath(path).with_suffix("").parts
    return "/".join(parts[1:] if len(parts) > 1 and parts[0] in SPLITS else parts)


def check_annotations(
    annotations: Iterable[Annotation],
    *,
    durations: Mapping[str, float],
    set_aside: Iterable[str],
    tolerance: float,
    classes: Sequence[str] | None,
    leave_out_unknown_videos: bool,
    where: Path,
) -> Checked:
    """Checks every annotation and returns them sorted; what is wrong is told in one message.

    Args:
        durations: seconds, of every known video.
        set_aside: ids of videos that cannot be read; their annotations are left out.
        tolerance: seconds by which an end may lie beyond the end of its video.
        classes: the labels there may be; None allows all but "background".
        where: the file, for the message.

    Raises:
        ProlepsisError: an unknown video or label, a time that is negative, not a number or beyond the end, an
            end that is not after its start, or the same annotation twice.
    """
    aside = set(set_aside)
    kept: list[Annotation] = []
    problems: list[str] = []
    first_place: dict[tuple[str, float, float, str], str] = {}
    left_out = 0
    for given in annotations:
        annotation = _with_known_video(given, durations, aside)
        known = annotation.video in durations
        if annotation.video in aside or (not known and leave_out_unknown_videos):
            left_out += 1
            continue
        found = [] if known else [_unknown(annotation.video, "video", list(durations))]
        found += _label_problems(annotation, classes)
        found += _time_problems(annotation, durations.get(annotation.video, math.inf), tolerance)
        key = (annotation.video, annotation.start, annotation.end, annotation.label)
        if key in first_place:
            found.append(f"the same annotation is given at {first_place[key]}")
        first_place.setdefault(key, annotation.place)
        problems += [f"{annotation.place}: {problem}" for problem in found]
        kept.append(annotation)
    if problems:
        shown = "\n".join(f"    {problem}" for problem in problems[:_MOST_SHOWN])
        more = f"\n    and {len(problems) - _MOST_SHOWN} more" if len(problems) > _MOST_SHOWN else ""
        raise ProlepsisError(
            f"{len(problems)} of the annotations' values are wrong:\n{shown}{more}",
            where=where,
            remedy="Mend these places in the file. Times are in seconds from the first frame.",
        )
    kept.sort(key=lambda annotation: (annotation.video, annotation.start, annotation.end, annotation.label))
    return Checked(kept, left_out)


def _with_known_video(annotation: Annotation, durations: Mapping[str, float], aside: set[str]) -> Annotation:
    """The annotation under its video's id, also where the file names the video by its path."""
    if annotation.video in durations or annotation.video in aside or not _has_name(annotation):
        return annotation
    named = video_id(annotation.video)
    if named not in durations and named not in aside:
        return annotation
    return Annotation(named, annotation.start, annotation.end, annotation.label, annotation.place)


def _has_name(annotation: Annotation) -> bool:
    return bool(PurePosixPath(annotation.video).name)


def _label_problems(annotation: Annotation, classes: Sequence[str] | None) -> list[str]:
    if not annotation.label:
        return ["there is no label"]
    if annotation.label == BACKGROUND:
        return [f"the label {BACKGROUND!r} is not annotated: it is what no annotation covers"]
    if classes is not None and annotation.label not in classes:
        return [_unknown(annotation.label, "class", classes)]
    return []


def _time_problems(annotation: Annotation, duration: float, tolerance: float) -> list[str]:
    start, end = annotation.start, annotation.end
    if not (math.isfinite(start) and math.isfinite(end)):
        return [f"{start} to {end} are not times"]
    problems = []
    if start < 0:
        problems.append(f"the start {start:g} s is negative")
    if end <= start:
        problems.append(f"the end {end:g} s is not after the start {start:g} s")
    if end > duration + tolerance:
        problems.append(
            f"the end {end:g} s is beyond the end of the video {annotation.video!r} at {duration:.2f} s"
        )
    return problems


def _unknown(name: str, kind: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"there is no {kind} {name!r}{hint}"


def _seconds(text: str, column: str, line: int, path: Path) -> float:
    try:
        return float(text)
    except ValueError:
        raise ProlepsisError(
            f"The {column} {text!r} is not a number of seconds.",
            where=f"{path}, line {line}",
            remedy="Give times in seconds, with a point: 12.5.",
        ) from None


def _wrong_json(problem: str, path: Path) -> ProlepsisError:
    return ProlepsisError(
        f"The annotation file {problem}.",
        where=path,
        remedy='Its form is {"database": {video: {"annotations": [{"segment": [start, end], "label": …}]}}}.',
    )
