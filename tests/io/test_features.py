"""The feature store as a Kedro dataset."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from kedro.io import DatasetError

from prolepsis.io import FeatureStoreDataset
from prolepsis.video.features import FeatureStream


def stream(blocks: Iterator[tuple[str, np.ndarray]]) -> FeatureStream:
    return FeatureStream("made_up", {}, "0" * 64, 6.25, 2, {"walk": 3, "jump": 1}, blocks)


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


def test_a_stream_that_breaks_leaves_the_old_store_and_nothing_else(tmp_path: Path) -> None:
    dataset = FeatureStoreDataset(filepath=str(tmp_path / "features"))
    dataset.save(stream(good_blocks()))
    with pytest.raises(DatasetError, match="went away"):
        dataset.save(stream(broken_blocks()))
    assert dataset.load()["walk"].tolist() == [[1, 1]] * 3
    assert [path.name for path in tmp_path.iterdir()] == ["features"]


def test_the_preview_shows_where_each_video_lies(tmp_path: Path) -> None:
    dataset = FeatureStoreDataset(filepath=str(tmp_path / "features"))
    dataset.save(stream(good_blocks()))
    preview = dataset.preview()
    assert preview["columns"] == ["video", "shard", "offset", "num_steps"]
    assert preview["data"] == [["walk", 0, 0, 3], ["jump", 0, 3, 1]]
