from pathlib import Path

import numpy as np
import pytest

from prolepsis.errors import ProlepsisError
from prolepsis.text.word2vec.picture import draw_words, require_vectors
from prolepsis.text.word2vec.vectors import WordVectors, unique_names


@pytest.fixture
def vectors() -> WordVectors:
    words = ["river", "été", "##ing", "<E4>", "水", "##<0A>"]
    table = np.random.default_rng(0).normal(size=(6, 7)).astype(np.float32)
    return WordVectors(
        words, np.array([9, 8, 7, 6, 5, 4]), ["en", "fr", None, "en", "zh", None], table, {"x": 1}
    )


def test_vectors_come_back_unchanged(tmp_path: Path, vectors: WordVectors) -> None:
    vectors.save(tmp_path / "vectors")
    loaded = WordVectors.load(tmp_path / "vectors")
    assert loaded.words == vectors.words and loaded.languages == vectors.languages
    assert loaded.metadata == {"x": 1}
    np.testing.assert_array_equal(loaded.vectors, vectors.vectors)
    np.testing.assert_array_equal(loaded.counts, vectors.counts)


@pytest.mark.parametrize("file", ["vectors.txt", "vectors.bin"])
def test_gensim_loads_both_formats_with_the_same_numbers(
    tmp_path: Path, vectors: WordVectors, file: str
) -> None:
    models = pytest.importorskip("gensim.models", reason="gensim, the reader, is not installed")
    vectors.save(tmp_path / "vectors")
    path = str(tmp_path / "vectors" / file)
    keyed = models.KeyedVectors.load_word2vec_format(path, binary=file.endswith(".bin"))
    assert keyed.index_to_key == vectors.words
    np.testing.assert_array_equal(keyed.vectors, vectors.vectors)


def test_before_a_training_there_are_no_vectors(tmp_path: Path) -> None:
    with pytest.raises(ProlepsisError, match="No word vectors have been trained") as caught:
        WordVectors.load(tmp_path / "vectors")
    assert "kedro run --pipelines word2vec" in str(caught.value)


@pytest.mark.parametrize("damage", ["emptied", "truncated", "other_vocabulary"])
def test_a_folder_that_holds_no_vectors_is_a_message(
    tmp_path: Path, vectors: WordVectors, damage: str
) -> None:
    folder = tmp_path / "vectors"
    vectors.save(folder)
    if damage == "emptied":
        (folder / "vectors.safetensors").unlink()
    if damage == "truncated":
        content = (folder / "vectors.safetensors").read_bytes()
        (folder / "vectors.safetensors").write_bytes(content[:-8])
    if damage == "other_vocabulary":
        half = WordVectors(vectors.words[:3], vectors.counts[:3], vectors.languages[:3], vectors.vectors[:3])
        half.save(tmp_path / "half")
        (tmp_path / "half" / "vocabulary.parquet").replace(folder / "vocabulary.parquet")
    with pytest.raises(ProlepsisError, match="not word vectors"):
        WordVectors.load(folder)


@pytest.mark.parametrize(
    ("asked", "offered"), [("RIVER", "river"), ("rivr", "river"), ("ete", None), ("ing", None)]
)
def test_an_unknown_word_is_answered_with_the_nearest_whole_word(
    vectors: WordVectors, asked: str, offered: str | None
) -> None:
    assert vectors.nearest_spelling(asked) == offered
    with pytest.raises(ProlepsisError, match=f"The word {asked!r} has no vector") as caught:
        vectors.neighbours(asked)
    assert caught.value.message.endswith(f"Did you mean {offered!r}?" if offered else "no vector.")


def test_names_have_no_white_space_and_are_unique() -> None:
    names = unique_names(["##\n", "New York", "a\u3000b", "same", "same", ""], [5, 6, 7, 8, 9, 10])
    assert names == ["##<0A>", "New<20>York", "a<3000>b", "same<8>", "same<9>", "<10>"]


def test_the_profile_tells_what_is_not_finite(vectors: WordVectors) -> None:
    vectors.vectors[2, 0] = np.nan
    profile = vectors.profile()
    assert profile["finite"].to_list() == [True, True, False, True, True, True]
    assert profile["norm"][0] == pytest.approx(float(np.linalg.norm(vectors.vectors[0])))


def test_chosen_words_are_those_with_a_vector_and_the_others_are_named(
    vectors: WordVectors, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = vectors.words[3], vectors.words[0]
    assert require_vectors(vectors, [first, "nowhere", second, first, "never"]) == [first, second]
    assert [record.getMessage() for record in caplog.records] == [
        "Words without a vector are not on the map: nowhere, never."
    ]


def test_a_map_of_words_without_vectors_is_refused(vectors: WordVectors) -> None:
    for words in (["nowhere", "never"], [vectors.words[0], "nowhere", "never"], []):
        with pytest.raises(ProlepsisError, match="fewer than two have a vector") as caught:
            require_vectors(vectors, words)
        assert caught.value.where == "word2vec.picture.words"
        assert not words or "nowhere, never" in caught.value.message


def test_the_picture_shows_every_word_and_language(vectors: WordVectors) -> None:
    axes = draw_words(vectors, vectors.words[:5]).axes[0]
    assert {text.get_text() for text in axes.texts} == set(vectors.words[:5])
    legend = axes.get_legend()
    assert legend is not None
    labels = {text.get_text() for text in legend.get_texts()}
    assert labels == {"en", "fr", "zh", "unknown language"}
