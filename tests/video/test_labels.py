import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prolepsis.video.labels import IGNORED, ActionInstance, num_steps, rasterise, step_times

RATE = 6.25
STEPS = 60
CLASSES = 4

times = st.floats(0.0, STEPS / RATE, allow_nan=False)
instances = st.builds(
    lambda a, b, label: ActionInstance(min(a, b), max(a, b), label),
    times,
    times,
    st.sampled_from([IGNORED, 1, 2, 3]),
)


@given(st.lists(instances, max_size=8))
def test_a_step_has_the_labels_of_the_actions_that_contain_its_centre(given_ones) -> None:
    labels = rasterise(given_ones, steps=STEPS, rate=RATE, num_classes=CLASSES)
    for step in range(STEPS):
        centre = (step + 0.5) / RATE
        on = {one.class_index for one in given_ones if one.start <= centre < one.end}
        assert set(np.flatnonzero(labels.labels[step, 1:]) + 1) == on - {IGNORED}
        assert labels.ignore[step] == (IGNORED in on)


@given(st.lists(instances, max_size=8))
def test_background_is_where_no_class_is(given_ones) -> None:
    labels = rasterise(given_ones, steps=STEPS, rate=RATE, num_classes=CLASSES).labels
    assert labels.dtype == np.uint8
    assert set(np.unique(labels)) <= {0, 1}
    np.testing.assert_array_equal(labels[:, 0] == 0, labels[:, 1:].any(axis=1))


@given(times, times, st.sampled_from([1.0, 4.0, 6.25, 25.0]))
def test_the_steps_of_an_action_give_it_back_to_within_half_a_step(a: float, b: float, rate: float) -> None:
    start, end = min(a, b), max(a, b)
    steps = int(STEPS / RATE * rate)
    rows = np.flatnonzero(
        rasterise([ActionInstance(start, end, 1)], steps=steps, rate=rate, num_classes=2).labels[:, 1]
    )
    half = 0.5 / rate + 1e-9
    if not len(rows):
        assert end - start <= 2 * half or start >= (steps - 0.5) / rate - 1e-9
        return
    np.testing.assert_array_equal(rows, np.arange(rows[0], rows[-1] + 1))
    assert abs(rows[0] / rate - start) <= half
    # The last step of a video is whole: what lies beyond it cannot come back.
    assert abs((rows[-1] + 1) / rate - min(end, steps / rate)) <= half


def test_overlapping_actions_are_both_labelled() -> None:
    labels = rasterise(
        [ActionInstance(0.0, 3.0, 1), ActionInstance(1.0, 2.0, 2)], steps=4, rate=1.0, num_classes=3
    )
    np.testing.assert_array_equal(labels.labels, [[0, 1, 0], [0, 1, 1], [0, 1, 0], [1, 0, 0]])


def test_an_action_that_ends_at_a_centre_does_not_reach_it() -> None:
    labels = rasterise([ActionInstance(0.5, 1.5, 1)], steps=3, rate=1.0, num_classes=2)
    np.testing.assert_array_equal(labels.labels[:, 1], [1, 0, 0])


def test_a_class_that_is_no_column_is_refused() -> None:
    for index in (0, 3, -2):
        with pytest.raises(ValueError, match="is not one of the columns"):
            rasterise([ActionInstance(0.0, 1.0, index)], steps=2, rate=1.0, num_classes=3)


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(KeyError):
        rasterise([ActionInstance(0.0, 1.0, 1)], steps=2, rate=1.0, num_classes=3, rule="guess")


@pytest.mark.parametrize(
    ("duration", "rate", "expected"),
    [(2.0, 6.25, 12), (1.9999999999, 4.0, 8), (1.99, 4.0, 7), (0.01, 4.0, 1), (0.0, 4.0, 1)],
)
def test_a_video_has_its_whole_steps_and_at_least_one(duration: float, rate: float, expected: int) -> None:
    assert num_steps(duration, rate) == expected


def test_step_times_are_centres() -> None:
    np.testing.assert_allclose(step_times(3, 4.0), [0.125, 0.375, 0.625])
