import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prolepsis.action.hysteresis import FoundSegment, Hysteresis, SegmentFinder, find_segments, steps_of

tenths = st.integers(0, 10).map(lambda number: number / 10)
rules = st.builds(
    lambda bounds, shortest, release: Hysteresis(max(bounds), min(bounds), shortest, release),
    st.tuples(tenths, tenths),
    st.integers(1, 3),
    st.integers(1, 3),
)


def stepwise(scores: np.ndarray, rule: Hysteresis, background: int | None = 0) -> list[FoundSegment]:
    finder = SegmentFinder(scores.shape[1], rule, background)
    found = [segment for row in scores for segment in finder.step(row)]
    return sorted([*found, *finder.finish()], key=lambda one: (one.label, one.start))


@given(
    scores=st.lists(st.lists(tenths, min_size=3, max_size=3), min_size=1, max_size=30).map(np.array),
    rule=rules,
    background=st.sampled_from([None, 0]),
)
def test_a_whole_video_has_the_segments_that_its_steps_have(
    scores: np.ndarray, rule: Hysteresis, background: int | None
) -> None:
    live, whole = stepwise(scores, rule, background), find_segments(scores, rule, background)
    assert [(one.label, one.start, one.end) for one in live] == [
        (one.label, one.start, one.end) for one in whole
    ]
    for one, other in zip(live, whole, strict=True):
        assert one.score == pytest.approx(other.score)
        belief = scores[one.start : one.end, one.label]
        assert other.score == pytest.approx(belief.mean())
        assert belief[0] >= rule.start_threshold
        assert belief[-1] >= rule.end_threshold
        assert len(belief) >= rule.min_steps
        assert background is None or one.label != background


def test_a_belief_that_flickers_makes_one_segment() -> None:
    belief = np.array([0.1, 0.6, 0.4, 0.2, 0.35, 0.9, 0.2, 0.1, 0.6, 0.1])
    scores = np.stack([1 - belief, belief], axis=1)
    spans = [(one.start, one.end) for one in find_segments(scores, Hysteresis(0.5, 0.3))]
    assert spans == [(1, 3), (5, 6), (8, 9)]
    spans = [(one.start, one.end) for one in find_segments(scores, Hysteresis(0.5, 0.3, release_steps=2))]
    assert spans == [(1, 6), (8, 9)]
    rule = Hysteresis(0.5, 0.3, min_steps=2, release_steps=2)
    assert [(one.start, one.end) for one in find_segments(scores, rule)] == [(1, 6)]


def test_a_class_is_running_once_its_segment_is_long_enough_and_until_it_is_over() -> None:
    finder = SegmentFinder(2, Hysteresis(0.5, 0.3, min_steps=2, release_steps=2))
    running = []
    for belief in (0.6, 0.6, 0.2, 0.4, 0.1, 0.1):
        finder.step(np.array([1 - belief, belief]))
        running.append(bool(finder.running[1]))
    assert running == [False, True, True, True, True, False]


@pytest.mark.parametrize(
    "wrong",
    [
        {"start_threshold": 0.2, "end_threshold": 0.3},
        {"start_threshold": 1.1},
        {"min_steps": 0},
        {"release_steps": 0},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"threshold|steps"):
        Hysteresis(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "rate", "steps"),
    [(0.0, 4.0, 0), (0.3, 4.0, 2), (0.5, 4.0, 2), (2.0, 6.25, 13), (0.1 + 0.2, 10.0, 3), (1 / 3, 3.0, 1)],
)
def test_so_many_steps_last_at_least_so_long(seconds: float, rate: float, steps: int) -> None:
    assert steps_of(seconds, rate) == steps
