"""The nodes that take over features and labels."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from prolepsis.pipelines.precomputed_features.params import PrecomputedFeaturesParams, Sessions
from prolepsis.video import precomputed

_DATA_INFO = "data_info.json"
_logger = logging.getLogger(__name__)


def import_features(
    raw_precomputed: Path, parameters: PrecomputedFeaturesParams
) -> tuple[Any, pl.DataFrame, list[str]]:
    """The features as a stream to store, the labels of every step, and the names of the classes."""
    from prolepsis.video.features import FeatureStream, SourceVideo

    description = _description(raw_precomputed, parameters)
    videos = precomputed.find_videos(
        raw_precomputed,
        precomputed.split_sessions(description, parameters.val_share, parameters.seed),
        streams=parameters.streams,
        targets=parameters.targets,
        length_tolerance=parameters.length_tolerance,
        leave_out_missing=parameters.missing_videos == "leave_out",
        keep_maps=parameters.maps == "kept",
    )
    ignored, background = parameters.ignored_classes, parameters.background
    class_names = precomputed.arrange_classes(description.class_names, ignored, background)
    labels = pl.concat(
        precomputed.label_steps(video, description.class_names, ignored, parameters.rate, background)
        for video in videos
    )
    if labels["labels"].list.first().sum() == 0:
        _logger.warning(
            "not one step is background; if one of the classes is the dataset's name for it, say so: "
            "precomputed_features.background (classes: %s)",
            ", ".join(class_names[1:]),
        )

    def encode(due: Sequence[str]) -> Iterator[tuple[str, Any]]:
        wanted = set(due)
        for video in videos:
            if video.video in wanted:
                for rows in video.features():
                    yield video.video, rows

    stream = FeatureStream(
        encoder=precomputed.ENCODER_NAME,
        config={"streams": list(parameters.streams), "maps": parameters.maps},
        weights_sha256="",
        precision="",
        rate=parameters.rate,
        dimension=precomputed.feature_size(videos[0]),
        videos=[SourceVideo(video.video, video.num_steps, video.source_sha256) for video in videos],
        encode=encode,
        dtype=parameters.dtype,
    )
    return stream, labels, class_names


def measure_import(frame_features: Any, frame_labels: pl.DataFrame, class_names: list[str]) -> dict[str, Any]:
    """How much there is of what, in each split."""
    splits = {
        str(split): {
            "videos": rows["video"].n_unique(),
            "steps": rows.height,
            "ignored_steps": int(rows["ignore"].sum()),
            "background_share": round(int(rows["labels"].list.first().sum()) / rows.height, 4),
        }
        for (split,), rows in frame_labels.group_by(["split"], maintain_order=True)
    }
    return {"dimension": frame_features.dimension, "classes": len(class_names) - 1, "splits": splits}


def _description(folder: Path, parameters: PrecomputedFeaturesParams) -> precomputed.Description:
    """What the parameters say, and for what they leave open, the folder's own description."""
    classes, sessions = parameters.classes, parameters.sessions
    if classes is None or sessions is None:
        found = precomputed.read_description(folder / _DATA_INFO, parameters.dataset)
        classes = found.class_names if classes is None else classes
        sessions = Sessions(train=found.train, test=found.test) if sessions is None else sessions
    return precomputed.Description(classes, sessions.train, sessions.test)
