import numpy as np
import pytest

from prolepsis.action import comparison
from prolepsis.action.evaluation.videos import (
    Protocol,
    ScoredVideo,
    evaluate_accuracy,
    evaluate_anticipation,
    evaluate_detection,
    evaluate_persistence,
)
from prolepsis.action.pictures import detection_picture
from prolepsis.errors import ProlepsisError

NAMES = ["background", "run", "jump", "fly"]  # nobody flies


def videos(seed: int, skill: float, ahead: int) -> list[ScoredVideo]:
    random = np.random.default_rng(0)
    noise = np.random.default_rng(seed)
    found = []
    for steps in (40, 25):
        labels = np.eye(4, dtype=bool)[random.integers(3, size=steps)]
        scores = noise.random((steps, 4)) + skill * labels
        anticipation = noise.random((steps, ahead, 4)) if ahead else None
        found.append(ScoredVideo(labels, random.random(steps) < 0.1, scores, anticipation))
    return found


@pytest.fixture
def measured() -> list[comparison.Measured]:
    return [
        comparison.measure("floor", "test", videos(1, 0.1, 0), Protocol(), videos(1, 0.1, 0)),
        comparison.measure("trn", "test", videos(2, 0.8, 3), Protocol(), videos(1, 0.1, 0)),
    ]


def test_metrics_are_the_evaluations_and_the_gain_is_over_the_baseline(
    measured: list[comparison.Measured],
) -> None:
    found = comparison.metrics(measured, "floor")
    floor, trn = (evaluate_detection(videos(1, 0.1, 0)), evaluate_detection(videos(2, 0.8, 3)))
    assert found["trn"]["test"]["mean_average_precision"] == trn.mean_average_precision
    gain = trn.mean_average_precision - floor.mean_average_precision
    assert found["trn"]["test"]["gain_over_floor"] == pytest.approx(gain)
    assert gain > 0
    gain = trn.mean_calibrated_average_precision - floor.mean_calibrated_average_precision
    assert found["trn"]["test"]["calibrated_gain_over_floor"] == pytest.approx(gain)
    gain = evaluate_accuracy(videos(2, 0.8, 3)) - evaluate_accuracy(videos(1, 0.1, 0))
    assert found["trn"]["test"]["frame_accuracy_gain_over_floor"] == pytest.approx(gain)
    assert not [name for name in found["floor"]["test"] if "gain" in name or "anticipation" in name]


def test_anticipation_is_compared_with_what_the_baseline_sees_now(
    measured: list[comparison.Measured],
) -> None:
    steps = [one.evaluation.mean_average_precision for one in evaluate_anticipation(videos(2, 0.8, 3))]
    floors = [evaluate_persistence(videos(1, 0.1, 0), ahead).mean_average_precision for ahead in (1, 2, 3)]
    found = comparison.metrics(measured, "floor")["trn"]["test"]
    assert found["anticipation_mean_average_precision"] == pytest.approx(np.mean(steps))
    assert found["anticipation_baseline_mean_average_precision"] == pytest.approx(np.mean(floors))
    assert found["anticipation_gain_over_floor"] == pytest.approx(np.mean(steps) - np.mean(floors))
    table = comparison.anticipation_table(measured, rate=4.0)
    assert table["baseline_mean_average_precision"].to_list() == floors
    assert table["persistence_mean_average_precision"].to_list() != floors


def test_where_no_later_frame_shows_an_action_there_is_no_figure_of_anticipation() -> None:
    labels = np.eye(2, dtype=bool)[[1, 0, 0]]
    one = ScoredVideo(labels, np.zeros(3, bool), np.full((3, 2), 0.5), np.full((3, 1, 2), 0.5))
    measured = [comparison.measure("trn", "val", [one], Protocol(), [one])]
    assert not [name for name in comparison.metrics(measured, "trn")["trn"]["val"] if "anticipation" in name]
    table = comparison.anticipation_table(measured, rate=4.0)
    assert table["mean_average_precision"].to_list() == [None]
    assert table["baseline_mean_average_precision"].to_list() == [None]


def test_the_class_table_lists_every_action_also_those_never_shown(
    measured: list[comparison.Measured],
) -> None:
    table = comparison.per_class_table(measured, NAMES, "floor")
    assert dict(table.schema) == dict(comparison.PER_CLASS_SCHEMA)
    assert table["class_name"].to_list() == ["run", "jump", "fly"] * 2
    flying = table.filter(class_name="fly")
    assert flying["num_positives"].to_list() == [0, 0]
    assert flying["average_precision"].null_count() == 2
    floor, trn = (table.filter(detector=name, class_name="run") for name in ("floor", "trn"))
    assert floor.select("gain", "calibrated_gain").rows() == [(0.0, 0.0)]
    for gain, figure in (("gain", "average_precision"), ("calibrated_gain", "calibrated_average_precision")):
        assert trn[gain].item() == pytest.approx(trn[figure].item() - floor[figure].item())
        assert trn[gain].item() > 0


def test_the_anticipation_table_says_how_far_ahead_in_seconds(measured: list[comparison.Measured]) -> None:
    table = comparison.anticipation_table(measured, rate=4.0)
    assert table["detector"].to_list() == ["trn"] * 3
    assert table["seconds"].to_list() == [0.25, 0.5, 0.75]
    assert table["mean_average_precision"].is_between(0, 1).all()


def test_a_split_without_an_action_is_refused() -> None:
    quiet = ScoredVideo(np.eye(2, dtype=bool)[[0, 0]], np.zeros(2, bool), np.ones((2, 2)), None)
    with pytest.raises(ProlepsisError, match="'val'"):
        comparison.measure("trn", "val", [quiet], Protocol(), [quiet])


def test_the_picture_shows_every_detector_class_and_step_ahead(measured: list[comparison.Measured]) -> None:
    figure = detection_picture(
        comparison.metrics(measured, "floor"),
        comparison.per_class_table(measured, NAMES, "floor"),
        comparison.anticipation_table(measured, rate=4.0),
        "test",
    )
    overall, ahead, classes = figure.axes
    assert [label.get_text() for label in overall.get_yticklabels()] == ["floor", "trn"]
    assert [label.get_text() for label in classes.get_xticklabels()] == ["run", "jump", "fly"]
    assert len(ahead.lines) == 2
    assert ahead.lines[0].get_xdata().tolist() == [0.25, 0.5, 0.75]
    figure.draw_without_rendering()
    assert classes.get_position().y1 < min(overall.get_position().y0, ahead.get_position().y0)


def test_the_picture_says_so_where_no_detector_looks_ahead() -> None:
    measured = [comparison.measure("floor", "val", videos(1, 0.1, 0), Protocol(), videos(1, 0.1, 0))]
    figure = detection_picture(
        comparison.metrics(measured, "floor"),
        comparison.per_class_table(measured, NAMES, "floor"),
        comparison.anticipation_table(measured, rate=4.0),
        "val",
    )
    assert "no detector looks ahead" in [text.get_text() for text in figure.axes[1].texts]
