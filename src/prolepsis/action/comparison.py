"""Several detectors measured on the same videos, as tables and figures, each against a baseline detector."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from prolepsis.action.evaluation.frames import FrameEvaluation
from prolepsis.action.evaluation.videos import (
    AnticipationResult,
    Protocol,
    ScoredVideo,
    evaluate_accuracy,
    evaluate_anticipation,
    evaluate_detection,
    evaluate_persistence,
    mean_ahead,
)
from prolepsis.errors import ProlepsisError

PER_CLASS_SCHEMA = pl.Schema(
    {
        "detector": pl.String,
        "split": pl.String,
        "class_index": pl.Int32,
        "class_name": pl.String,
        "num_positives": pl.Int64,
        "average_precision": pl.Float64,
        "calibrated_average_precision": pl.Float64,
        "gain": pl.Float64,
        "calibrated_gain": pl.Float64,
    }
)
ANTICIPATION_SCHEMA = pl.Schema(
    {
        "detector": pl.String,
        "split": pl.String,
        "step": pl.Int32,
        "seconds": pl.Float64,
        "num_frames": pl.Int64,
        "mean_average_precision": pl.Float64,
        "calibrated_mean_average_precision": pl.Float64,
        "persistence_mean_average_precision": pl.Float64,
        "baseline_mean_average_precision": pl.Float64,
    }
)


@dataclass(frozen=True)
class Measured:
    """What one detector reached on one split.

    `baseline_ahead` has, for each step of `anticipation`, what the baseline's present scores reach as the
    forecast.
    """

    detector: str
    split: str
    detection: FrameEvaluation
    frame_accuracy: float
    anticipation: list[AnticipationResult]
    baseline_ahead: list[FrameEvaluation]


def measure(
    detector: str,
    split: str,
    videos: Sequence[ScoredVideo],
    protocol: Protocol,
    baseline: Sequence[ScoredVideo],
) -> Measured:
    """Measures the scores of one split; `baseline` are the same videos as the baseline detector scored them.

    Raises:
        ProlepsisError: no frame that counts shows an action.
    """
    detection = evaluate_detection(videos, protocol)
    if not detection.classes:
        raise ProlepsisError(
            f"No frame of the split {split!r} that counts shows an action; there is no precision to measure.",
            where="frame_labels",
            remedy="check the annotations, or move videos with actions into that split",
        )
    anticipation = evaluate_anticipation(videos, protocol)
    return Measured(
        detector,
        split,
        detection,
        evaluate_accuracy(videos, protocol),
        anticipation,
        [evaluate_persistence(baseline, result.step, protocol) for result in anticipation],
    )


def metrics(measured: Sequence[Measured], baseline: str) -> dict[str, dict[str, dict[str, float]]]:
    """The figures by detector and split, each with its gain over the baseline.

    Those of anticipation are there only where a detector looks ahead and some step ahead shows an action;
    they are means over the steps ahead, and the baseline's are of its present scores as the forecast.
    """
    floors = {one.split: one for one in measured if one.detector == baseline}
    result: dict[str, dict[str, dict[str, float]]] = {}
    for one in measured:
        figures = {
            "mean_average_precision": one.detection.mean_average_precision,
            "calibrated_mean_average_precision": one.detection.mean_calibrated_average_precision,
            "frame_accuracy": one.frame_accuracy,
            "num_frames": one.detection.num_frames,
            "num_classes": len(one.detection.classes),
        }
        if one.detector != baseline:
            floor = floors[one.split]
            gain = f"gain_over_{baseline}"
            figures[gain] = one.detection.mean_average_precision - floor.detection.mean_average_precision
            figures[f"calibrated_{gain}"] = (
                one.detection.mean_calibrated_average_precision
                - floor.detection.mean_calibrated_average_precision
            )
            figures[f"frame_accuracy_{gain}"] = one.frame_accuracy - floor.frame_accuracy
        figures |= _anticipation_metrics(one, baseline)
        result.setdefault(one.detector, {})[one.split] = figures
    return result


def per_class_table(measured: Sequence[Measured], class_names: Sequence[str], baseline: str) -> pl.DataFrame:
    """A row per detector, split and class; classes without a positive frame have nulls and zero positives."""
    floors = {one.split: _by_class(one.detection) for one in measured if one.detector == baseline}
    rows: list[dict[str, Any]] = []
    for one in measured:
        results = _by_class(one.detection)
        for index in sorted([*results, *one.detection.skipped]):
            row = {"detector": one.detector, "split": one.split, "class_index": index}
            row |= {"class_name": class_names[index], "num_positives": 0}
            if index in results:
                found = results[index]
                row["num_positives"] = found.num_positives
                row["average_precision"] = found.average_precision
                row["calibrated_average_precision"] = found.calibrated_average_precision
                floor = floors[one.split][index]
                row["gain"] = found.average_precision - floor.average_precision
                row["calibrated_gain"] = (
                    found.calibrated_average_precision - floor.calibrated_average_precision
                )
            rows.append(row)
    return pl.DataFrame(rows, schema=PER_CLASS_SCHEMA)


def anticipation_table(measured: Sequence[Measured], rate: float) -> pl.DataFrame:
    """A row per detector that looks ahead, split and step; `rate` is the number of steps per second.

    `persistence_...` is what the detector's present scores reach as the forecast: to beat it is to
    anticipate. `baseline_...` is what the baseline's present scores reach as the forecast.
    """
    rows = [
        {
            "detector": one.detector,
            "split": one.split,
            "step": result.step,
            "seconds": result.step / rate,
            "num_frames": result.evaluation.num_frames,
            "mean_average_precision": _known(result.evaluation.mean_average_precision),
            "calibrated_mean_average_precision": _known(result.evaluation.mean_calibrated_average_precision),
            "persistence_mean_average_precision": _known(result.persistence.mean_average_precision),
            "baseline_mean_average_precision": _known(floor.mean_average_precision),
        }
        for one in measured
        for result, floor in zip(one.anticipation, one.baseline_ahead, strict=True)
    ]
    return pl.DataFrame(rows, schema=ANTICIPATION_SCHEMA)


def _anticipation_metrics(one: Measured, baseline: str) -> dict[str, float]:
    reached = mean_ahead(result.evaluation for result in one.anticipation)
    floor = mean_ahead(one.baseline_ahead)
    if reached is None or floor is None:
        return {}
    return {
        "anticipation_mean_average_precision": reached,
        "anticipation_baseline_mean_average_precision": floor,
        f"anticipation_gain_over_{baseline}": reached - floor,
    }


def _by_class(evaluation: FrameEvaluation) -> Mapping[int, Any]:
    return {one.class_index: one for one in evaluation.classes}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
