import json
from pathlib import Path

import pytest

from prolepsis.errors import ProlepsisError
from prolepsis.video.annotations import (
    Annotation,
    Checked,
    Leniency,
    check_annotations,
    differing_durations,
    video_id,
)

FILE = Path("annotations.csv")
STRICT = Leniency()


def check(*annotations: Annotation, classes: list[str] | None = None, leniency: Leniency = STRICT) -> Checked:
    return check_annotations(
        annotations,
        durations={"harbour": 10.0, "market/early": 20.0},
        set_aside=["broken"],
        tolerance=0.08,
        classes=classes,
        where=FILE,
        leniency=leniency,
    )


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("train/a.mp4", "a"),
        ("val/day 1/a.b.mkv", "day 1/a.b"),
        ("a.mp4", "a"),
        ("a.MP4", "a"),
        ("train/clip.2.mp4", "clip.2"),
        ("clip.2", "clip.2"),
        ("test/walk.v2", "walk.v2"),
        ("train.mp4", "train"),
        ("kitchen/test/a.mp4", "kitchen/test/a"),
    ],
)
def test_a_video_is_known_by_its_path_without_split_and_suffix(path: str, expected: str) -> None:
    assert video_id(path) == expected


def test_good_annotations_come_back_sorted_under_the_ids_of_their_videos() -> None:
    late = Annotation("train/market/early.mp4", 3.0, 4.0, "jump", "line 2")
    early = Annotation("harbour.mp4", 1.0, 10.05, "run", "line 3")  # beyond the end, but within half a step
    checked = check(late, early)
    assert [(one.video, one.label) for one in checked.annotations] == [
        ("harbour", "run"),
        ("market/early", "jump"),
    ]
    assert checked.left_out == 0


@pytest.mark.parametrize(
    ("annotation", "problem"),
    [
        (
            Annotation("harbor", 1, 2, "jump", "line 7"),
            "line 7: there is no video 'harbor'; did you mean 'harbour'",
        ),
        (Annotation("", 1, 2, "jump", "line 7"), "line 7: there is no video ''"),
        (Annotation("harbour", 1, 2, "junp", "line 7"), "there is no class 'junp'; did you mean 'jump'"),
        (Annotation("harbour", 1, 2, "", "line 7"), "line 7: there is no label"),
        (Annotation("harbour", 1, 2, "background", "line 7"), "it is what no annotation covers"),
        (Annotation("harbour", -0.5, 2, "jump", "line 7"), "the start -0.5 s is negative"),
        (Annotation("harbour", 2, 2, "jump", "line 7"), "the end 2 s is not after the start 2 s"),
        (Annotation("harbour", 3, 2, "jump", "line 7"), "the end 2 s is not after the start 3 s"),
        (
            Annotation("harbour", 3, 10.1, "jump", "line 7"),
            "the end 10.1 s is beyond the end of the video 'harbour' at 10.00 s",
        ),
        (Annotation("harbour", float("nan"), 2, "jump", "line 7"), "nan to 2 are not times"),
        (Annotation("harbour", 5, 6, "jump", "line 7"), "the same annotation is given at line 2"),
    ],
)
def test_a_wrong_annotation_stops_the_run_and_is_named(annotation: Annotation, problem: str) -> None:
    good = Annotation("harbour", 5, 6, "jump", "line 2")
    with pytest.raises(ProlepsisError) as caught:
        check(good, annotation, classes=["jump", "run"])
    assert problem in caught.value.message
    assert caught.value.where == FILE
    assert caught.value.remedy
    assert "line 2:" not in caught.value.message  # the good one is not blamed


def test_many_wrong_annotations_make_one_message_of_bearable_length() -> None:
    wrong = [Annotation("harbour", 2, 1, "jump", f"line {line}") for line in range(2, 32)]
    with pytest.raises(ProlepsisError) as caught:
        check(*wrong)
    assert len(caught.value.message.splitlines()) == 7
    assert "more" in caught.value.message.splitlines()[-1]


def test_annotations_of_videos_that_were_set_aside_are_left_out_and_counted() -> None:
    checked = check(
        Annotation("train/broken.mp4", 5, 99, "jump", "line 2"),
        Annotation("harbour", 1, 2, "run", "line 3"),
    )
    assert [one.video for one in checked.annotations] == ["harbour"]
    assert checked.left_out == 1


