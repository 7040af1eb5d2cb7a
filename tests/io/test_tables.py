import json
from pathlib import Path

import polars as pl
import pytest
from kedro.io.core import DatasetError
from polars.testing import assert_frame_equal

from prolepsis.io import (
    JSONDataset,
    JSONFolderDataset,
    ParquetDataset,
    ParquetShardsDataset,
    PictureDataset,
    TextDataset,
)


@pytest.fixture
def frame() -> pl.DataFrame:
    return pl.DataFrame({"video": ["a", "b"], "scores": [[0.5, 0.25], []], "text": ["x" * 1000, None]})


def test_a_table_comes_back_as_it_was(tmp_path: Path, frame: pl.DataFrame):
    dataset = ParquetDataset(filepath=str(tmp_path / "table.parquet"))
    dataset.save(frame)
    assert_frame_equal(dataset.load(), frame)


def test_a_preview_is_json_of_short_cells(tmp_path: Path, frame: pl.DataFrame):
    dataset = ParquetDataset(filepath=str(tmp_path / "table.parquet"))
    dataset.save(frame)
    preview = json.loads(json.dumps(dataset.preview()))
    assert preview["columns"] == ["video", "scores", "text"]
    assert preview["data"][0][1] == "[0.5, 0.25]"
    assert len(preview["data"][0][2]) == 200


def test_shards_keep_their_order_and_are_read_lazily(tmp_path: Path):
    dataset = ParquetShardsDataset(filepath=str(tmp_path / "shards"))
    dataset.save(pl.DataFrame({"row": [i, i + 1]}) for i in range(0, 24, 2))
    loaded = dataset.load()
    assert isinstance(loaded, pl.LazyFrame)
    assert loaded.collect()["row"].to_list() == list(range(24))
    assert len(dataset.preview()["data"]) == 20


def test_a_failing_stream_leaves_the_old_shards(tmp_path: Path):
    dataset = ParquetShardsDataset(filepath=str(tmp_path / "shards"))
    dataset.save(pl.DataFrame({"row": [1]}))

    def broken():
        yield pl.DataFrame({"row": [2]})
        raise RuntimeError("the input ended early")

    with pytest.raises(DatasetError, match="ended early"):
        dataset.save(broken())
    assert dataset.load().collect()["row"].to_list() == [1]


def test_no_shard_at_all_is_refused(tmp_path: Path):
    with pytest.raises(DatasetError, match="nothing to write"):
        ParquetShardsDataset(filepath=str(tmp_path / "shards")).save([])


def test_json_and_text_come_back(tmp_path: Path):
    metrics = JSONDataset(filepath=str(tmp_path / "metrics.json"))
    metrics.save({"test": {"mean_average_precision": 0.5}})
    assert metrics.load() == {"test": {"mean_average_precision": 0.5}}
    assert json.loads(metrics.preview()) == metrics.load()
    page = TextDataset(filepath=str(tmp_path / "page.html"))
    page.save("<p>¿é中</p>")
    assert page.load() == "<p>¿é中</p>"


def test_the_preview_of_a_long_list_is_cut(tmp_path: Path):
    curves = JSONDataset(filepath=str(tmp_path / "curves.json"))
    curves.save([{"step": step, "loss": 1 / (step + 1)} for step in range(10_000)])
    preview = json.loads(curves.preview())
    assert 0 < len(preview) < 10_000
    assert preview == curves.load()[: len(preview)]


def test_the_same_figure_gives_the_same_bytes(tmp_path: Path):
    from matplotlib.figure import Figure

    contents = []
    for name in ("a.png", "b.png"):
        figure = Figure()
        figure.add_subplot().plot([0, 1], [1, 0])
        dataset = PictureDataset(filepath=str(tmp_path / name))
        dataset.save(figure)
        contents.append(dataset.load())
    assert contents[0] == contents[1]
    assert contents[0].startswith(b"\x89PNG")


def test_a_folder_of_json_files_is_read_in_the_order_of_their_names_and_never_written(tmp_path: Path):
    folder = tmp_path / "results"
    dataset = JSONFolderDataset(filepath=str(folder))
    with pytest.raises(DatasetError, match="no such folder"):
        dataset.load()
    for name in ("b", "a"):
        JSONDataset(filepath=str(folder / f"{name}.json")).save({"dataset": name})
    (folder / "notes.txt").write_text("not JSON")
    assert [result["dataset"] for result in dataset.load()] == ["a", "b"]
    with pytest.raises(DatasetError, match="one by one"):
        dataset.save({"dataset": "c"})
    assert len(list(folder.iterdir())) == 3
