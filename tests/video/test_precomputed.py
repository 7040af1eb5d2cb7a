"""Features and labels of others: what the public layout holds, and what is said when it does not fit."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prolepsis.errors import ProlepsisError
from prolepsis.video import precomputed
from prolepsis.video.precomputed import Description, PrecomputedVideo

NAMES = ("Background", "Run", "Jump", "Ambiguous")


def write(folder: Path, part: str, video: str, array: Any) -> Path:
    path = folder / part / f"{video}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return path


def find(folder: Path, splits: dict[str, str], **options: Any) -> list[PrecomputedVideo]:
    defaults = {"streams": ["rgb", "flow"], "targets": "target", "length_tolerance": 1}
    return precomputed.find_videos(folder, splits, leave_out_missing=False, **(defaults | options))


def video_of(folder: Path, targets: Any, num_steps: int | None = None) -> PrecomputedVideo:
    path = write(folder, "target", "a", targets)
    return PrecomputedVideo("a", "train", len(targets) if num_steps is None else num_steps, (), path)


def labels_of(
    video: PrecomputedVideo, names: Sequence[str] = NAMES, ignored: Sequence[str] = ("Ambiguous",)
) -> Any:
    return precomputed.label_steps(video, names, ignored, rate=4.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for video, steps in {"a": 5, "b": 3}.items():
        write(tmp_path, "rgb", video, np.full((steps, 2), 1.0))
        write(tmp_path, "flow", video, np.full((steps, 3), 2.0))
        write(tmp_path, "target", video, np.eye(4)[np.arange(steps) % 4])
    return tmp_path


# The description


@pytest.mark.parametrize("key", ["class_names", "class_index"])
def test_a_description_is_read_alone_or_by_its_name(tmp_path: Path, key: str) -> None:
    one = {key: ["Background", "Run"], "train_session_set": ["a"], "test_session_set": ["b"]}
    path = tmp_path / "data_info.json"
    for content, name in [(one, None), ({"X": one}, None), ({"X": one, "Y": {}}, "X")]:
        path.write_text(json.dumps(content))
        assert precomputed.read_description(path, name) == Description(("Background", "Run"), ("a",), ("b",))


def test_a_description_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    one = {"class_names": ["Run"], "train_session_set": ["a"], "test_session_set": ["b"]}
    path = tmp_path / "data_info.json"
    path.write_text(json.dumps(one), encoding="utf-8-sig")
    assert precomputed.read_description(path, None).train == ("a",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"class_names": [', "no JSON in UTF-8: Expecting value: line 1"),
        ('["a"]', r"is an object, .* here is: \['a'\]"),
        ('{"X": ["a"]}', r"is an object, .* here is: \['a'\]"),
        (
            '{"class_names": ["Run"], "train_session_set": null, "test_session_set": ["b"]}',
            "at train_session_set",
        ),
        (
            '{"class_names": "Background", "train_session_set": ["a"], "test_session_set": ["b"]}',
            "at class_names",
        ),
        ('{"class_names": ["Run"], "train_session_set": [1], "test_session_set": ["b"]}', "valid string"),
        (
            '{"class_names": ["Run"], "train_session_set": ["a"], "test_session_set": []}',
            "at test_session_set",
        ),
    ],
)
def test_a_description_of_another_form_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "data_info.json"
    path.write_text(text)
    with pytest.raises(ProlepsisError, match=message) as error:
        precomputed.read_description(path, None)
    assert error.value.where == path


@pytest.mark.parametrize(
    ("content", "dataset", "message"),
    [
        ({"THUMOS": {}, "TVSeries": {}}, "THUMOS14", "Did you mean 'THUMOS'"),
        ({"THUMOS": {"train_session_set": []}}, None, "lacks test_session_set, class_names or class_index"),
    ],
)
def test_a_description_that_lacks_something_is_refused(
    tmp_path: Path, content: dict[str, Any], dataset: str | None, message: str
) -> None:
    path = tmp_path / "data_info.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ProlepsisError, match=message):
        precomputed.read_description(path, dataset)


# Splits


def test_a_share_of_the_training_list_becomes_val_and_never_a_test_video() -> None:
    train = tuple(f"v{number}" for number in range(20))
    splits = precomputed.split_sessions(Description(NAMES, train, ("t0", "t1")), 0.15, seed=1)
    assert sorted(splits.values()) == ["test"] * 2 + ["train"] * 17 + ["val"] * 3
    assert splits["t0"] == splits["t1"] == "test"
    turned = Description(NAMES, tuple(reversed(train)), ("t0", "t1"))
    assert precomputed.split_sessions(turned, 0.15, seed=1) == splits
    assert precomputed.split_sessions(turned, 0.15, seed=2) != splits


def test_a_video_in_both_lists_is_refused() -> None:
    with pytest.raises(ProlepsisError, match="listed twice: b"):
        precomputed.split_sessions(Description(NAMES, ("a", "b"), ("b",)), 0.1, seed=0)


# Files


def test_streams_are_put_side_by_side_and_maps_are_averaged(folder: Path) -> None:
    write(folder, "flow", "a", np.arange(5 * 3 * 2 * 2).reshape(5, 3, 2, 2))
    one, other = find(folder, {"b": "test", "a": "train"})
    assert (one.video, one.split, one.num_steps, other.split) == ("a", "train", 5, "test")
    assert precomputed.feature_size(one) == 5
    [rows] = one.features()
    assert rows[1].tolist() == [1, 1, 13.5, 17.5, 21.5]


def test_maps_can_be_kept_in_the_files_order_a_bounded_number_of_values_at_a_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, "flow", "a", np.arange(5 * 3 * 2 * 2).reshape(5, 3, 2, 2))
    monkeypatch.setattr(precomputed, "_VALUES_AT_ONCE", 30)
    one, _ = find(folder, {"a": "train", "b": "test"}, keep_maps=True)
    assert precomputed.feature_size(one) == 14
    blocks = list(one.features())
    assert [len(block) for block in blocks] == [2, 2, 1]
    assert np.concatenate(blocks)[1].tolist() == [1, 1, *range(12, 24)]


def test_files_that_differ_by_one_step_are_cut_to_the_shortest(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(folder, "flow", "a", np.zeros((4, 3)))
    one, _ = find(folder, {"a": "train", "b": "test"})
    assert one.num_steps == 4
    assert next(one.features()).shape == (4, 5)
    assert len(labels_of(one)) == 4
    assert "1 videos have features and targets of different lengths" in caplog.text


@pytest.mark.parametrize("part", ["rgb", "target"])
def test_whichever_file_is_longer_the_cut_is_told(
    part: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    find(folder, {"a": "train", "b": "test"})
    assert not caplog.text
    path = folder / part / "a.npy"
    values = np.load(path)
    np.save(path, np.concatenate([values, values[-1:]]))
    find(folder, {"a": "train", "b": "test"})
    assert "1 videos have features and targets of different lengths" in caplog.text


def test_files_that_differ_by_more_are_refused_with_their_lengths(folder: Path) -> None:
    write(folder, "flow", "a", np.zeros((9, 3)))
    with pytest.raises(ProlepsisError, match="rgb 5, flow 9, target 5"):
        find(folder, {"a": "train"})


def test_a_listed_video_without_files_is_answered_with_the_nearest_name(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(folder, "rgb", "video_0000051", np.zeros((5, 2)))
    with pytest.raises(
        ProlepsisError, match=r"video_000051: not in rgb, flow, target \(there is 'video_0000051'\)"
    ):
        find(folder, {"a": "train", "video_000051": "test"})
    found = precomputed.find_videos(
        folder,
        {"a": "train", "video_000051": "test"},
        streams=["rgb"],
        targets="target",
        length_tolerance=1,
        leave_out_missing=True,
    )
    assert [video.video for video in found] == ["a"]
    assert "1 listed videos are left out" in caplog.text


def test_a_stream_without_a_folder_is_answered_with_those_there_are(folder: Path) -> None:
    with pytest.raises(ProlepsisError, match="no folder 'rgbs'") as error:
        find(folder, {"a": "train"}, streams=["rgbs"])
    assert "Did you mean 'rgb'?" in str(error.value)


def test_python_objects_are_never_unpickled(folder: Path) -> None:
    np.save(folder / "rgb" / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ProlepsisError, match="of Python objects") as error:
        find(folder, {"a": "train"})
    assert "allow_pickle" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: b"", "The file is empty"),
        (lambda content: b"0.1 0.2\n", "no NumPy file of one array"),
        (lambda content: content[:-8], "damaged or cut off"),
        (lambda content: content[:20], "damaged or cut off"),
    ],
)
def test_what_is_no_whole_numpy_file_is_refused(folder: Path, change: Any, message: str) -> None:
    path = folder / "rgb" / "a.npy"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ProlepsisError, match=message) as error:
        find(folder, {"a": "train"})
    assert error.value.where == path
    assert "Python" not in str(error.value)


@pytest.mark.parametrize(
    ("part", "array", "message"),
    [
        ("rgb", np.array(3.0), r"the shape \[\]; its axes are steps and numbers"),
        ("rgb", np.zeros(5), r"the shape \[5\]; its axes are steps and numbers"),
        ("rgb", np.zeros((5, 0)), r"the shape \[5, 0\]"),
        ("rgb", np.zeros((0, 2)), r"the shape \[0, 2\]"),
        ("rgb", np.full((5, 2), "1.0"), "is of <U3; features and targets are real numbers"),
        ("rgb", np.zeros((5, 2), dtype=complex), "is of complex128"),
        ("target", np.array(1), r"the shape \[\]; its axes are steps, and classes"),
        ("target", np.full((5, 4), "Run"), "is of <U3"),
    ],
)
def test_an_array_that_is_no_features_or_targets_is_refused(
    folder: Path, part: str, array: Any, message: str
) -> None:
    path = write(folder, part, "a", array)
    with pytest.raises(ProlepsisError, match=message) as error:
        find(folder, {"a": "train"})
    assert error.value.where == path


def test_what_is_not_a_number_is_answered_with_its_file_and_step(folder: Path) -> None:
    flow = np.zeros((5, 3))
    flow[3, 1] = np.nan
    path = write(folder, "flow", "a", flow)
    [video] = find(folder, {"a": "train"})
    with pytest.raises(ProlepsisError, match="features of step 3 are not numbers") as error:
        list(video.features())
    assert error.value.where == path


# Labels


def test_background_comes_first_and_an_ignored_class_becomes_a_mask(tmp_path: Path) -> None:
    names = ("Run", "Ambiguous", "Background", "Jump")
    targets = np.array([[1, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0], [0, 1, 0, 1]])
    rows = labels_of(video_of(tmp_path, targets), names)
    assert precomputed.arrange_classes(names, ["Ambiguous"]) == ["background", "Run", "Jump"]
    assert rows["labels"].to_list() == [[0, 1, 1], [1, 0, 0], [1, 0, 0], [0, 0, 1]]
    assert rows["ignore"].to_list() == [False, False, True, True]
    assert rows["step"].to_list() == [0, 1, 2, 3]
    assert rows["time"].to_list() == [0.125, 0.375, 0.625, 0.875]
    assert str(rows["labels"].dtype) == "List(UInt8)"


def test_targets_may_be_the_numbers_of_classes(tmp_path: Path) -> None:
    rows = labels_of(video_of(tmp_path, np.array([0, 2, 1, 3])))
    assert rows["labels"].to_list() == [[1, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]]
    assert rows["ignore"].to_list() == [False, False, False, True]


def test_a_column_too_many_is_the_background_of_classes_that_have_none(tmp_path: Path) -> None:
    rows = labels_of(video_of(tmp_path, np.eye(3)), ("Run", "Jump"), ())
    assert rows["labels"].to_list() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_the_background_may_have_another_name(tmp_path: Path) -> None:
    names = ("Run", "NoAction", "Jump")
    video = video_of(tmp_path, np.eye(3))
    assert precomputed.arrange_classes(names, [], "NoAction") == ["background", "Run", "Jump"]
    rows = precomputed.label_steps(video, names, [], rate=4.0, background="NoAction")
    assert rows["labels"].to_list() == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]
    with pytest.raises(ProlepsisError, match="'NoActon' of background is not one") as error:
        precomputed.arrange_classes(names, [], "NoActon")
    assert "Did you mean 'NoAction'?" in str(error.value)


@pytest.mark.parametrize("names", [("Run", "Run"), ("background", "NoAction")])
def test_two_classes_of_one_name_are_refused(names: tuple[str, str]) -> None:
    with pytest.raises(ProlepsisError, match="More than one class would be called"):
        precomputed.arrange_classes(names, [], "NoAction" if "NoAction" in names else None)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (np.zeros((3, 5)), r"shape \[3, 5\]; there are 4 classes"),
        (np.array([0, 4]), "classes from 0 to 4; there are 4"),
        (np.full((3, 4), 0.5), "neither 0 nor 1"),
    ],
)
def test_targets_that_do_not_fit_the_classes_are_refused(tmp_path: Path, targets: Any, message: str) -> None:
    with pytest.raises(ProlepsisError, match=message):
        labels_of(video_of(tmp_path, targets))


def test_an_unknown_ignored_class_is_answered_with_the_nearest() -> None:
    with pytest.raises(ProlepsisError, match="'Ambigous' of ignored_classes is not one") as error:
        precomputed.arrange_classes(NAMES, ["Ambigous"])
    assert "Did you mean 'Ambiguous'?" in str(error.value)