def test_unknown_videos_are_left_out_where_that_is_asked_for() -> None:
    unknown = Annotation("elsewhere", 1, 2, "run", "line 2")
    assert check(unknown, leniency=Leniency(leave_out_unknown_videos=True)) == Checked([], 1)


def test_a_double_is_left_out_and_counted_where_that_is_asked_for() -> None:
    first, again = (Annotation("harbour", 1, 2, "run", f"line {line}") for line in (2, 3))
    assert check(first, again, leniency=Leniency(leave_out_duplicates=True)) == Checked([first], 1)


def test_ends_beyond_the_video_are_clipped_to_it_where_that_is_asked_for() -> None:
    long = Annotation("harbour", 8.0, 11.0, "run", "line 2")
    beyond = Annotation("harbour", 10.0, 12.0, "run", "line 3")
    checked = check(long, beyond, leniency=Leniency(clip_ends=True))
    assert checked == Checked([Annotation("harbour", 8.0, 10.0, "run", "line 2")], 1)


def test_actions_of_one_class_that_overlap_are_refused_with_both_places() -> None:
    long = Annotation("harbour", 1, 6, "run", "line 2")
    inside = Annotation("harbour", 2, 3, "run", "line 3")
    later = Annotation("harbour", 5, 7, "run", "line 4")
    with pytest.raises(ProlepsisError) as caught:
        check(later, inside, long)
    assert "line 3: 'run' begins at 2 s, before the one at line 2 ends, at 6 s" in caught.value.message
    assert "line 4: 'run' begins at 5 s, before the one at line 2 ends, at 6 s" in caught.value.message
    assert len(check(later, inside, long, leniency=Leniency(allow_overlaps=True)).annotations) == 3


def test_the_published_segments_of_thumos_pass_as_its_environment_says(shared_data: Path) -> None:
    videos = json.loads((shared_data / "thumos14" / "segments.json").read_text())
    annotations = [
        Annotation(name, start, end, label, f"{name}, {number}")
        for name, video in videos.items()
        for number, (start, end, label) in enumerate(video["annotations"])
    ]
    durations = {name: video["duration"] for name, video in videos.items()}
    allowed = Leniency(leave_out_duplicates=True, clip_ends=True, allow_overlaps=True)
    checked = check_annotations(
        annotations,
        durations=durations,
        set_aside=(),
        tolerance=0.125,
        classes=None,
        where=FILE,
        leniency=allowed,
    )
    assert (len(annotations), len(checked.annotations), checked.left_out) == (6365, 6335, 30)
    assert all(one.end <= durations[one.video] for one in checked.annotations)
    with pytest.raises(ProlepsisError, match="37 of the annotations' values are wrong"):
        check_annotations(
            annotations, durations=durations, set_aside=(), tolerance=0.125, classes=None, where=FILE
        )


def test_actions_may_touch_and_those_of_two_classes_or_videos_overlap() -> None:
    checked = check(
        Annotation("harbour", 1, 3, "run", "line 2"),
        Annotation("harbour", 2.95, 4, "run", "line 3"),  # within half a step
        Annotation("harbour", 2, 5, "jump", "line 4"),
        Annotation("market/early", 2, 5, "run", "line 5"),
    )
    assert len(checked.annotations) == 4


def test_a_number_behind_a_point_is_part_of_a_name_and_names_no_other_video() -> None:
    with pytest.raises(ProlepsisError, match=r"no video 'clip\.3'; did you mean 'clip\.2'"):
        check_annotations(
            [Annotation("clip.3", 0.1, 1.0, "wave", "line 2")],
            durations={"clip": 9.0, "clip.2": 9.0},
            set_aside=(),
            tolerance=0.1,
            classes=None,
            where=FILE,
        )


def test_lengths_that_differ_by_more_than_a_step_and_a_hundredth_are_told() -> None:
    stated = {"train/a.mp4": 10.2, "b": 10.3, "long": 1005.0, "longer": 1020.0, "unknown": 3.0}
    durations = {"a": 10.0, "b": 10.0, "long": 1000.0, "longer": 1000.0}
    assert differing_durations(stated, durations, tolerance=0.25) == [
        "b lasts 10.00 s, and is annotated for 10.30 s",
        "longer lasts 1000.00 s, and is annotated for 1020.00 s",
    ]
