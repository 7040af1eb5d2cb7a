import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prolepsis.video.labels import (
    IGNORED,
    RULES,
    ActionInstance,
    num_labelled_steps,
    num_steps,
    rasterise,
    segments,
    step_times,
)

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
    labels = rasterise(given_ones, steps=STEPS, rate=RATE, num_classes=CLASSES, frames_per_second=25.0)
    for step in range(STEPS):
        centre = (step + 0.5) / RATE
        on = {one.class_index for one in given_ones if one.start <= centre < one.end}
        assert set(np.flatnonzero(labels.labels[step, 1:]) + 1) == on - {IGNORED}
        assert labels.ignore[step] == (IGNORED in on)


@given(st.lists(instances, max_size=8))
def test_background_is_where_no_class_is(given_ones) -> None:
    labels = rasterise(given_ones, steps=STEPS, rate=RATE, num_classes=CLASSES, frames_per_second=25.0).labels
    assert labels.dtype == np.uint8
    assert set(np.unique(labels)) <= {0, 1}
    np.testing.assert_array_equal(labels[:, 0] == 0, labels[:, 1:].any(axis=1))


@given(times, times, st.sampled_from([1.0, 4.0, 6.25, 25.0]))
def test_the_steps_of_an_action_give_it_back_to_within_half_a_step(a: float, b: float, rate: float) -> None:
    start, end = min(a, b), max(a, b)
    steps = int(STEPS / RATE * rate)
    rows = np.flatnonzero(
        rasterise(
            [ActionInstance(start, end, 1)], steps=steps, rate=rate, num_classes=2, frames_per_second=25.0
        ).labels[:, 1]
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
        [ActionInstance(0.0, 3.0, 1), ActionInstance(1.0, 2.0, 2)],
        steps=4,
        rate=1.0,
        num_classes=3,
        frames_per_second=25.0,
    )
    np.testing.assert_array_equal(labels.labels, [[0, 1, 0], [0, 1, 1], [0, 1, 0], [1, 0, 0]])


def test_an_action_that_ends_at_a_centre_does_not_reach_it() -> None:
    labels = rasterise(
        [ActionInstance(0.5, 1.5, 1)], steps=3, rate=1.0, num_classes=2, frames_per_second=25.0
    )
    np.testing.assert_array_equal(labels.labels[:, 1], [1, 0, 0])


def test_a_class_that_is_no_column_is_refused() -> None:
    for index in (0, 3, -2):
        with pytest.raises(ValueError, match="is not one of the columns"):
            rasterise(
                [ActionInstance(0.0, 1.0, index)], steps=2, rate=1.0, num_classes=3, frames_per_second=25.0
            )


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(KeyError):
        rasterise(
            [ActionInstance(0.0, 1.0, 1)],
            steps=2,
            rate=1.0,
            num_classes=3,
            frames_per_second=25.0,
            rule="guess",
        )


@pytest.mark.parametrize(
    ("duration", "rate", "expected"),
    [(2.0, 6.25, 12), (1.9999999999, 4.0, 8), (1.99, 4.0, 7), (0.01, 4.0, 1), (0.0, 4.0, 1)],
)
def test_a_video_has_its_whole_steps_and_at_least_one(duration: float, rate: float, expected: int) -> None:
    assert num_steps(duration, rate) == expected


def test_step_times_are_centres() -> None:
    np.testing.assert_allclose(step_times(3, 4.0), [0.125, 0.375, 0.625])


@given(times, times, st.sampled_from([1.0, 4.0, 6.25]))
def test_inclusive_is_the_published_formula(a: float, b: float, rate: float) -> None:
    start, end = min(a, b), max(a, b)
    steps = int(STEPS / RATE * rate)
    labels = rasterise(
        [ActionInstance(start, end, 1)],
        steps=steps,
        rate=rate,
        num_classes=2,
        frames_per_second=25.0,
        rule="inclusive",
    ).labels
    expected = np.zeros(steps, np.uint8)
    for step in range(int(start * rate), int(end * rate) + 1):
        if step < steps:
            expected[step] = 1
    np.testing.assert_array_equal(labels[:, 1], expected)


