import hashlib
import stat
from pathlib import Path

import pytest

from prolepsis.files import (
    atomic_directory,
    atomic_file,
    fingerprint,
    read_json,
    sha256_file,
    write_json,
)


def test_a_file_whose_writing_fails_is_left_as_it_was(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_file(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError("the disk is full")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_whose_writing_fails_is_left_as_it_was(tmp_path: Path):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "a.txt").write_text("old")
    with pytest.raises(RuntimeError), atomic_directory(path) as temporary:
        (temporary / "a.txt").write_text("new")
        raise RuntimeError("killed")
    assert (path / "a.txt").read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]


def test_a_new_folder_takes_the_place_of_the_old_one_whole(tmp_path: Path):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "left over").write_text("old")
    with atomic_directory(path) as temporary:
        (temporary / "a.txt").write_text("new")
    assert [file.name for file in path.iterdir()] == ["a.txt"]
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]


def test_written_files_have_ordinary_permissions(tmp_path: Path):
    (tmp_path / "plain").write_text("x")
    with atomic_file(tmp_path / "atomic") as temporary:
        temporary.write_text("x")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "atomic")}
    assert len(modes) == 1


def test_json_keeps_what_it_was_given_and_refuses_nan(tmp_path: Path):
    value = {"größe": [1, 2.5, None, True], "名": "词"}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert read_json(tmp_path / "a.json") == value


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path):
    content = bytes(range(256)) * 10_000
    (tmp_path / "a.bin").write_bytes(content)
    assert sha256_file(tmp_path / "a.bin") == hashlib.sha256(content).hexdigest()


def test_a_fingerprint_ignores_the_order_of_keys_and_nothing_else():
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint({"a": 1, "b": [1, 2]}) != fingerprint({"a": 1, "b": [2, 1]})
