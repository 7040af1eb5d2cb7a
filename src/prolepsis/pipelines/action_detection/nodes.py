"""Train a detector, and score the videos that it was not trained on."""

from typing import Any

import polars as pl

from prolepsis.pipelines.action_detection.params import DetectorParams


def train_detector(
    frame_features: Any, frame_labels: pl.DataFrame, class_names: list[str], parameters: DetectorParams
) -> tuple[Any, list[dict[str, float]], dict[str, Any]]:
    """Trains on the train split; the epoch kept is the best one on the val split.

    Returns:
        The model (a `prolepsis.training.saved_model.SavedModel`), which also says how its features were made,
        a row of curves per epoch, and the metrics.
    """
    from prolepsis.action import training
    from prolepsis.action.tables import check_rate, labelled_videos

    check_rate(frame_labels, frame_features.rate)
    specification = training.DetectorSpecification(
        plugin=parameters.plugin,
        config=parameters.configuration(),
        sampling=parameters.sampling,
        standardise=parameters.standardise,
        augmentation=parameters.augmentation,
    )
    model, result = training.train_detector(
        specification,
        labelled_videos(frame_labels, frame_features, "train"),
        labelled_videos(frame_labels, frame_features, "val"),
        class_names,
        parameters.training,
    )
    # Whoever watches with this model makes the same features.
    model.metadata["features"] = frame_features.description
    metrics = {
        "parameters": model.metadata["num_parameters"],
        "steps": result.steps,
        "best_epoch": result.best_epoch,
        "validation": result.best_metrics,
    }
    return model, result.history, metrics


def score_videos(
    frame_features: Any, frame_labels: pl.DataFrame, model: Any, parameters: DetectorParams
) -> Any:
    """Scores the videos of the val and test splits while they are written.

    Returns:
        An iterator over one frame per video.
    """
    from prolepsis.action import scoring, training
    from prolepsis.action.tables import SCORED_SPLITS, check_rate, labelled_videos, score_frames
    from prolepsis.training.device import resolve_device, resolve_precision
    from prolepsis.training.progress import track

    device = resolve_device(parameters.training.device)
    check_rate(frame_labels, frame_features.rate)
    features = {
        video.name: video.features
        for split in SCORED_SPLITS
        for video in labelled_videos(frame_labels, frame_features, split)
    }
    precision = resolve_precision(parameters.training.precision, device)
    scores = scoring.score_videos(training.load_detector(model), features, features, device, precision)
    progress = track(scores, f"Scoring with {parameters.plugin}", len(features), "videos")
    return score_frames(progress, frame_labels)
