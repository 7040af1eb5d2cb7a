from pathlib import Path

import numpy as np
import pytest

from prolepsis.errors import ProlepsisError
from prolepsis.io import WordVectorsDataset
from prolepsis.text.word2vec.vectors import WordVectors


@pytest.fixture
def vectors() -> WordVectors:
    table = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    return WordVectors(
        [f"word{i}" for i in range(30)], np.arange(30, 0, -1), ["en"] * 30, table, {"epochs": 2}
    )


def test_vectors_come_back_as_they_were_saved(tmp_path: Path, vectors: WordVectors) -> None:
    dataset = WordVectorsDataset(filepath=str(tmp_path / "vectors"))
    assert not dataset.exists()
    dataset.save(vectors)
    loaded = dataset.load()
    assert dataset.exists() and loaded.words == vectors.words and loaded.metadata == vectors.metadata
    np.testing.assert_array_equal(loaded.vectors, vectors.vectors)


def test_the_preview_is_the_first_rows_of_the_vocabulary(tmp_path: Path, vectors: WordVectors) -> None:
    dataset = WordVectorsDataset(filepath=str(tmp_path / "vectors"))
    dataset.save(vectors)
    preview = dataset.preview()
    assert preview["columns"] == ["word", "count", "language", "norm", "finite"]
    assert [row[0] for row in preview["data"]] == [f"word{i}" for i in range(20)]


def test_a_failed_save_leaves_the_old_vectors(tmp_path: Path, vectors: WordVectors) -> None:
    dataset = WordVectorsDataset(filepath=str(tmp_path / "vectors"))
    dataset.save(vectors)
    broken = WordVectors(vectors.words[:3], vectors.counts, vectors.languages, vectors.vectors)
    with pytest.raises(Exception, match="height"):
        dataset.save(broken)
    assert dataset.load().words == vectors.words
    assert [path.name for path in tmp_path.iterdir()] == ["vectors"]


def test_a_folder_of_something_else_is_a_message(tmp_path: Path) -> None:
    from kedro.io import DatasetError

    with pytest.raises((ProlepsisError, DatasetError), match="not word vectors"):
        WordVectorsDataset(filepath=str(tmp_path)).load()
