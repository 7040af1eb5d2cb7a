import json
from pathlib import Path

import pytest

from prolepsis.errors import ProlepsisError
from prolepsis.video.annotations import Annotation
from prolepsis.video.annotations.activitynet import ActivityNetReader


def read_json(path: Path, content: object) -> list[Annotation]:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return ActivityNetReader(ActivityNetReader.Config()).read(path)


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
        ("{", "is not JSON as it should be"),
        ([], 'no object "database"'),
        ({"database": []}, 'no object "database"'),
        ({"database": {"abc": {}}}, "no list \"annotations\" for the video 'abc'"),
        ({"database": {"abc": {"annotations": [{"segment": [1], "label": "x"}]}}}, r"annotations\[0\]"),
        ({"database": {"abc": {"annotations": [{"segment": [1, "2"], "label": "x"}]}}}, r"annotations\[0\]"),
        (
            {"database": {"abc": {"annotations": [{"segment": [False, True], "label": "x"}]}}},
            r"annotations\[0\]",
        ),
        ('{"database": {"abc": {"annotations": []}, "abc": {"annotations": []}}}', "has 'abc' twice"),
        ({"database": {"abc": {"annotations": [{"segment": [1, 2]}]}}}, r"annotations\[0\]"),
    ],
)
def test_a_broken_json_is_refused_with_its_place(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(ProlepsisError, match=message):
        read_json(tmp_path / "a.json", content)


def test_a_number_beyond_all_floats_is_left_to_the_checks(tmp_path: Path) -> None:
    text = '{"database": {"abc": {"annotations": [{"segment": [1, %s], "label": "x"}]}}}' % ("9" * 400)
    assert [one.end for one in read_json(tmp_path / "a.json", text)] == [float("inf")]


def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    assert read_json(tmp_path / "a.json", '\ufeff{"database": {}}') == []


def test_a_folder_is_refused_since_one_file_is_read(tmp_path: Path) -> None:
    with pytest.raises(ProlepsisError, match="a folder, and this reader takes one file"):
        ActivityNetReader(ActivityNetReader.Config()).read(tmp_path)
