"""The pipeline in a project of its own, from a small bilingual corpus to vectors, scores and picture."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from prolepsis.errors import ProlepsisError
from prolepsis.text.token_shards import TokenizedDocuments, TokenizedPart, TokenStream
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.text.tokenizers.word_level import WordLevelTrainer

ENGLISH = ["river", "water", "bridge", "journey", "mountain", "valley", "forest", "village"]
FRENCH = ["rivière", "montagne", "vallée", "forêt", "royaume", "histoire", "musique", "théâtre"]
NO_SETS = {"wordsim353": None, "simlex999": None}


def texts(words: list[str], count: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(words, 15)) for _ in range(count)]


@pytest.fixture
def tokenizer(project: Any) -> Tokenizer:
    """The trained tokenizer, saved in the project with the encoded corpus."""
    trainer = WordLevelTrainer(WordLevelTrainer.Config())
    tokenizer = trainer.train([texts(ENGLISH, 200, 0) + texts(FRENCH, 200, 1)])
    parts = []
    for split, count, seed in (("train", 100, 2), ("val", 20, 3)):
        for language, words in (("en", ENGLISH), ("fr", FRENCH)):
            tokens = tokenizer.encode_batch(texts(words, count, seed))
            ids = [f"{split}-{language}-{i}" for i in range(count)]
            starts = [np.zeros(1, np.int32)] * count
            batch = TokenizedDocuments(split, ids, [language] * count, tokens, starts)
            parts.append(TokenizedPart(ids[0], partial(list, [batch])))
    stream = TokenStream(parts, tokenizer.vocabulary_size, tokenizer.hash, tokenizer.special_ids)
    project.save("word_level.tokenizer", tokenizer)
    project.save("word_level.tokens", stream)
    return tokenizer


def test_the_pipeline_writes_vectors_scores_neighbours_and_a_picture(
    project: Any, tokenizer: Tokenizer
) -> None:
    pytest.importorskip("gensim", reason="its evaluation sets are the default")
    project.run("word2vec")

    vectors = project.load("word_vectors")
    assert {*ENGLISH, *FRENCH} == set(vectors.words)
    assert vectors.dimension == 16 and np.isfinite(vectors.vectors).all()
    assert vectors.metadata["tokenizer_hash"] == tokenizer.hash

    curves = project.load("word2vec_curves")
    assert [row["epoch"] for row in curves] == [1, 2]

    metrics = project.load("word2vec_metrics")
    assert metrics["validation_loss"] == curves[-1]["validation_loss"] > 0
    assert metrics["similarity"].keys() == {"wordsim353", "simlex999"}
    assert metrics["similarity"]["wordsim353"]["covered"] == 0
    assert metrics["analogies"]["questions"] == 19_544

    neighbours = project.load("word_neighbours")
    assert set(neighbours["language"]) == {"en", "fr"}
    # Of the words that the parameters ask for only `river` and `musique` are in this corpus.
    assert neighbours["word"].to_list()[:2] == ["river", "musique"]
    assert set(neighbours["word"]) <= {*ENGLISH, *FRENCH}
    assert project.load("word_map").startswith(b"\x89PNG")


def test_two_runs_write_the_same_files(project: Any, tokenizer: Tokenizer) -> None:
    params = {"word2vec": {"evaluation": {"similarity": NO_SETS, "analogies": None}}}
    project.run("word2vec", params=params)
    names = ("06_models/word_vectors/vectors.txt", "08_reporting/word2vec/word_map.png")
    paths = [path for name in names for path in project.path.glob(f"data/**/{name}")]
    assert len(paths) == 2
    before = [path.read_bytes() for path in paths]
    project.run("word2vec", params=params)
    assert [path.read_bytes() for path in paths] == before


def test_evaluation_sets_can_be_a_users_own(project: Any, tokenizer: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text("river\twater\t9\nriver\tforest\t4\nriver\tvillage\t1\n")
    (tmp_path / "groups").mkdir()
    (tmp_path / "groups" / "english.txt").write_text("river\nwater\nbridge\n\nmusique\nhistoire\n")
    own = {"own": str(tmp_path / "pairs.tsv")}
    sets = {"similarity": {**NO_SETS, **own}, "analogies": None, "outliers": str(tmp_path / "groups")}
    project.run("word2vec", params={"word2vec": {"evaluation": sets}})
    metrics = project.load("word2vec_metrics")
    assert metrics["similarity"].keys() == {"own"}
    assert metrics["similarity"]["own"]["coverage"] == 1.0
    assert "analogies" not in metrics
    assert metrics["outliers"]["answered"] == 2


def test_the_model_and_its_output_are_parameters(project: Any, tokenizer: Tokenizer) -> None:
    training = {"model": "cbow", "output": "hierarchical_softmax"}
    evaluation = {"similarity": NO_SETS, "analogies": None}
    project.run("word2vec", params={"word2vec": {"training": training, "evaluation": evaluation}})
    made_by = project.load("word_vectors").metadata["config"]
    assert training.items() <= made_by.items()
    assert training.items() <= project.load("word2vec_metrics").items()
    # A window is one prediction, and there are as many as words that subsampling leaves.
    assert 0 < project.load("word2vec_curves")[0]["pairs"] <= project.load("word_vectors").counts.sum()


def test_the_words_of_the_map_are_a_parameter(
    project: Any, tokenizer: Tokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    def params(words: list[str]) -> dict[str, Any]:
        evaluation = {"similarity": NO_SETS, "analogies": None}
        return {"word2vec": {"evaluation": evaluation, "picture": {"words": words}}}

    project.run("word2vec", params=params(["river", "musique", "zeppelin"]))
    assert "not on the map: zeppelin." in caplog.text
    assert project.load("word_map").startswith(b"\x89PNG")
    with pytest.raises(ProlepsisError, match="without one: zeppelin, airship"):
        project.run("word2vec", params=params(["zeppelin", "airship"]))


def test_a_wrong_parameter_is_named(project: Any, tokenizer: Tokenizer) -> None:
    with pytest.raises(Exception, match="dimension"):
        project.run("word2vec", params={"word2vec": {"training": {"dimension": "wide"}}})


def test_a_missing_evaluation_set_stops_the_run_before_the_training(
    project: Any, tokenizer: Tokenizer
) -> None:
    sets = {"similarity": {**NO_SETS, "own": "no/such/pairs.tsv"}, "analogies": None}
    with pytest.raises(ProlepsisError, match="no evaluation set 'no/such/pairs.tsv'"):
        project.run("word2vec", params={"word2vec": {"evaluation": sets}})
    assert not list(project.path.glob("data/**/06_models/word_vectors"))


def test_a_malformed_evaluation_set_leaves_the_vectors(
    project: Any, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    (tmp_path / "pairs.tsv").write_text("river\twater\tmuch\n")
    sets = {"similarity": {**NO_SETS, "own": str(tmp_path / "pairs.tsv")}, "analogies": None}
    with pytest.raises(ProlepsisError, match="not a pair of words and a judgement") as caught:
        project.run("word2vec", params={"word2vec": {"evaluation": sets}})
    assert str(caught.value.where).endswith("pairs.tsv, line 1")
    assert len(project.load("word_vectors")) > 10
    assert not list(project.path.glob("data/**/word2vec/metrics.json"))


def test_tokens_of_another_tokenizer_stop_the_run_before_anything_is_written(
    project: Any, tokenizer: Tokenizer
) -> None:
    other = WordLevelTrainer(WordLevelTrainer.Config())
    project.save("word_level.tokenizer", other.train([texts(ENGLISH, 50, 9)]))
    with pytest.raises(ProlepsisError, match="tokenizer"):
        project.run("word2vec")
    assert not list(project.path.glob("data/**/06_models/word_vectors"))


def test_the_neighbours_are_those_of_the_vectors(project: Any, tokenizer: Tokenizer) -> None:
    project.run("word2vec", params={"word2vec": {"neighbours": {"words": ["forêt"]}}})
    vectors, table = project.load("word_vectors"), project.load("word_neighbours")
    row = table.filter(pl.col("word") == "forêt").row(0, named=True)
    word, cosine = vectors.neighbours("forêt", 1)[0]
    assert row["neighbours"].startswith(f"{word} {cosine:.2f}")
    assert row["occurrences"] == vectors.counts[vectors.rows["forêt"]]
    assert json.dumps(row["nearest_cosine"]) == json.dumps(cosine)
