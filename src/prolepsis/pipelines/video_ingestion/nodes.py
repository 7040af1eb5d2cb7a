"""The nodes of video ingestion."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from prolepsis.errors import ProlepsisError
from prolepsis.pipelines.video_ingestion.params import VideoIngestionParams
from prolepsis.video.annotations import SPLITS, Annotation, Leniency, check_annotations, video_id
from prolepsis.video.labels import BACKGROUND, IGNORED, ActionInstance, rasterise, step_times
from prolepsis.video.manifest import build_manifest

_logger = logging.getLogger(__name__)


def build_video_manifest(
    raw_videos: Path, parameters: VideoIngestionParams
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Every readable video and what it is, and those that were set aside with the reason."""
    return build_manifest(
        raw_videos,
        rate=parameters.rate,
        split_shares=parameters.split_shares.model_dump(),
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
    allowed = None if parameters.classes is None else [*parameters.classes, *parameters.ignored_classes]
    checked = check_annotations(
        reader.read(raw_annotations),
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
    if not classes:
        raise ProlepsisError(
            "Not one action is annotated.",
            where=raw_annotations,
            remedy="Annotate at least one action of one class in a readable video.",
        )
    return _instances(checked.annotations, video_manifest, classes), [BACKGROUND, *classes]


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
    return {"set_aside": set_aside_videos.height, "classes": len(class_names) - 1, "splits": splits}


def _classes(annotations: list[Annotation], parameters: VideoIngestionParams) -> list[str]:
    if parameters.classes is not None:
        return list(parameters.classes)
    return sorted({annotation.label for annotation in annotations} - set(parameters.ignored_classes))


def _instances(
    annotations: list[Annotation], video_manifest: pl.DataFrame, classes: list[str]
) -> pl.DataFrame:
    splits = dict(video_manifest.select("video", "split").iter_rows())
    columns = {name: number for number, name in enumerate(classes, start=1)}
    rows = [
        (
            annotation.video,
            splits[annotation.video],
            annotation.start,
            annotation.end,
            annotation.label,
            columns.get(annotation.label, IGNORED),
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
        },
        orient="row",
    )
