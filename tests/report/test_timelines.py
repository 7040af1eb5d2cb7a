"""A timeline shows the truth where it is, beliefs in their class' colour, and no background."""

import base64
import io
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from prolepsis.report.blocks import Timeline
from prolepsis.report.timelines import (
    Instance,
    TimelineData,
    assign_lanes,
    class_hues,
    draw_timeline,
    timeline_data,
    timelines_section,
)

CLASSES = ["background", "walk", "jump"]


def draw(**changes: object) -> Timeline:
    data = {
        "video": "v",
        "rate": 5.0,
        "instances": [Instance(1, 2.0, 4.0)],
        "ignore": np.zeros(50, dtype=bool),
        "scores": {"rnn": np.tile(np.array([0.5, 0.5, 0.0], dtype=np.float32), (50, 1))},
        "thumbnails": [],
    }
    return draw_timeline(TimelineData(**(data | changes)), CLASSES)  # type: ignore[arg-type]  # changed above


def test_an_action_lies_where_it_happens() -> None:
    (span,) = draw().truth
    assert (span.label, span.start, span.width, span.lane) == ("walk", 20.0, 20.0, 0)


def test_an_action_that_leaves_the_video_is_cut() -> None:
    (span,) = draw(instances=[Instance(1, 9.0, 12.0)]).truth
    assert (span.start, span.width) == (90.0, 10.0)


def test_background_and_what_nobody_believes_are_not_drawn() -> None:
    timeline = draw()
    assert [area.label for area in timeline.beliefs[0].areas] == ["walk"]
    assert [mark.label for mark in timeline.legend] == ["walk"]


def test_a_class_has_one_colour_in_truth_belief_and_legend() -> None:
    timeline = draw()
    assert timeline.truth[0].hue == timeline.beliefs[0].areas[0].hue == timeline.legend[0].hue


def test_ignored_steps_are_hatched() -> None:
    ignore = np.zeros(50, dtype=bool)
    ignore[[0, 1, 25, 49]] = True
    spans = draw(ignore=ignore).ignored
    assert [(span.start, span.width) for span in spans] == [(0, 4), (50, 2), (98, 2)]


def test_thumbnails_are_small_jpegs_of_what_was_given() -> None:
    frame = np.zeros((60, 80, 3), dtype=np.uint8)
    frame[:, :40] = (250, 20, 20)
    (uri,) = draw(thumbnails=[frame]).thumbnails
    head, _, content = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    picture = imread(io.BytesIO(base64.b64decode(content)), format="jpeg")
    assert picture.shape == (60, 80, 3)
    assert np.abs(picture.astype(int) - frame)[:, 4:36].max() < 30


@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(1, 20)).map(lambda pair: (pair[0], pair[0] + pair[1])),
        max_size=12,
    )
)
def test_actions_on_one_lane_never_overlap_and_no_lane_is_needless(times: list[tuple[int, int]]) -> None:
    instances = [Instance(1, start, end) for start, end in times]
    lanes = assign_lanes(instances)
    for lane in set(lanes):
        on_lane = sorted(time for time, its_lane in zip(times, lanes, strict=True) if its_lane == lane)
        assert all(first[1] <= second[0] for first, second in pairwise(on_lane))
    most_at_once = max((sum(s <= t < e for s, e in times) for t in range(71)), default=0)
    assert len(set(lanes)) == most_at_once


@pytest.mark.parametrize("count", [2, 3, 9, 13, 21, 61])
def test_every_class_has_a_hue_of_its_own_far_from_the_next(count: int) -> None:
    hues = class_hues(count)[1:]
    assert len(hues) == len(set(hues)) == count - 1
    gaps = [min(abs(a - b), 360 - abs(a - b)) for a, b in pairwise(hues)]
    assert all(gap >= 90 for gap in gaps) or count - 1 <= 4


def test_the_tables_of_all_videos_give_the_data_of_one(run: SimpleNamespace) -> None:
    data = timeline_data("test_07", run.frame_labels, run.action_instances, run.detector_scores, [])
    assert data.rate == 6.25
    # The instance of an ignored class is no truth; its time is ignored.
    assert [instance.class_index for instance in data.instances] == [1, 2, 4, 6, 5]
    assert data.ignore.sum() == 5
    assert list(data.scores) == ["frame_only", "rnn", "trn", "oadtr"]
    assert {scores.shape for scores in data.scores.values()} == {(125, 7)}


def test_the_section_says_when_videos_were_left_out() -> None:
    assert "The first 1 of 3 test videos" in timelines_section([draw()], 3).lead
    assert "The first" not in timelines_section([draw()], 1).lead
