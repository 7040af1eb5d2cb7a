from pathlib import Path

import pytest
from kedro.io.core import DatasetError

from prolepsis.io import FileDataset, FolderDataset


def test_a_folder_is_written_file_by_file_and_read_as_its_path(tmp_path: Path):
    dataset = FolderDataset(filepath=str(tmp_path / "videos"))
    dataset.save((name, name.encode()) for name in ("train/a.mp4", "test/b.mp4"))
    assert dataset.exists()
    assert (dataset.load() / "train" / "a.mp4").read_bytes() == b"train/a.mp4"


@pytest.mark.parametrize("name", ["../a", "/etc/a", "b/../../a", ""])
def test_nothing_is_written_outside_the_folder(tmp_path: Path, name: str):
    dataset = FolderDataset(filepath=str(tmp_path / "videos"))
    with pytest.raises(DatasetError, match="outside"):
        dataset.save([(name, b"x")])
    assert list(tmp_path.iterdir()) == []


def test_an_absent_folder_or_file_is_named(tmp_path: Path):
    with pytest.raises(DatasetError, match="no such folder"):
        FolderDataset(filepath=str(tmp_path / "absent")).load()
    with pytest.raises(DatasetError, match="no such file"):
        FileDataset(filepath=str(tmp_path / "absent")).load()


def test_a_file_is_written_from_bytes(tmp_path: Path):
    dataset = FileDataset(filepath=str(tmp_path / "a" / "annotations.csv"))
    dataset.save(b"video,start\n")
    assert dataset.load().read_bytes() == b"video,start\n"
