"""The two pipelines over made-up features: what they write, and what a user sees go wrong."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from prolepsis.errors import ProlepsisError
from prolepsis.pipelines.action_detection import create_pipeline
from prolepsis.pipelines.action_detection.params import DetectorParams
from prolepsis.variants import VARIANTS
from prolepsis.video.features import FeatureStream, SourceVideo

from support import Project

CLASS_NAMES = ["background", "run", "jump", "fly"]
LENGTHS = {
    "train": {"a": 40, "b": 31, "c": 50},
    "val": {"d": 33, "e": 20},
    "test": {"f": 28, "g": 41},
}
RATE = 6.25
DIMENSION = 6


def labels_of(video: str, steps: int) -> np.ndarray:
    """Runs of five steps of each class in turn, so that every split shows every class."""
    return np.eye(4, dtype=np.uint8)[(np.arange(steps) // 5 + ord(video)) % 4]


def frame_labels() -> pl.DataFrame:
    return pl.concat(
        pl.DataFrame(
            {
                "video": [video] * steps,
                "split": [split] * steps,
                "step": np.arange(steps, dtype=np.int32),
                "time": (np.arange(steps) + 0.5) / RATE,
                "labels": pl.Series(labels_of(video, steps)).cast(pl.List(pl.UInt8)),
                "ignore": np.arange(steps) == 7,
                "rule": ["centre"] * steps,
            }
        )
        for split, videos in LENGTHS.items()
        for video, steps in videos.items()
    )


def feature_stream() -> FeatureStream:
    random = np.random.default_rng(0)
    num_steps = {video: steps for videos in LENGTHS.values() for video, steps in videos.items()}
    mixing = random.normal(size=(4, DIMENSION))
    blocks = [
        (video, labels_of(video, steps) @ mixing + random.normal(0, 0.5, (steps, DIMENSION)))
        for video, steps in num_steps.items()
    ]
    videos = [SourceVideo(video, steps, "") for video, steps in num_steps.items()]
    return FeatureStream("made up", {}, "0" * 64, "float32", RATE, DIMENSION, videos, lambda _: blocks)


@pytest.fixture
def prepared(project: Project) -> Project:
    project.save("frame_features", feature_stream())
    project.save("frame_labels", frame_labels())
    project.save("class_names", CLASS_NAMES)
    return project


def test_every_variant_is_a_namespace_of_two_nodes() -> None:
    nodes = {node.name for node in create_pipeline().nodes}
    assert nodes == {
        f"{variant}.{verb}"
        for variant in VARIANTS["action_detection"]
        for verb in ("train_detector", "score_videos")
    }


def test_all_variants_are_trained_scored_and_compared(prepared: Project) -> None:
    prepared.run("action_detection", "detection_evaluation")

    for variant in VARIANTS["action_detection"]:
        model = prepared.load(f"{variant}.model")
        assert model.metadata["plugin"] == variant
        assert model.metadata["class_names"] == CLASS_NAMES
        described = model.metadata["features"]
        assert (described["encoder"], described["rate"], described["dtype"]) == ("made up", RATE, "float16")
        curves = prepared.load(f"{variant}.training_curves")
        metrics = prepared.load(f"{variant}.training_metrics")
        best = max(row["mean_average_precision"] for row in curves)
        assert metrics["validation"]["mean_average_precision"] == best
        scores = prepared.load(f"{variant}.scores").collect()
        expected = {**LENGTHS["val"], **LENGTHS["test"]}
        assert dict(scores.group_by("video").len().rows()) == expected
        assert np.allclose(scores["scores"].list.sum(), 1, atol=1e-4)
        looks_ahead = variant in ("trn", "oadtr", "testra")
        assert (scores["anticipation"].null_count() == 0) == looks_ahead

    metrics = prepared.load("detection_metrics")
    assert metrics.keys() == set(VARIANTS["action_detection"])
    assert metrics["frame_only"]["test"].keys() == {
        "mean_average_precision",
        "calibrated_mean_average_precision",
        "frame_accuracy",
        "num_frames",
        "num_classes",
        "segment_mean_average_precision",
        "start_mean_average_precision",
        "edit_score",
        "noticed_share",
        "median_delay_seconds",
    }
    assert set(prepared.load("temporal_table")["detector"]) == set(VARIANTS["action_detection"])
    gain = (
        metrics["rnn"]["test"]["mean_average_precision"]
        - metrics["frame_only"]["test"]["mean_average_precision"]
    )
    assert metrics["rnn"]["test"]["gain_over_frame_only"] == pytest.approx(gain)
    assert "anticipation_gain_over_frame_only" in metrics["oadtr"]["test"]
    table = prepared.load("per_class_table")
    assert table.height == len(VARIANTS["action_detection"]) * 2 * 3
    assert set(prepared.load("anticipation_table")["detector"]) == {"trn", "oadtr", "testra"}
    assert prepared.load("detection_picture").startswith(b"\x89PNG")


def test_one_variant_can_be_trained_alone(prepared: Project) -> None:
    prepared.run("action_detection", namespaces=["frame_only"])
    assert prepared.load("frame_only.model").metadata["plugin"] == "frame_only"
    assert not (prepared.path / "data/test/06_models/detectors/rnn").exists()


def values(**changes: Any) -> dict[str, Any]:
    base = {
        "plugin": "rnn",
        "config": {"hidden_size": 4},
        "sampling": {"window_steps": 8},
        "training": {"epochs": 1, "batch_size": 2, "checkpoint_directory": "checkpoints"},
    }
    return base | changes


def test_the_epoch_is_chosen_by_validation_precision() -> None:
    training = DetectorParams.model_validate(values()).training
    assert (training.monitor, training.monitor_mode) == ("mean_average_precision", "max")


def test_a_wrong_training_key_is_named() -> None:
    wrong = values(training={"epochs": 1, "batch_size": 2, "checkpoint_directory": "c", "epoch": 3})
    with pytest.raises(ValueError, match=r"training\.epoch\b"):
        DetectorParams.model_validate(wrong)


def test_an_unknown_detector_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(ProlepsisError, match="ordtr") as caught:
        DetectorParams.model_validate(values(plugin="ordtr", config={}))
    assert "'oadtr'" in str(caught.value)


def test_labels_without_features_stop_the_run_and_name_the_video(prepared: Project) -> None:
    extra = frame_labels().filter(pl.col("video") == "a").with_columns(video=pl.lit("zebra"))
    prepared.save("frame_labels", pl.concat([frame_labels(), extra]))
    with pytest.raises(ProlepsisError, match="no features") as caught:
        prepared.run("action_detection", namespaces=["frame_only"])
    assert "zebra" in str(caught.value)
    assert not (prepared.path / "data/test/06_models/detectors/frame_only").exists()
