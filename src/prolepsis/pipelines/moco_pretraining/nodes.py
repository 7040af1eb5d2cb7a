"""The nodes of pretraining on frames."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from prolepsis.errors import ProlepsisError
from prolepsis.pipelines.moco_pretraining.params import EvaluationParams, MocoPretrainingParams

_SPLITS = ("train", "val", "test")


def collect_frames(raw_videos: Path, video_manifest: pl.DataFrame, parameters: MocoPretrainingParams) -> Any:
    """The frame at each step's centre of all videos, as a stream that decodes while it is saved."""
    from prolepsis.video.frame_images import FilmedVideo, FrameImageStream
    from prolepsis.video.rates import check_rate

    check_rate(video_manifest, parameters.frames.rate)
    columns = video_manifest.select("video", "split", "path", "num_steps", "sha256", "fps")
    return FrameImageStream(
        videos=[
            FilmedVideo(video, split, raw_videos / path, num_steps, sha256, fps)
            for video, split, path, num_steps, sha256, fps in columns.iter_rows()
        ],
        rate=parameters.frames.rate,
        size=parameters.frames.size,
        decoder_threads=parameters.frames.decoder_threads,
    )


def pretrain_moco(frame_images: Any, parameters: MocoPretrainingParams) -> tuple[Any, list[dict[str, float]]]:
    """The backbone of the epoch that val likes best (a `SavedModel`), and a row of figures per epoch."""
    from prolepsis.video.moco.pretraining import pretrain

    model, result = pretrain(
        frame_images, parameters.model, parameters.training, num_workers=parameters.num_workers
    )
    return model, result.history


def evaluate_moco(
    moco_model: Any, frame_images: Any, frame_labels: pl.DataFrame, parameters: MocoPretrainingParams
) -> dict[str, Any]:
    """Nearest neighbours and linear classifiers on frozen features, of the backbone as trained and untrained.

    Returns:
        mean average precisions by probe, split and network; `chance`, what random scores have; and how many
        frames each split has.
    """
    from prolepsis.training.device import resolve_device, resolve_precision
    from prolepsis.video.moco.backbones import load_encoder
    from prolepsis.video.moco.evaluation import encode_frames

    device = resolve_device(parameters.training.device)
    results = {}
    for network in ("untrained", "trained"):
        features = encode_frames(
            load_encoder(moco_model, trained=network == "trained"),
            frame_images,
            batch_size=parameters.evaluation.batch_size,
            device=device,
            precision=resolve_precision(parameters.training.precision, device),
        )
        splits = {split: _labelled_frames(features, frame_labels, split) for split in _SPLITS}
        results[network] = _probe(_with_frames(splits), parameters.evaluation)
    scored = [split for split in _SPLITS if split != "train" and len(splits[split].labels)]
    metrics: dict[str, Any] = {
        probe: {split: {network: results[network][probe][split] for network in results} for split in scored}
        for probe in ("knn", "linear")
    }
    metrics["inverse_penalty"] = {network: results[network]["inverse_penalty"] for network in results}
    metrics["chance"] = {split: _chance(splits[split].labels) for split in scored}
    metrics["frames"] = {split: len(splits[split].labels) for split in splits}
    metrics["best_epoch"] = moco_model.metadata["best_epoch"]
    metrics["validation"] = moco_model.metadata["validation"]
    return metrics


def draw_moco(moco_curves: list[dict[str, float]], moco_metrics: dict[str, Any]) -> Any:
    """How the loss fell, and what the features are worth."""
    from prolepsis.video.moco.pictures import draw_pretraining

    return draw_pretraining(moco_curves, moco_metrics)


def _labelled_frames(features: dict[str, Any], frame_labels: pl.DataFrame, split: str) -> Any:
    """The frames of a split that count, those of all videos one after another."""
    from prolepsis.action.tables import labelled_videos
    from prolepsis.video.moco.evaluation import LabelledFrames

    videos = labelled_videos(frame_labels, features, split)
    if not videos:
        return LabelledFrames(np.zeros((0, 0), np.float32), np.zeros((0, 0), np.bool_))
    return LabelledFrames(
        np.concatenate([video.features[~video.ignore] for video in videos]).astype(np.float32),
        np.concatenate([video.labels[~video.ignore] for video in videos]) > 0,
    )


def _with_frames(splits: dict[str, Any]) -> dict[str, Any]:
    """The splits that have frames: train and val, and test where there is one."""
    for split in ("train", "val"):
        if len(splits[split].labels) == 0:
            raise ProlepsisError(
                f"There is no labelled frame in the split {split!r}.",
                where="frame_labels",
                remedy="put videos with annotations into that split, or leave the evaluation out: "
                "kedro run --pipelines moco_pretraining --to-nodes pretrain_moco",
            )
    return {split: frames for split, frames in splits.items() if len(frames.labels)}


def _probe(splits: dict[str, Any], parameters: EvaluationParams) -> dict[str, Any]:
    from prolepsis.action.evaluation.frames import BACKGROUND, evaluate_frames
    from prolepsis.video.moco.evaluation import knn_scores, linear_probe

    classes = [number for number in range(splits["train"].labels.shape[1]) if number != BACKGROUND]
    linear = linear_probe(
        splits,
        parameters.inverse_penalties,
        classes,
        lambda labels, scores: evaluate_frames(labels, scores).mean_average_precision,
    )
    scores = {
        "linear": linear.scores,
        "knn": {
            split: knn_scores(
                splits["train"],
                frames.features,
                neighbours=parameters.neighbours,
                temperature=parameters.neighbour_temperature,
            )
            for split, frames in splits.items()
            if split != "train"
        },
    }
    measured: dict[str, Any] = {
        probe: {split: _precisions(splits[split].labels, one) for split, one in of_splits.items()}
        for probe, of_splits in scores.items()
    }
    return measured | {"inverse_penalty": linear.inverse_penalty}


def _precisions(labels: Any, scores: Any) -> dict[str, float]:
    from prolepsis.action.evaluation.frames import evaluate_frames

    evaluation = evaluate_frames(labels, scores)
    return {
        "mean_average_precision": evaluation.mean_average_precision,
        "calibrated_mean_average_precision": evaluation.mean_calibrated_average_precision,
    }


def _chance(labels: Any) -> float:
    """The mAP of random scores: the mean share of positives, of the classes that have any."""
    from prolepsis.action.evaluation.frames import BACKGROUND

    shares = np.delete(labels.mean(axis=0), BACKGROUND)
    return float(shares[shares > 0].mean()) if shares.any() else 0.0
