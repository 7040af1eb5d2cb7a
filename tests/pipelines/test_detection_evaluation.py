import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

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
    segments = {"start_threshold": 0.5, "end_threshold": 0.3, "min_seconds": 0.0, "release_seconds": 0.0}
    given = {"rate": 5.0, "protocol": "lstr", "segments": segments}
    given |= {"tiou_thresholds": [0.3, 0.5], "start_offsets": [0.2, 1.0]}
    return DetectionEvaluationParams.model_validate(given | changes)


def test_a_perfect_detector_reaches_one_on_val_and_test() -> None:
    labels = frame_labels()
    metrics, table, ahead, _ = evaluate_detectors(
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
    metrics, *_ = evaluate_detectors(
        labels, CLASS_NAMES, parameters(protocol="idn"), frame_only=scores(labels, 0.2)
    )
    assert metrics["frame_only"]["test"]["num_frames"] == 15
    with pytest.raises(ValidationError, match="protocol"):
        parameters(protocol="mine")


def test_whole_actions_are_measured_beside_the_steps() -> None:
    labels = frame_labels()
    # Above all others at the right class, below the threshold elsewhere.
    metrics, _, _, table = evaluate_detectors(
        labels, CLASS_NAMES, parameters(), frame_only=scores(labels, 0.2), rnn=scores(labels, 2.0)
    )
    perfect = metrics["rnn"]["test"]
    assert perfect["start_mean_average_precision"] == perfect["edit_score"] == perfect["noticed_share"] == 1.0
    assert perfect["median_delay_seconds"] == 0.0
    assert metrics["frame_only"]["test"]["edit_score"] < 1
    rows = table.filter(pl.col("detector") == "rnn", pl.col("split") == "test")
    at = {measure: part["at"].to_list() for (measure,), part in rows.group_by("measure")}
    assert at["segment_map"] == [0.3, 0.5]
    assert at["start_map"] == [0.2, 1.0]
    assert at["segmental_f1"] == [0.1, 0.25, 0.5]
    # Actions of one step have a first stage only.
    assert at["stage_map"] == [0.1]


def test_thresholds_in_the_wrong_order_are_refused() -> None:
    wrong = {"start_threshold": 0.2, "end_threshold": 0.3, "min_seconds": 0.0, "release_seconds": 0.0}
    with pytest.raises(ValidationError, match=r"end_threshold .0.3. must not be above start_threshold .0.2."):
        parameters(segments=wrong)


@pytest.mark.parametrize("name", ["min_seconds", "release_seconds"])
def test_lengths_without_end_are_refused(name: str) -> None:
    lengths = {"start_threshold": 0.5, "end_threshold": 0.3, "min_seconds": 0.0, "release_seconds": 0.0}
    with pytest.raises(ValidationError, match="finite number"):
        parameters(segments=lengths | {name: float("inf")})


def test_without_test_videos_the_val_split_is_measured_and_drawn() -> None:
    labels = frame_labels(("train", "val"))
    metrics, table, ahead, _ = evaluate_detectors(
        labels, CLASS_NAMES, parameters(), frame_only=scores(labels, 0.2)
    )
    assert metrics["frame_only"].keys() == {"val"}
    figure = draw_detection_picture(metrics, table, ahead)
    assert "val" in figure.get_suptitle()


def test_the_baseline_is_one_of_the_detectors() -> None:
    assert BASELINE in VARIANTS["action_detection"]
