from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from prolepsis.errors import ProlepsisError
from prolepsis.video.annotations import Annotation
from prolepsis.video.annotations.per_frame_text import PerFrameTextReader
from prolepsis.video.labels import ActionInstance, rasterise


def reader(rate: float = 15.0) -> PerFrameTextReader:
    return PerFrameTextReader(PerFrameTextReader.Config(frames_per_second=rate))


def test_runs_of_a_label_are_actions_and_background_is_none(tmp_path: Path) -> None:
    (tmp_path / "P03").mkdir()
    (tmp_path / "P03" / "coffee.txt").write_text(
        "SIL\n" * 15 + "take_cup\n" * 30 + "pour_milk \n" * 5 + "SIL\n"
    )
    assert reader().read(tmp_path) == [
        Annotation("P03/coffee", 1.0, 3.0, "take_cup", "coffee.txt, lines 16 to 45"),
        Annotation("P03/coffee", 3.0, 50 / 15, "pour_milk", "coffee.txt, lines 46 to 50"),
    ]


def test_one_file_is_one_video(tmp_path: Path) -> None:
    (tmp_path / "rgb-01-1.txt").write_text("cut_tomato\ncut_tomato\naction_end\n")
    assert reader(30.0).read(tmp_path / "rgb-01-1.txt") == [
        Annotation("rgb-01-1", 0.0, 2 / 30, "cut_tomato", "rgb-01-1.txt, lines 1 to 2")
    ]


def test_how_many_lines_a_second_has_must_be_said() -> None:
    for config in ({}, {"frames_per_second": 0}):
        with pytest.raises(ValidationError, match="frames_per_second"):
            PerFrameTextReader.Config.model_validate(config)


@given(
    st.lists(st.sampled_from(["SIL", "a", "b", "c"]), min_size=1, max_size=40),
    st.sampled_from([15.0, 29.97, 30.0]),
)
def test_the_actions_give_every_frame_its_label_back(
    tmp_path_factory: pytest.TempPathFactory, labels: list[str], rate: float
) -> None:
    file = tmp_path_factory.mktemp("labels") / "video.txt"
    file.write_text("\n".join(labels))
    actions = [ActionInstance(one.start, one.end, ord(one.label) - 96) for one in reader(rate).read(file)]
    found = rasterise(actions, steps=len(labels), rate=rate, num_classes=4, frames_per_second=rate).labels
    expected = [0 if label == "SIL" else ord(label) - 96 for label in labels]
    np.testing.assert_array_equal(found.argmax(axis=1), expected)
    np.testing.assert_array_equal(found.sum(axis=1), 1)


def test_an_empty_line_between_frames_is_refused_with_its_number(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("SIL\nSIL\n\npour\n\n")
    with pytest.raises(ProlepsisError, match="This line is empty") as caught:
        reader().read(tmp_path)
    assert str(caught.value.where).endswith("a.txt, line 3")


def test_the_lines_say_how_long_each_video_is(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("SIL\n" * 30 + "\n")
    (tmp_path / "b.2.txt").write_text("pour\n" * 45)
    assert reader().durations(tmp_path) == {"a": 2.0, "b.2": 3.0}
