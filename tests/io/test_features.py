"""The feature store as a Kedro dataset."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from kedro.io import DatasetError

from prolepsis.io import FeatureStoreDataset
from prolepsis.video.features import FeatureStream, SourceVideo


def stream(blocks: Iterator[tuple[str, np.ndarray]]) -> FeatureStream:
    videos = [SourceVideo("walk", 3, "w"), SourceVideo("jump", 1, "j")]
    return FeatureStream("made_up", {}, "0" * 64, "float32", 6.25, 2, videos, lambda _: blocks)


def good_blocks() -> Iterator[tuple[str, np.ndarray]]:
    yield "walk", np.ones((3, 2))
    yield "jump", np.zeros((1, 2))


def broken_blocks() -> Iterator[tuple[str, np.ndarray]]:
    yield "walk", np.full((3, 2), 7.0)
    raise OSError("the video went away")


def test_a_saved_stream_is_loaded_as_a_store(tmp_path: Path) -> None:
    dataset = FeatureStoreDataset(filepath=str(tmp_path / "features"))
    assert not dataset.exists()
    dataset.save(stream(good_blocks()))
    assert dataset.exists()
    assert dataset.load()["walk"].tolist() == [[1, 1]] * 3


def test_a_stream_that_breaks_leaves_the_old_store_and_what_is_finished(tmp_path: Path) -> None:
    dataset = FeatureStoreDataset(filepath=str(tmp_path / "features"))
    dataset.save(stream(good_blocks()))
    with pytest.raises(DatasetError, match="went away"):
        dataset.save(stream(broken_blocks()))
    assert dataset.load()["walk"].tolist() == [[1, 1]] * 3
    assert {path.name for path in tmp_path.iterdir()} == {"features", ".features.partial"}
    dataset.save(stream(iter([("jump", np.zeros((1, 2)))])))
    assert dataset.load()["walk"].tolist() == [[7, 7]] * 3
    assert [path.name for path in tmp_path.iterdir()] == ["features"]


def test_a_killed_process_is_continued_to_the_same_bytes(tmp_path: Path) -> None:
    program = Path(__file__).with_name("killed_features.py")

    def run(folder: str, kill_at: int) -> str:
        command = [sys.executable, str(program), str(tmp_path / folder), str(kill_at)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def contents(folder: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}

    assert run("whole", -1).split() == ["v0", "v1", "v2", "v3"]
    assert run("killed", 2).split() == ["v0", "v1", "v2"]
    assert not (tmp_path / "killed").exists()
    assert run("killed", -1).split() == ["v2", "v3"]
    assert contents("killed") == contents("whole")
    assert not (tmp_path / ".killed.partial").exists()


def test_two_runs_do_not_write_to_one_store(tmp_path: Path) -> None:
    dataset = FeatureStoreDataset(filepath=str(tmp_path / "features"))

    def blocks() -> Iterator[tuple[str, np.ndarray]]:
        with pytest.raises(DatasetError, match="Another run"):
            dataset.save(stream(good_blocks()))
        yield from good_blocks()

    dataset.save(stream(blocks()))
    assert dataset.load().videos == ["walk", "jump"]


def test_the_preview_shows_where_each_video_lies(tmp_path: Path) -> None:
    dataset = FeatureStoreDataset(filepath=str(tmp_path / "features"))
    dataset.save(stream(good_blocks()))
    preview = dataset.preview()
    assert preview["columns"][:4] == ["video", "shard", "offset", "num_steps"]
    assert [row[:4] for row in preview["data"]] == [["walk", 0, 0, 3], ["jump", 0, 3, 1]]
