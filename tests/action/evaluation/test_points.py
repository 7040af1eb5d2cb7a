import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prolepsis.action.evaluation.points import evaluate_starts


def one_hot(classes: list[int], num_classes: int = 3) -> np.ndarray:
    return np.eye(num_classes, dtype=bool)[classes]


def believed(classes: list[int], sure: float = 0.9, num_classes: int = 3) -> np.ndarray:
    rest = (1 - sure) / (num_classes - 1)
    return np.where(one_hot(classes, num_classes), sure, rest)


def test_starts_within_the_offset_are_found_and_others_are_false() -> None:
    labels = [one_hot([0, 0, 1, 1, 0, 0, 0, 0])]
    scores = [believed([0, 0, 0, 1, 1, 0, 0, 0])]  # a step late: half a second
    found = evaluate_starts(labels, scores, rate=2.0, offsets=[0.25, 0.5, 1.0])
    assert found.classes == (1,)
    assert found.average_precision.tolist() == [[0.0, 1.0, 1.0]]
    assert found.mean_average_precision.tolist() == [0.0, 1.0, 1.0]


def test_a_start_taken_is_not_given_to_another_even_if_one_more_is_in_reach() -> None:
    labels = [one_hot([0, 1, 0, 0, 1, 0, 0, 0])]
    # Starts at 1 and 4 are true; said are 1 (surest), and 2, whose nearest is 1 although 4 is in reach too.
    scores = [believed([0, 1, 1, 0, 0, 0, 0, 0])]
    scores[0][2] = believed([2])[0]
    scores[0][3] = believed([1], sure=0.8)[0]  # a start of class 1 at 3: nearest is 4
    found = evaluate_starts(labels, scores, rate=1.0, offsets=[1.0, 3.0])
    assert found.average_precision[0].tolist() == [1.0, 1.0]
    labels = [one_hot([0, 1, 0, 0, 0, 0, 1, 0])]
    scores = [believed([0, 1, 0, 1, 0, 0, 0, 0])]
    scores[0][3] = believed([1], sure=0.8)[0]
    # The second start said looks at the first true one, which is taken: false. Half the recall, precision 1.
    assert evaluate_starts(labels, scores, 1.0, [5.0]).average_precision[0, 0] == pytest.approx(6 / 11)


def test_precision_is_the_mean_at_eleven_recalls() -> None:
    labels = [one_hot([0, 1, 0, 0, 0, 0])]
    scores = [believed([0, 0, 0, 0, 1, 0])]
    scores[0][1] = believed([1], sure=0.7)[0]
    # The surer start said is false, the other true: precision 1/2 at every recall.
    assert evaluate_starts(labels, scores, 1.0, [1.0]).average_precision[0, 0] == pytest.approx(0.5)


def test_an_action_that_runs_from_the_first_step_starts_there() -> None:
    labels, scores = [one_hot([1, 1, 0])], [believed([1, 1, 0])]
    assert evaluate_starts(labels, scores, 1.0, [1.0]).mean_average_precision.tolist() == [1.0]


def test_without_starts_there_is_no_figure() -> None:
    found = evaluate_starts([one_hot([0, 0])], [believed([0, 1])], 1.0, [1.0])
    assert found.classes == ()
    assert np.isnan(found.mean_average_precision).all()


@given(
    classes=st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), min_size=1, max_size=3),
    rate=st.sampled_from([1.0, 6.25]),
)
def test_a_perfect_belief_finds_every_start(classes: list[list[int]], rate: float) -> None:
    found = evaluate_starts([one_hot(c) for c in classes], [believed(c) for c in classes], rate)
    assert np.all(found.average_precision == 1.0)
    shuffled = evaluate_starts([one_hot(c) for c in classes], [believed(c[::-1]) for c in classes], rate)
    assert np.all((shuffled.average_precision >= 0) & (shuffled.average_precision <= 1))
    # What is found within a second is found within two.
    assert np.all(np.diff(shuffled.average_precision, axis=1) >= -1e-12)
