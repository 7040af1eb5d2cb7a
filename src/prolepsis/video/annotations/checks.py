"""Checks of annotations, the same for all formats."""

import difflib
import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prolepsis.errors import ProlepsisError
from prolepsis.video.annotations.base import Annotation, video_id
from prolepsis.video.labels import BACKGROUND

_MOST_SHOWN = 5
_SAME_LENGTH = 0.01  # what frame rates and the last frame's end are rounded by


@dataclass(frozen=True)
class Checked:
    """Annotations that may be trusted, under the ids of their videos, in order of video and time.

    `left_out` counts those of videos that were set aside and, where that is allowed, of unknown videos, those
    beyond the end of their video, and doubles.
    """

    annotations: list[Annotation]
    left_out: int


@dataclass(frozen=True)
class Leniency:
    """What is on purpose in some data sets and a mistake in others.

    Attributes:
        clip_ends: that lie beyond the end of the video, to it; what begins beyond it is left out.
        allow_overlaps: of actions of one class in one video, by more than the tolerance.
    """

    leave_out_unknown_videos: bool = False
    leave_out_duplicates: bool = False
    clip_ends: bool = False
    allow_overlaps: bool = False


_STRICT = Leniency()


def check_annotations(
    annotations: Iterable[Annotation],
    *,
    durations: Mapping[str, float],
    set_aside: Iterable[str],
    tolerance: float,
    classes: Sequence[str] | None,
    where: Path,
    leniency: Leniency = _STRICT,
) -> Checked:
    """Checks every annotation and returns them sorted; what is wrong is told in one message.

    Args:
        durations: seconds, of every known video.
        set_aside: ids of videos that cannot be read; their annotations are left out.
        tolerance: seconds by which an end may lie beyond the end of its video.
        classes: the labels there may be; None allows all but "background".
        where: the file, for the message.
        leniency: what is let pass.

    Raises:
        ProlepsisError: an unknown video or label, a time that is negative, not a number or beyond the end, an
            end that is not after its start, the same annotation twice, or two of one class that overlap.
    """
    aside = set(set_aside)
    kept: list[Annotation] = []
    sound: list[Annotation] = []
    problems: list[str] = []
    first_place: dict[tuple[str, float, float, str], str] = {}
    left_out = 0
    for given in annotations:
        annotation = replace(given, video=_known_name(given.video, durations, aside))
        known = annotation.video in durations
        if annotation.video in aside or (not known and leniency.leave_out_unknown_videos):
            left_out += 1
            continue
        if leniency.clip_ends and known:
            if annotation.start >= durations[annotation.video]:
                left_out += 1
                continue
            annotation = replace(annotation, end=min(annotation.end, durations[annotation.video]))
        found = [] if known else [_unknown(annotation.video, "video", list(durations))]
        found += _label_problems(annotation, classes)
        found += _time_problems(annotation, durations.get(annotation.video, math.inf), tolerance)
        key = (annotation.video, annotation.start, annotation.end, annotation.label)
        if key in first_place:
            if leniency.leave_out_duplicates:
                left_out += 1
                continue
            found.append(f"the same annotation is given at {first_place[key]}")
        else:
            first_place[key] = annotation.place
        problems += [f"{annotation.place}: {problem}" for problem in found]
        kept.append(annotation)
        if not found:
            sound.append(annotation)
    if not leniency.allow_overlaps:
        problems += _overlaps(sound, tolerance)
    if problems:
        shown = "\n".join(f"    {problem}" for problem in problems[:_MOST_SHOWN])
        more = f"\n    and {len(problems) - _MOST_SHOWN} more" if len(problems) > _MOST_SHOWN else ""
        raise ProlepsisError(
            f"{len(problems)} of the annotations' values are wrong:\n{shown}{more}",
            where=where,
            remedy="Mend these places in the file; times are in seconds from the first frame. What is there "
            "on purpose can pass: video_ingestion.unknown_videos, duplicates, ends_beyond_video, "
            "overlaps_of_one_class.",
        )
    kept.sort(key=lambda annotation: (annotation.video, annotation.start, annotation.end, annotation.label))
    return Checked(kept, left_out)


def differing_durations(
    stated: Mapping[str, float], durations: Mapping[str, float], *, tolerance: float
) -> list[str]:
    """The videos whose length is not what the annotations say, with both lengths.

    Args:
        stated: seconds, as the annotations have them, of each video by its id or its path.
        durations: seconds, of every known video.
        tolerance: seconds that are no difference; nor is a hundredth of the length.
    """
    differing = []
    for given, seconds in stated.items():
        video = _known_name(given, durations, ())
        if video in durations and abs(seconds - durations[video]) > max(
            tolerance, _SAME_LENGTH * durations[video]
        ):
            differing.append(f"{video} lasts {durations[video]:.2f} s, and is annotated for {seconds:.2f} s")
    return differing


def _known_name(video: str, durations: Mapping[str, float], aside: Container[str]) -> str:
    """The video's id, also where the file names the video by its path; what is unknown stays as it is."""
    if video in durations or video in aside:
        return video
    named = video_id(video)
    return named if named in durations or named in aside else video


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


def _overlaps(annotations: Iterable[Annotation], tolerance: float) -> list[str]:
    """Pairs of one class in one video, the later with the one before it that ends last."""
    problems = []
    latest: dict[tuple[str, str], Annotation] = {}
    for annotation in sorted(annotations, key=lambda one: (one.start, one.end)):
        before = latest.get((annotation.video, annotation.label))
        if before is not None and annotation.start < before.end - tolerance:
            problems.append(
                f"{annotation.place}: {annotation.label!r} begins at {annotation.start:g} s, before the one "
                f"at {before.place} ends, at {before.end:g} s"
            )
        if before is None or annotation.end > before.end:
            latest[annotation.video, annotation.label] = annotation
    return problems


def _unknown(name: str, kind: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"there is no {kind} {name!r}{hint}"
