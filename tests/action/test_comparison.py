import numpy as np
import pytest

from prolepsis.action import comparison
from prolepsis.action.evaluation.videos import (
    Protocol,
    ScoredVideo,
    evaluate_anticipation,
    evaluate_detection,
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
        comparison.measure("floor", "test", videos(1, 0.1, 0), Protocol()),
        comparison.measure("trn", "test", videos(2, 0.8, 3), Protocol()),
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
    assert "gain_over_floor" not in found["floor"]["test"]
    assert "anticipation_mean_average_precision" not in found["floor"]["test"]
    steps = [one.evaluation.mean_average_precision for one in evaluate_anticipation(videos(2, 0.8, 3))]
    assert found["trn"]["test"]["anticipation_mean_average_precision"] == pytest.approx(np.mean(steps))


def test_the_class_table_lists_every_action_also_those_never_shown(
    measured: list[comparison.Measured],
) -> None:
    table = comparison.per_class_table(measured, NAMES, "floor")
    assert dict(table.schema) == dict(comparison.PER_CLASS_SCHEMA)
    assert table["class_name"].to_list() == ["run", "jump", "fly"] * 2
    flying = table.filter(class_name="fly")
    assert flying["num_positives"].to_list() == [0, 0]
    assert flying["average_precision"].null_count() == 2
    assert table.filter(detector="floor", class_name="run")["gain"].to_list() == [0.0]
    means = table.group_by("detector", maintain_order=True).agg("average_precision").rows()
    assert len(means) == 2


def test_the_anticipation_table_says_how_far_ahead_in_seconds(measured: list[comparison.Measured]) -> None:
    table = comparison.anticipation_table(measured, rate=4.0)
    assert table["detector"].to_list() == ["trn"] * 3
    assert table["seconds"].to_list() == [0.25, 0.5, 0.75]
    assert table["mean_average_precision"].is_between(0, 1).all()


def test_a_split_without_an_action_is_refused() -> None:
    quiet = ScoredVideo(np.eye(2, dtype=bool)[[0, 0]], np.zeros(2, bool), np.ones((2, 2)), None)
    with pytest.raises(ProlepsisError, match="'val'"):
        comparison.measure("trn", "val", [quiet], Protocol())


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
    measured = [comparison.measure("floor", "val", videos(1, 0.1, 0), Protocol())]
    figure = detection_picture(
        comparison.metrics(measured, "floor"),
        comparison.per_class_table(measured, NAMES, "floor"),
        comparison.anticipation_table(measured, rate=4.0),
        "val",
    )
    assert "no detector looks ahead" in [text.get_text() for text in figure.axes[1].texts]
