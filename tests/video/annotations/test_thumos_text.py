from pathlib import Path

import pytest

from prolepsis.errors import ProlepsisError
from prolepsis.video.annotations import Annotation
from prolepsis.video.annotations.thumos_text import ThumosTextReader

READER = ThumosTextReader(ThumosTextReader.Config())


def test_a_file_is_a_class_and_a_line_an_action(tmp_path: Path) -> None:
    (tmp_path / "HighJump_val.txt").write_text(
        "video_validation_0000051  67.5 75.9\n\nvideo_validation_0000052 1 2\n"
    )
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "Ambiguous_test.txt").write_text("video_test_0000278 0.0 1.4\n")
    assert READER.read(tmp_path) == [
        Annotation("video_validation_0000051", 67.5, 75.9, "HighJump", "HighJump_val.txt, line 1"),
        Annotation("video_validation_0000052", 1.0, 2.0, "HighJump", "HighJump_val.txt, line 3"),
        Annotation("video_test_0000278", 0.0, 1.4, "Ambiguous", "Ambiguous_test.txt, line 1"),
    ]


def test_one_file_will_do(tmp_path: Path) -> None:
    (tmp_path / "Diving.txt").write_text("a 1 2\n")
    assert READER.read(tmp_path / "Diving.txt") == [Annotation("a", 1.0, 2.0, "Diving", "Diving.txt, line 1")]


@pytest.mark.parametrize(
    ("text", "message"),
    [("a 1\n", "This is not an annotation: 'a 1'"), ("a 1 two\n", "The end 'two' is not a number")],
)
def test_a_broken_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "Diving_test.txt").write_text(text)
    with pytest.raises(ProlepsisError, match=message) as caught:
        READER.read(tmp_path)
    assert "Diving_test.txt, line 1" in str(caught.value.where)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Diving_test.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ProlepsisError, match="not text in UTF-8"):
        READER.read(tmp_path)


def test_an_empty_file_is_refused_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "Diving_test.txt").touch()
    with pytest.raises(ProlepsisError, match="The annotation file is empty") as caught:
        READER.read(tmp_path)
    assert caught.value.where == tmp_path / "Diving_test.txt"
    assert caught.value.remedy


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProlepsisError, match=r"no file \*\.txt") as caught:
        READER.read(tmp_path)
    assert caught.value.remedy
