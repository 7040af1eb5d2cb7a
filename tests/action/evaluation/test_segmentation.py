from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prolepsis.action.evaluation.segmentation import edit_score, evaluate_segmentation


def distance(one: list[int], other: list[int]) -> int:
    """Levenshtein's, by its definition."""
    if not one or not other:
        return len(one) + len(other)
    return min(
        distance(one[1:], other) + 1,
        distance(one, other[1:]) + 1,
        distance(one[1:], other[1:]) + (one[0] != other[0]),
    )


@given(one=st.lists(st.integers(0, 2), max_size=5), other=st.lists(st.integers(0, 2), max_size=5))
def test_the_edit_score_is_one_less_the_share_of_edits(one: list[int], other: list[int]) -> None:
    longest = max(len(one), len(other), 1)
    assert edit_score(one, other) == pytest.approx(1 - distance(one, other) / longest)


def test_segments_are_found_by_class_and_overlap() -> None:
    truth = np.array([1, 1, 1, 1, 2, 2, 2, 2])
    # 1 for three of four steps; 2 for a part of its steps, cut in two by a flicker.
    predicted = np.array([1, 1, 1, 2, 2, 2, 1, 2])
    found = evaluate_segmentation([predicted], [truth], overlaps=[0.25, 0.5, 0.75])
    # Predicted: 1 [0,3) IoU .75; 2 [3,6) IoU 2/5; 1 [6,7) IoU 0; 2 [7,8) IoU 1/4, but its instance is taken.
    assert found.f1 == pytest.approx((4 / 6, 2 / 6, 2 / 6))
    assert found.edit == pytest.approx(1 - 2 / 4)


def test_background_counts_in_neither() -> None:
    truth, predicted = np.array([0, 0, 1, 1, 0]), np.array([1, 0, 1, 1, 1])
    with_it = evaluate_segmentation([predicted], [truth])
    without = evaluate_segmentation([predicted], [truth], background=0)
    assert without.edit == 0.5
    assert without.f1 == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert with_it.edit == pytest.approx(1 / 3)


@given(labels=st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=20), min_size=1, max_size=3))
def test_the_truth_itself_is_perfect(labels: list[list[int]]) -> None:
    videos = [np.array(one) for one in labels]
    found = evaluate_segmentation(videos, videos)
    assert found.f1 == (1.0, 1.0, 1.0)
    assert found.edit == 1.0


def test_the_figures_of_a_published_system_are_reached(shared_data: Path) -> None:
    """ED-TCN's outputs on 50 Salads, mid level, background counted in neither."""
    outputs = np.load(shared_data / "salads50" / "edtcn_published.npz")
    names = sorted({name.rpartition("/")[0] for name in outputs.files if name.startswith("mid/")})
    predicted = [outputs[f"{name}/pred"].ravel() for name in names]
    truth = [outputs[f"{name}/true"].ravel() for name in names]
    found = evaluate_segmentation(predicted, truth, background=0)
    assert len(names) == 50
    assert [round(100 * value, 1) for value in (found.edit, *found.f1)] == [59.8, 67.1, 63.0, 51.9]
