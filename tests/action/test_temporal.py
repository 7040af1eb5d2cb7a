import numpy as np
import pytest

from prolepsis.action.evaluation.videos import PROTOCOLS, ScoredVideo
from prolepsis.action.hysteresis import Hysteresis
from prolepsis.action.temporal import Temporal, measure_temporal


def video(truth: str, believed: str) -> ScoredVideo:
    """A letter a step: `.` for background, `a` and `b` for actions, and in `truth` `?` for ignored."""
    ignore = np.array([letter == "?" for letter in truth])
    labels = np.eye(3, dtype=bool)[[".ab?".index(letter) % 3 for letter in truth]]
    scores = np.where(np.eye(3, dtype=bool)[[".ab".index(letter) for letter in believed]], 0.9, 0.05)
    return ScoredVideo(labels, ignore, scores.astype(np.float32), None)


def measured(truth: str, believed: str, **options: bool) -> Temporal:
    return measure_temporal(
        [video(truth, believed)],
        PROTOCOLS["lstr"],
        rate=1.0,
        rule=Hysteresis(0.5, 0.4),
        tiou_thresholds=[0.5],
        start_offsets=[2.0],
        **options,
    )


@pytest.mark.parametrize("truth", ["..aaa...bbb.", "..aaa??aaa..", "??aaa.?bbb??", "..aa????????????aa.."])
def test_a_perfect_belief_is_perfect_around_ignored_steps(truth: str) -> None:
    found = measured(truth, truth.replace("?", "."))
    assert found.segments.average == 1.0
    assert found.starts.mean_average_precision.tolist() == [1.0]
    assert found.segmentation.f1 == (1.0, 1.0, 1.0)
    assert (
        found.delays.seconds.tolist() == [0.0, 0.0][: truth.count("?a") + truth.count(".a") + ("b" in truth)]
    )
    assert found.delays.num_missed == 0


def test_what_is_said_in_ignored_steps_changes_nothing_but_segments() -> None:
    quiet, loud = measured("aa????..bb", "aa......bb"), measured("aa????..bb", "aaaabb..bb")
    assert (
        loud.starts.mean_average_precision.tolist() == quiet.starts.mean_average_precision.tolist() == [1.0]
    )
    assert loud.segmentation == quiet.segmentation
    assert loud.delays.seconds.tolist() == quiet.delays.seconds.tolist()


def test_ignored_steps_take_time() -> None:
    """Said eleven seconds before it begins, though only two of them count."""
    assert measured(".a?????????.b", ".b?????????..".replace("?", ".")).starts.average_precision[1, 0] == 0.0


def test_a_false_segment_over_ignored_steps_counts_if_one_says_so() -> None:
    truth, believed = "aaaa..??..", "aaaa.aaa.."
    assert measured(truth, believed).segments.average == 1.0
    low_first = measured("aaaa..??....aaaa", "aaaa.aaa....aaaa", ambiguous_counts=True)
    assert low_first.segments.average < 1.0
