from pathlib import Path

import pytest

from prolepsis.errors import ProlepsisError
from prolepsis.video.annotations import Annotation
from prolepsis.video.annotations.csv_seconds import CsvReader


def read_csv(path: Path, text: str | bytes, **config: str) -> list[Annotation]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return CsvReader(CsvReader.Config(**config)).read(path)


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
        ("", "The annotation file is empty", "a.csv"),
        ("\n", "no column video, start, end, label; the columns are: none", "line 1"),
        ("video,begin,end,label\n", "no column start; the columns are: video, begin", "line 1"),
        ("video,start,end,label\nharbour,0,1,jump\nharbour,soon,1,jump\n", "start 'soon' is not a", "line 3"),
        ("video,start,end,label\nharbour,0\n", "end '' is not a number", "line 2"),
        ("video,start,end,label\nharbour,1_0e-1,2,jump\n", "start '1_0e-1' is not a number", "line 2"),
        (
            "video,start,end,label\n\na,0.1,1,pick up, put down\n",
            "has 5 cells, and the header has 4",
            "line 3",
        ),
        ("video;start;end;label\na;0;1;jump\n", "separates them seems to be ';', not ','", "line 1"),
        (
            'video,start,end,label\na,0,1,jump\n"b,0,1,jump\nc,0,1,jump\n',
            "row that begins here is no CSV: unexpected end of data",
            "line 3",
        ),
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


def test_a_comma_in_a_label_is_read_where_it_is_quoted(tmp_path: Path) -> None:
    text = 'video,start,end,label\na,0.1,1,"pick up, put down"\n'
    assert [one.label for one in read_csv(tmp_path / "a.csv", text)] == ["pick up, put down"]


def test_a_folder_or_nothing_is_refused_since_one_file_is_read(tmp_path: Path) -> None:
    reader = CsvReader(CsvReader.Config())
    with pytest.raises(ProlepsisError, match="a folder, and this reader takes one file") as caught:
        reader.read(tmp_path)
    assert caught.value.where == tmp_path
    assert caught.value.remedy
    with pytest.raises(ProlepsisError, match="are not there"):
        reader.read(tmp_path / "absent.csv")
