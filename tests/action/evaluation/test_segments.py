import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prolepsis.action.evaluation.segments import (
    ACTIVITYNET_TIOU_THRESHOLDS,
    SegmentEvaluation,
    Segments,
    evaluate_segments,
    temporal_iou,
    without_duplicates,
)

THRESHOLDS = (0.3, 0.5, 0.7)
Row = tuple[int, float, float, int, float]


def overlap(one: Row, other: Row) -> float:
    shared = max(0.0, min(one[2], other[2]) - max(one[1], other[1]))
    either = (one[2] - one[1]) + (other[2] - other[1]) - shared
    return shared / either if either > 0 else 0.0


def slowly(
    truth: list[Row], detections: list[Row], label: int, threshold: float, ambiguous: list[Row]
) -> float:
    """AP of one class at one threshold, one detection after the other, as ActivityNet's evaluation counts."""
    instances = [row for row in truth if row[3] == label]
    taken: set[int] = set()
    true: list[bool] = []
    for row in sorted((row for row in detections if row[3] == label), key=lambda row: -row[4]):
        free = [
            (overlap(row, one), -i) for i, one in enumerate(instances) if one[0] == row[0] and i not in taken
        ]
        best, place = max(free, default=(0.0, 0))
        if free and best >= threshold:
            taken.add(-place)
            true.append(True)
        elif not any(one[0] == row[0] and one[1] < row[2] and one[2] > row[1] for one in ambiguous):
            true.append(False)
    points = [(sum(true[: i + 1]) / len(instances), sum(true[: i + 1]) / (i + 1)) for i in range(len(true))]
    area, reached = 0.0, 0.0
    for recall, _ in points:
        if recall > reached:
            area += (recall - reached) * max(precision for other, precision in points if other >= recall)
            reached = recall
    return area


def rows(draw: st.DrawFn, most: int, scored: bool) -> list[Row]:
    drawn = draw(
        st.lists(
            st.tuples(
                st.integers(0, 2),
                st.integers(0, 20),
                st.integers(1, 10),
                st.integers(0, 2),
                st.integers(0, 10**6),
            ),
            max_size=most,
            unique_by=lambda row: row[4],
        )
    )
    return [
        (video, start / 2, (start + length) / 2, label, score / 10**6 if scored else 1.0)
        for video, start, length, label, score in drawn
    ]


@settings(max_examples=200)
@given(data=st.data())
def test_segment_map_is_that_of_one_detection_after_the_other(data: st.DataObject) -> None:
    truth = data.draw(st.composite(rows)(most=12, scored=False))
    detections = data.draw(st.composite(rows)(most=25, scored=True))
    ambiguous = data.draw(st.composite(rows)(most=3, scored=False))
    for spans in (None, Segments.of(ambiguous)):
        found = evaluate_segments(Segments.of(truth), Segments.of(detections), THRESHOLDS, ambiguous=spans)
        assert found.classes.tolist() == sorted({row[3] for row in truth})
        for row, label in enumerate(found.classes):
            for column, threshold in enumerate(THRESHOLDS):
                expected = slowly(truth, detections, label, threshold, ambiguous if spans else [])
                assert found.average_precision[row, column] == pytest.approx(expected, abs=1e-12)


def test_a_detection_takes_the_best_free_instance_and_each_instance_is_taken_once() -> None:
    truth = Segments.of([(0, 0.0, 10.0, 1), (0, 8.0, 18.0, 1)])
    first, again, other = (0, 0.0, 10.0, 1, 0.9), (0, 0.0, 10.0, 1, 0.8), (0, 8.0, 18.0, 1, 0.7)
    found = evaluate_segments(truth, Segments.of([other, again, first]), [0.5])
    # True, false, true: precision 1 up to half the recall, then 2/3.
    assert found.average_precision == pytest.approx(np.array([[0.5 + 0.5 * 2 / 3]]))
    assert found.average == pytest.approx(5 / 6)
    assert found.num_instances.tolist() == [2]


def test_a_class_without_detections_has_none_and_one_without_instances_is_not_asked() -> None:
    truth = Segments.of([(0, 0.0, 1.0, 1), (0, 0.0, 1.0, 2)])
    found = evaluate_segments(truth, Segments.of([(0, 0.0, 1.0, 1, 0.5), (0, 0.0, 1.0, 3, 0.5)]), [0.5])
    assert found.classes.tolist() == [1, 2]
    assert found.mean_average_precision.tolist() == [0.5]
    nothing = evaluate_segments(Segments.of([]), Segments.of([]), [0.5])
    assert isinstance(nothing, SegmentEvaluation)
    assert np.isnan(nothing.average)


def test_false_detections_on_ambiguous_spans_may_be_left_uncounted() -> None:
    truth = Segments.of([(0, 0.0, 1.0, 1)])
    detections = Segments.of([(0, 5.0, 6.0, 1, 0.9), (0, 0.0, 1.0, 1, 0.8)])
    ambiguous = Segments.of([(0, 5.5, 9.0, 0)])
    assert evaluate_segments(truth, detections, [0.5]).average == 0.5
    assert evaluate_segments(truth, detections, [0.5], ambiguous=ambiguous).average == 1.0
    # What touches it only at its end shares no time with it.
    beside = Segments.of([(0, 6.0, 9.0, 0)])
    assert evaluate_segments(truth, detections, [0.5], ambiguous=beside).average == 0.5


def test_duplicates_and_instances_without_length_are_left_out() -> None:
    truth = Segments.of(
        [
            (0, 1.0, 2.0, 1),
            (0, 1.0005, 2.0, 1),
            (0, 1.0, 2.0, 2),
            (1, 1.0, 2.0, 1),
            (0, 3.0, 3.0, 1),
            (0, 1.0, 2.1, 1),
        ]
    )
    assert without_duplicates(truth).ends.tolist() == [2.0, 2.0, 2.0, 2.1]


def test_spans_without_length_overlap_nothing() -> None:
    one = np.array([1.0])
    assert temporal_iou(one, one, one, one).tolist() == [0.0]


def test_the_figures_of_mmactions_fixture_are_reached(shared_data: Path) -> None:
    folder = shared_data / "metric_fixtures"
    annotated = json.loads((folder / "mma_eval_localization_gt.json").read_text())
    results = json.loads((folder / "mma_eval_localization_result.json").read_text())["results"]
    videos = {name.removeprefix("v_"): number for number, name in enumerate(annotated)}
    labels = {"Wakeboarding": 0, "Cleaning shoes": 1}
    truth = Segments.of(
        [
            (videos[name.removeprefix("v_")], *one["segment"], labels[one["label"]])
            for name, video in annotated.items()
            for one in video["annotations"]
        ]
    )
    detections = Segments.of(
        [
            (videos[name], *one["segment"], labels[one["label"]], one["score"])
            for name, found in results.items()
            for one in found
        ]
    )
    found = evaluate_segments(truth, detections, ACTIVITYNET_TIOU_THRESHOLDS)
    published = [0.71428571] * 3 + [0.6875] * 2 + [0.59722222] + [0.52083333] * 3 + [0.5]
    np.testing.assert_allclose(found.mean_average_precision, published, atol=1e-8)
    assert found.average == pytest.approx(0.6177579365079365)
