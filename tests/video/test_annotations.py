import json
from pathlib import Path

import pytest

from prolepsis.errors import ProlepsisError
from prolepsis.plugins import load
from prolepsis.video.annotations import (
    ActivityNetReader,
    Annotation,
    Checked,
    CsvReader,
    check_annotations,
    video_id,
)

FILE = Path("annotations.csv")


def read_csv(path: Path, text: str | bytes, **config: str) -> list[Annotation]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return CsvReader(CsvReader.Config(**config)).read(path)


def read_json(path: Path, content: object) -> list[Annotation]:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return ActivityNetReader(ActivityNetReader.Config()).read(path)


def check(*annotations: Annotation, classes: list[str] | None = None, leave_out: bool = False) -> Checked:
    return check_annotations(
        annotations,
        durations={"harbour": 10.0, "market/early": 20.0},
        set_aside=["broken"],
        tolerance=0.08,
        classes=classes,
        leave_out_unknown_videos=leave_out,
        where=FILE,
    )


def test_readers_are_found_as_plugins() -> None:
    assert load("prolepsis.annotation_readers", "csv") is CsvReader
    assert load("prolepsis.annotation_readers", "activitynet_json") is ActivityNetReader


def test_a_csv_is_read_with_the_line_of_each_annotation(tmp_path: Path) -> None:
    text = 'video,start,end,label,note\nharbour,0.5,2,jump,x\n\n"a, b",1,2.25, long jump ,\n'
    assert read_csv(tmp_path / "a.csv", text) == [
        Annotation("harbour", 0.5, 2.0, "jump", "line 2"),
        Annotation("a, b", 1.0, 2.25, "long jump", "line 4"),
    ]


def test_a_csv_may_have_other_columns_separators_and_a_byte_order_mark(tmp_path: Path) -> None:
    text = b"\xef\xbb\xbfid;from;to;verb\r\nharbour;0.5;2;jump\r\n"
    found = read_csv(
        tmp_path / "a.csv", text, video="id", start="from", end="to", label="verb", delimiter=";"
    )
    assert found == [Annotation("harbour", 0.5, 2.0, "jump", "line 2")]


@pytest.mark.parametrize(
    ("text", "message", "where"),
    [
        ("", "no column video, start, end, label; the columns are: none", "line 1"),
        ("video,begin,end,label\n", "no column start; the columns are: video, begin", "line 1"),
        ("video,start,end,label\nharbour,0,1,jump\nharbour,soon,1,jump\n", "start 'soon' is not a", "line 3"),
        ("video,start,end,label\nharbour,0\n", "end '' is not a number", "line 2"),
        (b"video,start,end,label\nharbour,0,1,\xff\n", "not a CSV in UTF-8", "a.csv"),
    ],
)
def test_a_broken_csv_is_refused_with_its_place(
    tmp_path: Path, text: str | bytes, message: str, where: str
) -> None:
    with pytest.raises(ProlepsisError, match=message) as caught:
        read_csv(tmp_path / "a.csv", text)
    assert where in str(caught.value.where)
    assert caught.value.remedy


def test_activitynet_json_is_read_with_the_place_of_each_annotation(tmp_path: Path) -> None:
    entry = {"subset": "training", "annotations": [{"segment": [1, 2.5], "label": "Long jump"}]}
    path = tmp_path / "a.json"
    found = read_json(path, {"database": {"abc": entry, "empty": {"annotations": []}}, "version": "1.3"})
    assert found == [Annotation("abc", 1.0, 2.5, "Long jump", "database.abc.annotations[0]")]
    prefixed = ActivityNetReader(ActivityNetReader.Config(video_prefix="v_")).read(path)
    assert [annotation.video for annotation in prefixed] == ["v_abc"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ([], 'no object "database"'),
        ({"database": []}, 'no object "database"'),
        ({"database": {"abc": {}}}, "no list \"annotations\" for the video 'abc'"),
        ({"database": {"abc": {"annotations": [{"segment": [1], "label": "x"}]}}}, r"annotations\[0\]"),
        ({"database": {"abc": {"annotations": [{"segment": [1, "2"], "label": "x"}]}}}, r"annotations\[0\]"),
        ({"database": {"abc": {"annotations": [{"segment": [1, 2]}]}}}, r"annotations\[0\]"),
    ],
)
def test_a_broken_json_is_refused_with_its_place(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(ProlepsisError, match=message):
        read_json(tmp_path / "a.json", content)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("train/a.mp4", "a"),
        ("val/day 1/a.b.mkv", "day 1/a.b"),
        ("a.mp4", "a"),
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
    assert check(unknown, leave_out=True) == Checked([], 1)
