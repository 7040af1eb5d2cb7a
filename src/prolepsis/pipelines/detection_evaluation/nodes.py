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
) -> tuple[dict[str, Any], pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Measures the scores of each detector, by its name, on the val and the test split.

    Returns:
        The metrics, the tables of classes and of anticipation (see `prolepsis.action.comparison`), and that
        of segments, starts and stages (see `prolepsis.action.temporal`).
    """
    from prolepsis.action import comparison
    from prolepsis.action.evaluation.videos import PROTOCOLS
    from prolepsis.action.tables import SCORED_SPLITS, scored_videos
    from prolepsis.action.temporal import measure_temporal, temporal_table

    protocol = PROTOCOLS[parameters.protocol]
    present = frame_labels["split"].unique()
    splits = [split for split in SCORED_SPLITS if split in present]
    floors = {split: scored_videos(scores[BASELINE], frame_labels, split) for split in splits}
    measured, temporal = [], []
    for detector, frame in scores.items():
        for split in splits:
            videos = scored_videos(frame, frame_labels, split)
            measured.append(comparison.measure(detector, split, videos, protocol, floors[split]))
            found = measure_temporal(
                videos,
                protocol,
                rate=parameters.rate,
                rule=parameters.segments.rule(parameters.rate),
                tiou_thresholds=parameters.tiou_thresholds,
                start_offsets=parameters.start_offsets,
                ambiguous_counts=parameters.ambiguous_segments == "counted",
            )
            temporal.append((detector, split, found))
    metrics = comparison.metrics(measured, BASELINE)
    for detector, split, found in temporal:
        metrics[detector][split] |= found.figures()
    return (
        metrics,
        comparison.per_class_table(measured, class_names, BASELINE),
        comparison.anticipation_table(measured, parameters.rate),
        temporal_table(temporal),
    )


def draw_detection_picture(
    detection_metrics: dict[str, Any], per_class_table: pl.DataFrame, anticipation_table: pl.DataFrame
) -> Any:
    """Draws the test split, or the val split where there are no test videos; returns a matplotlib figure."""
    from prolepsis.action.pictures import detection_picture

    splits = next(iter(detection_metrics.values()))
    split = "test" if "test" in splits else "val"
    return detection_picture(detection_metrics, per_class_table, anticipation_table, split)
