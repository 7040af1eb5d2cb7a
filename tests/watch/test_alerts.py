"""When an alert is given, and what is said to come next."""

from operator import attrgetter

import numpy as np
import pytest

from prolepsis.action.hysteresis import Hysteresis, find_segments
from prolepsis.watch.alerts import AlertRule, Alerts, Expectation, expected_action

RULE = Hysteresis(start_threshold=0.5, end_threshold=0.3, min_steps=3, release_steps=2)


def scores_of(*beliefs: float) -> np.ndarray:
    """Of one class beside the background and a silent class."""
    return np.array([[1 - belief, belief, 0.0] for belief in beliefs], np.float32)


def told(scores: np.ndarray, rule: AlertRule, steps: list[int] | None = None) -> list[tuple[int, int]]:
    alerts = Alerts(scores.shape[1], rule)
    return [
        (step, label)
        for step, row in zip(steps or range(len(scores)), scores, strict=True)
        for label in alerts.step(step, row)[0]
    ]


def test_an_alert_comes_once_when_the_action_has_lasted_long_enough() -> None:
    scores = scores_of(0.1, 0.6, 0.4, 0.4, 0.2, 0.6, 0.6, 0.1, 0.1, 0.1)
    assert told(scores, AlertRule(RULE)) == [(3, 1)]


def test_what_is_short_gives_none() -> None:
    assert told(scores_of(0.9, 0.9, 0.1, 0.1, 0.9), AlertRule(RULE)) == []


def test_the_background_gives_none() -> None:
    assert told(np.array([[1.0, 0.0, 0.0]] * 9, np.float32), AlertRule(RULE)) == []


@pytest.mark.parametrize(("pause", "expected"), [(0, [2, 7]), (5, [2, 7]), (6, [2, 8]), (20, [2])])
def test_the_next_alert_of_a_class_waits_for_the_pause(pause: int, expected: list[int]) -> None:
    scores = scores_of(0.9, 0.9, 0.9, 0.1, 0.1, 0.9, 0.9, 0.9, 0.9, 0.9, 0.1, 0.1)
    assert [step for step, _ in told(scores, AlertRule(RULE, pause))] == expected


def test_only_the_classes_that_are_asked_for_give_alerts_or_ends() -> None:
    scores = np.array([[0.1, 0.9, 0.9]] * 4 + [[1.0, 0.0, 0.0]] * 3, np.float32)
    assert told(scores, AlertRule(RULE, classes=frozenset({2}))) == [(2, 2)]
    alerts = Alerts(3, AlertRule(RULE, classes=frozenset({2})))
    over = [segment for step, row in enumerate(scores) for segment in alerts.step(step, row)[1]]
    assert [(one.label, one.start, one.end) for one in over] == [(2, 0, 4)]


def test_segments_are_those_of_the_whole_video() -> None:
    random = np.random.default_rng(0)
    scores = random.random((300, 4)).astype(np.float32)
    alerts = Alerts(4, AlertRule(RULE))
    over = [segment for step, row in enumerate(scores) for segment in alerts.step(step, row)[1]]
    over += alerts.finish()
    key = attrgetter("label", "start")
    expected = sorted(find_segments(scores, RULE), key=key)
    assert [(one.label, one.start, one.end) for one in sorted(over, key=key)] == [
        (one.label, one.start, one.end) for one in expected
    ]
    assert len(expected) > 20


def test_steps_that_were_dropped_count_as_the_last_one_seen() -> None:
    scores = scores_of(0.9, 0.9, 0.1, 0.1, 0.1)
    # Steps 2 to 4 were dropped: with them the action lasts until the step 5.
    assert told(scores, AlertRule(RULE), [0, 1, 5, 6, 7]) == [(5, 1)]
    assert told(scores, AlertRule(RULE)) == []
    assert told(scores_of(0.9, 0.9, 0.9), AlertRule(RULE), [0, 1, 5]) == [(5, 1)]
    alerts = Alerts(3, AlertRule(RULE))
    over = [
        segment
        for step, row in zip([0, 1, 5, 6, 7], scores, strict=True)
        for segment in alerts.step(step, row)[1]
    ]
    assert [(one.start, one.end) for one in over] == [(0, 5)]


def test_a_stream_whose_first_steps_were_dropped_counts_from_there() -> None:
    alerts = Alerts(3, AlertRule(RULE))
    for step, row in zip(range(40, 44), scores_of(0.1, 0.9, 0.9, 0.9), strict=True):
        alerts.step(step, row)
    assert [(one.start, one.end) for one in alerts.finish()] == [(41, 44)]


def test_a_new_stream_begins_anew_but_the_pause_holds() -> None:
    alerts = Alerts(3, AlertRule(RULE, cool_down_steps=100))
    first = [alerts.step(step, row)[0] for step, row in enumerate(scores_of(0.9, 0.9, 0.9))]
    assert first == [[], [], [1]]
    assert len(alerts.finish()) == 1
    second = [alerts.step(step, row)[0] for step, row in enumerate(scores_of(0.9, 0.9, 0.9))]
    assert second == [[], [], []]


def test_what_comes_next_is_the_most_probable_other_action() -> None:
    anticipation = np.array([[0.5, 0.4, 0.1, 0.0], [0.2, 0.5, 0.0, 0.3]], np.float32)
    assert expected_action(anticipation, label=1) == Expectation(3, 2, pytest.approx(0.3))
    assert expected_action(anticipation, label=3) == Expectation(1, 2, pytest.approx(0.5))
    assert expected_action(None, label=1) is None
    assert expected_action(np.array([[0.5, 0.5]], np.float32), label=1) is None
