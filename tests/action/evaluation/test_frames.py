from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from prolepsis.action.evaluation.frames import average_precisions, evaluate_frames, frame_accuracy


def plain_calibrated(positive: np.ndarray, scores: np.ndarray) -> float:
    """The definition, a threshold per positive: cPrec = w TP / (w TP + FP)."""
    weight = (~positive).sum() / positive.sum()
    precisions = []
    for threshold in scores[positive]:
        true = (positive & (scores >= threshold)).sum()
        false = (~positive & (scores >= threshold)).sum()
        precisions.append(weight * true / (weight * true + false))
    return float(np.mean(precisions))


@st.composite
def frames(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores of one class, with many ties, at least one positive and one negative."""
    size = draw(st.integers(2, 60))
    scores = draw(st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), min_size=size, max_size=size))
    positive = draw(st.lists(st.booleans(), min_size=size, max_size=size))
    positive[:2] = [True, False]
    return np.array(positive), np.array(scores)


@settings(max_examples=200, deadline=None)
@given(frames())
def test_average_precision_is_scikit_learns_ties_included(data: tuple[np.ndarray, np.ndarray]) -> None:
    assert average_precisions(*data)[0] == pytest.approx(average_precision_score(*data), abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(frames())
def test_the_calibrated_one_is_its_definition(data: tuple[np.ndarray, np.ndarray]) -> None:
    assert average_precisions(*data)[1] == pytest.approx(plain_calibrated(*data), abs=1e-12)


def test_it_is_scikit_learns_on_many_float32_scores_too() -> None:
    random = np.random.default_rng(0)
    positive = random.random(20_000) < 0.03
    scores = (random.random(20_000) + positive * 0.3).astype(np.float32)
    assert average_precisions(positive, scores)[0] == pytest.approx(
        average_precision_score(positive, scores), abs=1e-12
    )


def test_a_perfect_order_gives_one_and_a_class_without_negatives_too() -> None:
    assert average_precisions(np.array([True, True, False]), np.array([0.9, 0.8, 0.1])) == (1.0, 1.0)
    assert average_precisions(np.array([True, True]), np.array([0.2, 0.1])) == (1.0, 1.0)


def test_calibration_takes_away_how_rare_a_class_is() -> None:
    positive, scores = np.array([True, False] * 5), np.linspace(1, 0, 10)
    often = average_precisions(np.concatenate([positive] + [~positive & False] * 9), np.tile(scores, 10))
    assert average_precisions(positive, scores)[1] == pytest.approx(average_precisions(positive, scores)[0])
    assert often[0] < often[1]


def test_the_mean_leaves_out_the_background_and_lists_classes_without_positives() -> None:
    labels = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 1, 0, 1]], bool)
    scores = np.random.default_rng(1).random((4, 4))
    found = evaluate_frames(labels, scores)
    assert [one.class_index for one in found.classes] == [1, 3]
    assert found.skipped == (2,)
    expected = [average_precision_score(labels[:, index], scores[:, index]) for index in (1, 3)]
    assert found.mean_average_precision == pytest.approx(np.mean(expected), abs=1e-12)
    with_background = evaluate_frames(labels, scores, background=None)
    assert [one.class_index for one in with_background.classes] == [0, 1, 3]


def test_without_any_positive_there_is_no_mean() -> None:
    found = evaluate_frames(np.array([[True, False]]), np.array([[0.2, 0.8]]))
    assert np.isnan(found.mean_average_precision)
    assert found.skipped == (1,)


def test_accuracy_accepts_any_of_the_true_classes() -> None:
    labels = np.array([[1, 0, 0], [0, 1, 1], [0, 1, 0]], bool)
    scores = np.array([[0.9, 0.1, 0.0], [0.1, 0.2, 0.7], [0.1, 0.2, 0.7]])
    assert frame_accuracy(labels, scores) == pytest.approx(2 / 3)


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        average_precisions(np.array([True, False]), np.array([0.1, np.nan]))


def test_labels_and_scores_of_different_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        evaluate_frames(np.zeros((3, 2), bool), np.zeros((3, 4)))


def test_a_published_systems_figures_come_out(shared_data: Path) -> None:
    """ED-TCN on 50 Salads, mid level, all folds pooled: mAP .576, mcAP .924, frame accuracy .644."""
    with np.load(shared_data / "salads50" / "edtcn_published.npz") as published:
        videos = sorted({key.rsplit("/", 1)[0] for key in published if key.startswith("mid/")})
        scores = np.concatenate([published[f"{video}/scores"] for video in videos])
        labels = np.eye(18, dtype=bool)[np.concatenate([published[f"{video}/true"] for video in videos])]
    found = evaluate_frames(labels, scores, background=None)
    assert found.mean_average_precision == pytest.approx(0.576, abs=5e-4)
    assert found.mean_calibrated_average_precision == pytest.approx(0.924, abs=5e-4)
    assert frame_accuracy(labels, scores) == pytest.approx(0.644, abs=5e-4)
    sklearn = [average_precision_score(labels[:, index], scores[:, index]) for index in range(18)]
    assert found.mean_average_precision == pytest.approx(np.mean(sklearn), abs=1e-12)
