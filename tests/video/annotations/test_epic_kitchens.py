from pathlib import Path
from typing import Literal

import pytest

from prolepsis.errors import ProlepsisError
from prolepsis.video.annotations import Annotation
from prolepsis.video.annotations.epic_kitchens import EpicKitchensReader

HEADER = (
    "narration_id,participant_id,video_id,start_timestamp,stop_timestamp,narration,"
    "verb,verb_class,noun,noun_class\n"
)


def read(path: Path, label: Literal["verb", "noun", "action"]) -> list[Annotation]:
    return EpicKitchensReader(EpicKitchensReader.Config(label=label)).read(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "EPIC_100_train.csv").write_text(
        HEADER + 'P01_01_0,P01,P01_01,00:00:00.14,00:00:03.37,"open, door",open,3,door,8\n'
    )
    (tmp_path / "EPIC_100_validation.csv").write_text(
        HEADER + "P02_01_0,P02,P02_01,01:02:03.5,01:02:04,take cup,grab,0,cup,13\n"
    )
    return tmp_path


def test_classes_have_their_numbers_without_the_files_of_names(folder: Path) -> None:
    assert read(folder, "verb") == [
        Annotation("P01_01", 0.14, 3.37, "3", "EPIC_100_train.csv, line 2"),
        Annotation("P02_01", 3723.5, 3724.0, "0", "EPIC_100_validation.csv, line 2"),
    ]
    assert [one.label for one in read(folder / "EPIC_100_train.csv", "action")] == ["3 8"]


def test_classes_have_their_names_with_them(folder: Path) -> None:
    (folder / "EPIC_100_verb_classes.csv").write_text(
        "id,key,instances,category\n0,take,\"['take','grab']\",x\n3,open,[],x\n"
    )
    (folder / "EPIC_100_noun_classes.csv").write_text("id,key,instances\n8,door,[]\n13,cup,[]\n")
    labels: dict[Literal["verb", "noun", "action"], list[str]] = {
        "verb": ["open", "take"],
        "noun": ["door", "cup"],
        "action": ["open door", "take cup"],
    }
    for label, expected in labels.items():
        assert [one.label for one in read(folder, label)] == expected


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("n,p,v,1:2,00:00:02,x,x,3,x,8\n", "'1:2' is not a time"),
        ("n,p,v,00:00:01,00:00:75,x,x,3,x,8\n", "'00:00:75' is not a time"),
        ("n,p,v,00:00:01,00:00:02,x,x,99,x,8\n", "no verb class '99'"),
    ],
)
def test_a_broken_row_is_named(folder: Path, row: str, message: str) -> None:
    (folder / "EPIC_100_verb_classes.csv").write_text("id,key\n0,take\n3,open\n")
    (folder / "EPIC_100_train.csv").write_text(HEADER + row)
    with pytest.raises(ProlepsisError, match=message) as caught:
        read(folder, "verb")
    assert "EPIC_100_train.csv, line 2" in str(caught.value.where)
    assert caught.value.remedy


def test_timestamps_without_classes_are_not_enough(tmp_path: Path) -> None:
    (tmp_path / "EPIC_100_test_timestamps.csv").write_text(
        "narration_id,video_id,start_timestamp,stop_timestamp\n"
    )
    with pytest.raises(ProlepsisError, match="no column verb_class, noun_class"):
        read(tmp_path, "action")


def test_names_of_verbs_alone_do_not_make_names_of_actions(folder: Path) -> None:
    (folder / "EPIC_100_verb_classes.csv").write_text("id,key\n0,take\n3,open\n")
    assert [one.label for one in read(folder, "verb")] == ["open", "take"]
    with pytest.raises(ProlepsisError, match="none of the nouns") as caught:
        read(folder, "action")
    assert "EPIC_100_noun_classes.csv" in str(caught.value.remedy)