@given(
    st.lists(instances, max_size=4), st.sampled_from([(5.0, 30.0), (4.0, 24.0), (6.25, 25.0), (5.0, 29.97)])
)
def test_a_chunk_has_the_labels_of_its_centre_frame(
    given_ones: list[ActionInstance], rates: tuple[float, float]
) -> None:
    rate, frames_per_second = rates
    found = rasterise(
        given_ones,
        steps=40,
        rate=rate,
        num_classes=CLASSES,
        frames_per_second=frames_per_second,
        rule="chunk",
    )
    for step in range(40):
        frame = int((step + 0.5) / rate * frames_per_second + 1e-6)
        on = {one.class_index for one in given_ones if one.start <= frame / frames_per_second < one.end}
        assert set(np.flatnonzero(found.labels[step, 1:]) + 1) == on - {IGNORED}
        assert found.ignore[step] == (IGNORED in on)


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.integers(60, 400), st.sampled_from([1, 2, 3])), max_size=6),
    st.sampled_from([1.0, 4.0, 6.25]),
)
def test_segments_give_the_actions_back_to_within_half_a_step(
    drawn: list[tuple[int, int, int]], rate: float
) -> None:
    # Hundredths of a second; actions of a class lie apart by more than a step, and are longer than one.
    actions: list[ActionInstance] = []
    for class_index in (1, 2, 3):
        clock = 0.0
        for gap, length, _ in (one for one in drawn if one[2] == class_index):
            start = clock + 1.0 / rate + gap / 100
            clock = start + 1.0 / rate + length / 100
            actions.append(ActionInstance(start, clock, class_index))
    steps = int(max((one.end for one in actions), default=1.0) * rate) + 2
    labels = rasterise(actions, steps=steps, rate=rate, num_classes=4, frames_per_second=25.0).labels
    found = segments(labels, rate)
    assert [one.class_index for one in found] == [one.class_index for one in actions]
    for back, action in zip(found, actions, strict=True):
        assert abs(back.start - action.start) <= 0.5 / rate + 1e-9
        assert abs(back.end - action.end) <= 0.5 / rate + 1e-9


@pytest.mark.parametrize("rule", RULES)
def test_no_rule_labels_beyond_the_video(rule: str) -> None:
    labels = rasterise(
        [ActionInstance(1.0, 99.0, 1)], steps=8, rate=4.0, num_classes=2, frames_per_second=24.0, rule=rule
    ).labels
    np.testing.assert_array_equal(labels[:, 1], [0, 0, 0, 0, 1, 1, 1, 1])


@pytest.mark.parametrize(
    ("rule", "equal", "among_ours"),
    [("centre", 0.9748, 0.9891), ("inclusive", 0.9774, 0.9927), ("chunk", 0.9739, 0.9881)],
)
def test_how_far_each_rule_is_from_the_labels_that_oadtr_published(
    shared_data: Path, rule: str, equal: float, among_ours: float
) -> None:
    """THUMOS'14, a label per six frames, one class each; without the steps that are ambiguous there."""
    folder = shared_data / "thumos14"
    videos = json.loads((folder / "segments.json").read_text())
    names = json.loads((folder / "class_names_and_splits.json").read_text())["THUMOS"]["class_index"]
    num_steps_seen = num_equal = num_among = num_far = 0
    with np.load(folder / "perframe_labels.npz") as published:
        for name in published.files:
            video = videos.get(name.split("/")[1])
            if video is None:  # video_test_0001292 has nothing but ambiguous actions
                continue
            theirs = np.unpackbits(published[name], axis=1)[:, :22]
            steps = len(theirs)
            assert steps == video["frames"] // 6
            rate = steps / video["duration"]
            actions = [
                ActionInstance(start, end, names.index(label)) for start, end, label in video["annotations"]
            ]
            ours = rasterise(
                actions,
                steps=steps,
                rate=rate,
                num_classes=21,
                frames_per_second=video["frames"] / video["duration"],
                rule=rule,
            ).labels
            clear = theirs[:, 21] == 0
            same = (ours == theirs[:, :21]).all(axis=1)
            among = (ours & theirs[:, :21]).any(axis=1)
            borders = np.array([[one.start, one.end] for one in actions]).ravel() * rate
            distance = np.abs(np.arange(steps)[:, None] + 0.5 - borders).min(axis=1)
            num_steps_seen += clear.sum()
            num_equal += (clear & same).sum()
            num_among += (clear & among).sum()
            num_far += (clear & ~among & (distance > 1.5)).sum()
    assert num_steps_seen == 421_360
    assert equal <= num_equal / num_steps_seen < equal + 0.0002
    assert among_ours <= num_among / num_steps_seen < among_ours + 0.0002
    # Steps with two labels, of which one is kept there, and steps at a border: there is no third kind.
    assert num_far == 0


@given(times, times, st.sampled_from(sorted(RULES)))
def test_the_steps_an_action_labels_are_counted_as_they_are_labelled(a: float, b: float, rule: str) -> None:
    start, end = min(a, b), max(a, b)
    labels = rasterise(
        [ActionInstance(start, end, 1)],
        steps=STEPS,
        rate=RATE,
        num_classes=2,
        frames_per_second=25.0,
        rule=rule,
    ).labels
    counted = num_labelled_steps(start, end, steps=STEPS, rate=RATE, frames_per_second=25.0, rule=rule)
    assert counted == labels[:, 1].sum()
