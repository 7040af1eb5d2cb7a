import numpy as np
import polars as pl
import pytest

from prolepsis.action.scoring import VideoScores
from prolepsis.action.tables import score_frames
from prolepsis.pipelines.detection_evaluation.nodes import draw_detection_picture, evaluate_detectors
from prolepsis.pipelines.detection_evaluation.params import DetectionEvaluationParams
from prolepsis.variants import BASELINE, VARIANTS

CLASS_NAMES = ["background", "run", "jump"]


def frame_labels(splits: tuple[str, ...] = ("train", "val", "test")) -> pl.DataFrame:
    steps = 30
    return pl.concat(
        pl.DataFrame(
            {
                "video": [f"{split} video"] * steps,
                "split": [split] * steps,
                "step": np.arange(steps, dtype=np.int32),
                "time": (np.arange(steps) + 0.5) / 5,
                "labels": pl.Series(np.eye(3, dtype=np.uint8)[np.arange(steps) % 3]).cast(pl.List(pl.UInt8)),
                "ignore": np.arange(steps) < 3,
            }
        )
        for split in splits
    )


def scores(labels: pl.DataFrame, skill: float) -> pl.LazyFrame:
    random = np.random.default_rng(0)
    rows = labels.filter(pl.col("split") != "train")
    videos = []
    for video in rows["video"].unique(maintain_order=True):
        truth = np.array(rows.filter(pl.col("video") == video)["labels"].to_list())
        videos.append(
            VideoScores(video, (random.random(truth.shape) + skill * truth).astype(np.float32), None)
        )
    return pl.concat(score_frames(videos, rows)).lazy()


def parameters(**changes: object) -> DetectionEvaluationParams:
    return DetectionEvaluationParams.model_validate({"rate": 5.0} | changes)


def test_a_perfect_detector_reaches_one_on_val_and_test() -> None:
    labels = frame_labels()
    metrics, table, ahead = evaluate_detectors(
        labels, CLASS_NAMES, parameters(), frame_only=scores(labels, 0.2), rnn=scores(labels, 2.0)
    )
    for split in ("val", "test"):
        assert metrics["rnn"][split]["mean_average_precision"] == 1.0
        floor = metrics["frame_only"][split]["mean_average_precision"]
        assert metrics["rnn"][split]["gain_over_frame_only"] == pytest.approx(1 - floor)
        assert metrics["rnn"][split]["num_frames"] == 27
    assert set(table["split"]) == {"val", "test"}
    assert ahead.is_empty()


def test_a_protocol_scores_fewer_frames() -> None:
    labels = frame_labels()
    metrics, _, _ = evaluate_detectors(
        labels, CLASS_NAMES, parameters(skip_first=10, skip_last=4), frame_only=scores(labels, 0.2)
    )
    assert metrics["frame_only"]["test"]["num_frames"] == 16


def test_without_test_videos_the_val_split_is_measured_and_drawn() -> None:
    labels = frame_labels(("train", "val"))
    metrics, table, ahead = evaluate_detectors(
        labels, CLASS_NAMES, parameters(), frame_only=scores(labels, 0.2)
    )
    assert metrics["frame_only"].keys() == {"val"}
    figure = draw_detection_picture(metrics, table, ahead)
    assert "val" in figure.get_suptitle()


def test_the_baseline_is_one_of_the_detectors() -> None:
    assert BASELINE in VARIANTS["action_detection"]
