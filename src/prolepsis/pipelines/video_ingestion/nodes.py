"""The nodes of video ingestion."""

import difflib
import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from prolepsis.errors import ProlepsisError
from prolepsis.pipelines.video_ingestion.params import VideoIngestionParams
from prolepsis.video.annotations import (
    SPLITS,
    Annotation,
    AnnotationReader,
    Leniency,
    StatesDurations,
    check_annotations,
    differing_durations,
    video_id,
)
from prolepsis.video.labels import (
    BACKGROUND,
    IGNORED,
    ActionInstance,
    num_labelled_steps,
    rasterise,
    step_times,
)
from prolepsis.video.manifest import build_manifest

_logger = logging.getLogger(__name__)
_MOST_SHOWN = 5


def build_video_manifest(
    raw_videos: Path, parameters: VideoIngestionParams
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Every readable video and what it is, and those that were set aside with the reason."""
    return build_manifest(
        raw_videos,
        rate=parameters.rate,
        split_shares=parameters.split_shares.model_dump(),
        val_share=parameters.val_share,
        seed=parameters.seed,
        max_bad_share=parameters.max_bad_share,
        image_folder_rate=parameters.image_folder_rate,
    )


def read_annotations(
    raw_annotations: Path,
    video_manifest: pl.DataFrame,
    set_aside_videos: pl.DataFrame,
    parameters: VideoIngestionParams,
) -> tuple[pl.DataFrame, list[str]]:
    """The checked action instances of the readable videos, and the names of the classes."""
    reader = parameters.annotations.load()(parameters.annotations.configuration())
    read = reader.read(raw_annotations)
    _check_ignored({annotation.label for annotation in read}, parameters, raw_annotations)
    _warn_of_durations(reader, raw_annotations, video_manifest, parameters.rate)
    allowed = None if parameters.classes is None else [*parameters.classes, *parameters.ignored_classes]
    checked = check_annotations(
        read,
        durations=dict(video_manifest.select("video", "duration").iter_rows()),
        set_aside=[video_id(path) for path in set_aside_videos["path"]],
        tolerance=0.5 / parameters.rate,
        classes=allowed,
        where=raw_annotations,
        leniency=Leniency(
            leave_out_unknown_videos=parameters.unknown_videos == "leave_out",
            leave_out_duplicates=parameters.duplicates == "leave_out",
            clip_ends=parameters.ends_beyond_video == "clip",
            allow_overlaps=parameters.overlaps_of_one_class == "allow",
        ),
    )
    if checked.left_out:
        _logger.warning(
            "%d annotations of videos that are not used, beyond their ends, or given twice, are left out",
            checked.left_out,
        )
    classes = _classes(checked.annotations, parameters)
    if all(annotation.label in parameters.ignored_classes for annotation in checked.annotations):
        left_out = f" Of {len(read)} annotations, {checked.left_out} are left out." if read else ""
        raise ProlepsisError(
            f"Not one action is annotated.{left_out}",
            where=raw_annotations,
            remedy="Annotate at least one action of one class in a readable video.",
        )
    instances = _instances(checked.annotations, video_manifest, classes, parameters)
    _warn_of_actions_without_step(instances, parameters)
    return instances, [BACKGROUND, *classes]


def rasterise_labels(
    video_manifest: pl.DataFrame,
    action_instances: pl.DataFrame,
    class_names: list[str],
    parameters: VideoIngestionParams,
) -> pl.DataFrame:
    """The labels of every step of every video, by the rule that the parameters name."""
    instances: dict[str, list[ActionInstance]] = {}
    columns = action_instances.select("video", "start", "end", "class_index")
    for video, start, end, class_index in columns.iter_rows():
        instances.setdefault(video, []).append(ActionInstance(start, end, class_index))
    frames = []
    for video, split, steps, frames_per_second in video_manifest.select(
        "video", "split", "num_steps", "fps"
    ).iter_rows():
        labels = rasterise(
            instances.get(video, []),
            steps=steps,
            rate=parameters.rate,
            num_classes=len(class_names),
            frames_per_second=frames_per_second,
            rule=parameters.rule,
        )
        frames.append(
            pl.DataFrame(
                {
                    "video": [video] * steps,
                    "split": [split] * steps,
                    "step": np.arange(steps, dtype=np.int32),
                    "time": step_times(steps, parameters.rate),
                    "labels": pl.Series(labels.labels).arr.to_list(),
                    "ignore": labels.ignore,
                    "rule": [parameters.rule] * steps,
                }
            )
        )
    return pl.concat(frames)


def measure_videos(
    video_manifest: pl.DataFrame,
    set_aside_videos: pl.DataFrame,
    action_instances: pl.DataFrame,
    frame_labels: pl.DataFrame,
    class_names: list[str],
) -> dict[str, Any]:
    """How much there is of what, in each split."""
    splits = {}
    for split in SPLITS:
        videos = video_manifest.filter(pl.col("split") == split)
        counts = action_instances.filter(pl.col("split") == split)["label"].value_counts()
        by_label = dict(counts.iter_rows())
        steps = frame_labels.filter(pl.col("split") == split)
        background = steps["labels"].list.first().sum()
        splits[split] = {
            "videos": videos.height,
            "seconds": round(float(videos["duration"].sum()), 3),
            "steps": steps.height,
            "ignored_steps": int(steps["ignore"].sum()),
            "background_share": round(background / steps.height, 4) if steps.height else 0.0,
            "instances": {name: by_label.get(name, 0) for name in class_names[1:]},
        }
    return {
        "set_aside": set_aside_videos.height,
        "classes": len(class_names) - 1,
        "actions_without_step": _without_step(action_instances).height,
        "splits": splits,
    }


def _check_ignored(labels: Collection[str], parameters: VideoIngestionParams, where: Path) -> None:
    """Refuses ignored classes that never occur. Where classes are given, none is learnt by a slip: a warning.

    Raises:
        ProlepsisError: one never occurs, and all other labels would be learnt.
    """
    absent = [name for name in parameters.ignored_classes if name not in labels]
    if not absent:
        return
    if parameters.classes is not None:
        _logger.warning("no annotation has the ignored class %s", ", ".join(absent))
        return
    near = difflib.get_close_matches(absent[0], labels, n=1, cutoff=0.5)
    raise ProlepsisError(
        f"No annotation has the ignored class {absent[0]!r}"
        + (f"; did you mean {near[0]!r}?" if near else "."),
        where=where,
        remedy="Mend its name or remove it: video_ingestion.ignored_classes.",
    )


def _warn_of_durations(
    reader: AnnotationReader, raw_annotations: Path, video_manifest: pl.DataFrame, rate: float
) -> None:
    if not isinstance(reader, StatesDurations):
        return
    durations = dict(video_manifest.select("video", "duration").iter_rows())
    differing = differing_durations(reader.durations(raw_annotations), durations, tolerance=1 / rate)
    if differing:
        _logger.warning(
            "%d videos have another length than their annotations; is the rate of these right? %s",
            len(differing),
            "; ".join(differing[:_MOST_SHOWN]),
        )


def _without_step(instances: pl.DataFrame) -> pl.DataFrame:
    return instances.filter(pl.col("num_steps") == 0, pl.col("class_index") != IGNORED)


def _warn_of_actions_without_step(instances: pl.DataFrame, parameters: VideoIngestionParams) -> None:
    without = _without_step(instances)
    if without.is_empty():
        return
    shown = without.head(_MOST_SHOWN).select("label", "start", "video").iter_rows()
    _logger.warning(
        "%d of %d actions label no step at %g steps a second by the rule %r, so that they are neither learnt "
        "nor scored; a higher feature_rate labels more of them: %s",
        without.height,
        instances.height,
        parameters.rate,
        parameters.rule,
        "; ".join(f"{label} at {start:g} s of {video}" for label, start, video in shown),
    )


def _classes(annotations: list[Annotation], parameters: VideoIngestionParams) -> list[str]:
    if parameters.classes is not None:
        return list(parameters.classes)
    return sorted({annotation.label for annotation in annotations} - set(parameters.ignored_classes))


def _instances(
    annotations: list[Annotation],
    video_manifest: pl.DataFrame,
    classes: list[str],
    parameters: VideoIngestionParams,
) -> pl.DataFrame:
    videos = {
        video: (split, steps, frames_per_second)
        for video, split, steps, frames_per_second in video_manifest.select(
            "video", "split", "num_steps", "fps"
        ).iter_rows()
    }
    columns = {name: number for number, name in enumerate(classes, start=1)}
    rows = [
        (
            annotation.video,
            videos[annotation.video][0],
            annotation.start,
            annotation.end,
            annotation.label,
            columns.get(annotation.label, IGNORED),
            num_labelled_steps(
                annotation.start,
                annotation.end,
                steps=videos[annotation.video][1],
                rate=parameters.rate,
                frames_per_second=videos[annotation.video][2],
                rule=parameters.rule,
            ),
        )
        for annotation in annotations
    ]
    return pl.DataFrame(
        rows,
        schema={
            "video": pl.String,
            "split": pl.String,
            "start": pl.Float64,
            "end": pl.Float64,
            "label": pl.String,
            "class_index": pl.Int32,
            "num_steps": pl.Int32,
        },
        orient="row",
    )
