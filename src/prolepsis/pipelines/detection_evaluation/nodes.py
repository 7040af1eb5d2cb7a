"""Measure what every detector said, and draw it."""

from typing import Any

import polars as pl

from prolepsis.pipelines.detection_evaluation.params import DetectionEvaluationParams
from prolepsis.variants import BASELINE


def evaluate_detectors(
    frame_labels: pl.DataFrame,
    class_names: list[str],
    parameters: DetectionEvaluationParams,
    **scores: pl.LazyFrame,
) -> tuple[dict[str, Any], pl.DataFrame, pl.DataFrame]:
    """Measures the scores of each detector, by its name, on the val and the test split.

    Returns:
        The metrics, the table of classes and the table of anticipation (see `prolepsis.action.comparison`).
    """
    from prolepsis.action import comparison
    from prolepsis.action.evaluation.videos import Protocol
    from prolepsis.action.tables import SCORED_SPLITS, scored_videos

    protocol = Protocol(parameters.skip_first, parameters.skip_last)
    present = frame_labels["split"].unique()
    splits = [split for split in SCORED_SPLITS if split in present]
    floors = {split: scored_videos(scores[BASELINE], frame_labels, split) for split in splits}
    measured = [
        comparison.measure(
            detector, split, scored_videos(frame, frame_labels, split), protocol, floors[split]
        )
        for detector, frame in scores.items()
        for split in splits
    ]
    return (
        comparison.metrics(measured, BASELINE),
        comparison.per_class_table(measured, class_names, BASELINE),
        comparison.anticipation_table(measured, parameters.rate),
    )


def draw_detection_picture(
    detection_metrics: dict[str, Any], per_class_table: pl.DataFrame, anticipation_table: pl.DataFrame
) -> Any:
    """Draws the test split, or the val split where there are no test videos; returns a matplotlib figure."""
    from prolepsis.action.pictures import detection_picture

    splits = next(iter(detection_metrics.values()))
    split = "test" if "test" in splits else "val"
    return detection_picture(detection_metrics, per_class_table, anticipation_table, split)
