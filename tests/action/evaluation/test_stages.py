import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from prolepsis.action.evaluation.stages import evaluate_delays, evaluate_stages, runs


def one_hot(classes: list[int], num_classes: int = 3) -> np.ndarray:
    return np.eye(num_classes, dtype=bool)[classes]


@given(
    labels=st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=12).map(np.array)
)
def test_runs_are_where_a_class_is_without_a_gap(labels: np.ndarray) -> None:
    painted = np.zeros_like(labels)
    found = runs(labels)
    for label, start, end in found:
        assert start < end
        assert not painted[start:end, label].any()
        painted[start:end, label] = True
        assert start == 0 or not labels[start - 1, label]
        assert end == len(labels) or not labels[end, label]
    np.testing.assert_array_equal(painted, labels)


def test_a_stage_has_its_part_of_each_instance_and_all_negatives() -> None:
    labels = [one_hot([0, 1, 1, 1, 1, 0, 0, 1, 1, 0]), one_hot([0, 0, 1, 1])]
    random = np.random.default_rng(0)
    scores = [random.random(one.shape) for one in labels]
    counted = [np.ones(len(one), dtype=bool) for one in labels]
    counted[0][0] = False
    found = evaluate_stages(labels, scores, counted, num_stages=2)
    halves = ([[1, 2, 7], [2]], [[3, 4, 8], [3]])
    for stage, steps in enumerate(halves):
        truth, belief = [], []
        for video, positives in enumerate(steps):
            negatives = [
                step
                for step in range(len(labels[video]))
                if not labels[video][step, 1] and counted[video][step]
            ]
            chosen = sorted([*positives, *negatives])
            truth += [step in positives for step in chosen]
            belief += scores[video][chosen, 1].tolist()
        expected = average_precision_score(truth, belief)
        assert found.mean_average_precision[stage] == pytest.approx(expected, abs=1e-12)
        weight = truth.count(False) / truth.count(True)
        precisions = []
        for threshold in (score for score, true in zip(belief, truth, strict=True) if true):
            above = [true for score, true in zip(belief, truth, strict=True) if score >= threshold]
            precisions.append(weight * sum(above) / (weight * sum(above) + above.count(False)))
        calibrated = found.mean_calibrated_average_precision[stage]
        assert calibrated == pytest.approx(np.mean(precisions), abs=1e-12)


def test_a_stage_that_no_frame_falls_into_has_no_figure() -> None:
    labels = [one_hot([0, 1, 0])]
    found = evaluate_stages(labels, [np.full((3, 3), 0.5)], [np.ones(3, dtype=bool)], num_stages=2)
    assert found.mean_average_precision[0] == pytest.approx(1 / 3)
    assert np.isnan(found.mean_average_precision[1])


def test_a_delay_is_the_time_until_the_class_is_the_most_probable() -> None:
    labels = [one_hot([0, 1, 1, 1, 0, 2, 2, 0])]
    scores = [np.full((8, 3), 0.1)]
    scores[0][[0, 1, 4, 5, 6, 7], 0] = 0.8
    scores[0][2:4, 1] = 0.9
    found = evaluate_delays(labels, scores, rate=2.0)
    assert found.seconds.tolist() == [0.5]
    assert found.num_missed == 1
    assert found.noticed_share == 0.5
    assert found.median == 0.5


def test_two_actions_at_once_are_both_noticed_over_what_is_not_true() -> None:
    labels = [one_hot([1, 1]) | one_hot([2, 2])]
    scores = [np.array([[0.1, 0.6, 0.3], [0.4, 0.35, 0.45]])]
    found = evaluate_delays(labels, scores, rate=1.0)
    assert sorted(found.seconds.tolist()) == [0.0, 0.0]
    nobody = evaluate_delays([one_hot([0, 0])], [scores[0]], rate=1.0)
    assert np.isnan(nobody.noticed_share)
    assert np.isnan(nobody.median)
