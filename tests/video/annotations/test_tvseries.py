from pathlib import Path

import pytest

from prolepsis.errors import ProlepsisError
from prolepsis.video.annotations import Annotation
from prolepsis.video.annotations.tvseries import TVSeriesReader

READER = TVSeriesReader(TVSeriesReader.Config())
FLAGS = "\t1\t0\t0\t1\t0\t1\t0\t0\t0\t0\t0\t0\tbehind a door"


def test_the_first_four_columns_are_read(tmp_path: Path) -> None:
    (tmp_path / "GT-train.txt").write_text(f"24_ep1\tPick something up\t12.5\t14{FLAGS}\n")
    (tmp_path / "GT-test.txt").write_text(f"Mad_Men_ep3\tFall/trip\t0.4\t1.2{FLAGS}\n")
    (tmp_path / "classes.txt").write_text("Fall/trip\nPick something up\n")
    assert READER.read(tmp_path) == [
        Annotation("Mad_Men_ep3", 0.4, 1.2, "Fall/trip", "GT-test.txt, line 1"),
        Annotation("24_ep1", 12.5, 14.0, "Pick something up", "GT-train.txt, line 1"),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [("24_ep1 Drink 1 2", "has 1 of the four columns"), ("24_ep1\tDrink\tsoon\t2", "The start 'soon'")],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "GT-val.txt").write_text(f"{line}\n")
    with pytest.raises(ProlepsisError, match=message) as caught:
        READER.read(tmp_path)
    assert "GT-val.txt, line 1" in str(caught.value.where)
    assert caught.value.remedy
