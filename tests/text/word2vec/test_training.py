import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prolepsis.errors import ProlepsisError
from prolepsis.text.token_shards import (
    TokenizedDocuments,
    TokenizedPart,
    TokenShards,
    TokenStream,
    write_token_shards,
)
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.text.word2vec.config import Word2VecConfig
from prolepsis.text.word2vec.training import TrainedWordVectors, train_word_vectors
from prolepsis.training.checkpoint import clear_checkpoints


def test_the_learning_rate_is_that_of_word2vec_c_for_the_model() -> None:
    given = {"checkpoint_directory": Path("unused")}
    assert Word2VecConfig(**given).first_rate == 0.025
    assert Word2VecConfig(model="cbow", **given).first_rate == 0.05
    assert Word2VecConfig(model="cbow", learning_rate=0.3, **given).first_rate == 0.3


def config(directory: Path, **changes: Any) -> Word2VecConfig:
    values = {"dimension": 12, "min_count": 2, "epochs": 3, "seed": 1, "device": "cpu"}
    return Word2VecConfig(**{**values, **changes}, checkpoint_directory=directory / "checkpoints")


def train(tokenizer: Tokenizer, shards: TokenShards, directory: Path, **changes: Any) -> TrainedWordVectors:
    trained = train_word_vectors(tokenizer, shards, config(directory, **changes))
    clear_checkpoints(directory / "checkpoints")
    return trained


def test_words_that_appear_together_become_neighbours(
    tokenizer: Tokenizer, shards: TokenShards, tmp_path: Path
) -> None:
    trained = train(tokenizer, shards, tmp_path, epochs=15, learning_rate=0.1)
    vectors = trained.vectors
    for word, friends in (("river", {"water", "boat", "bridge"}), ("roi", {"reine", "couronne", "palais"})):
        assert {neighbour for neighbour, _ in vectors.neighbours(word, 3)} == friends
    losses = [row["validation_loss"] or 0.0 for row in trained.curves]
    assert losses[-1] < losses[0] * 0.9
    assert [row["epoch"] for row in trained.curves] == list(range(1, 16))
    assert (trained.curves[-1]["learning_rate"] or 1.0) < 0.001 * 0.1 + 1e-6
    assert vectors.metadata["validation_loss"] == losses[-1]
    assert vectors.metadata["tokenizer_hash"] == tokenizer.hash


@pytest.mark.parametrize("model", ["skip_gram", "cbow"])
@pytest.mark.parametrize("output", ["negative_sampling", "hierarchical_softmax"])
def test_every_form_tells_the_themes_apart(
    tokenizer: Tokenizer, shards: TokenShards, tmp_path: Path, model: str, output: str
) -> None:
    settings = {"model": model, "output": output, "epochs": 15, "learning_rate": 0.1}
    trained, again = (train(tokenizer, shards, tmp_path, **settings) for _ in range(2))
    names = {neighbour for neighbour, _ in trained.vectors.neighbours("roi", 3)}
    assert names == {"reine", "couronne", "palais"}
    np.testing.assert_array_equal(trained.vectors.vectors, again.vectors.vectors)


def test_a_lowest_rate_of_one_holds_the_rate(
    tokenizer: Tokenizer, shards: TokenShards, tmp_path: Path
) -> None:
    curves = train(tokenizer, shards, tmp_path, lowest_rate=1.0, model="cbow").curves
    assert [row["learning_rate"] for row in curves] == [0.05] * 3


def test_special_and_rare_tokens_have_no_vector(
    tokenizer: Tokenizer, shards: TokenShards, tmp_path: Path
) -> None:
    vectors = train(tokenizer, shards, tmp_path, epochs=1, min_count=150).vectors
    assert not set(vectors.words) & set(tokenizer.special_tokens.values())
    assert vectors.counts.min() >= 150
    assert "river" in vectors.rows and len(vectors) < tokenizer.vocabulary_size


def test_one_thread_gives_the_same_vectors_every_time(
    tokenizer: Tokenizer, shards: TokenShards, tmp_path: Path
) -> None:
    first, second, other = (train(tokenizer, shards, tmp_path, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.vectors.vectors, second.vectors.vectors)
    assert first.curves == second.curves
    assert not np.array_equal(first.vectors.vectors, other.vectors.vectors)


def test_two_threads_train_on_the_same_pairs_to_about_the_same_loss(
    tokenizer: Tokenizer, shards: TokenShards, tmp_path: Path
) -> None:
    one, two = (train(tokenizer, shards, tmp_path, threads=threads, epochs=6) for threads in (1, 2))
    assert [row["pairs"] for row in one.curves] == [row["pairs"] for row in two.curves]
    assert two.curves[-1]["validation_loss"] == pytest.approx(one.curves[-1]["validation_loss"], rel=0.05)


def test_a_killed_training_goes_on_from_its_last_epoch_with_the_same_bits(
    tokenizer: Tokenizer, shards: TokenShards, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer.save(tmp_path / "tokenizer")
    program = str(Path(__file__).with_name("killed_training.py"))
    arguments = [str(tmp_path / "tokenizer"), str(shards.directory), str(tmp_path / "checkpoints")]
    # An epoch is four blocks here, three to train on and one to validate: the kill comes within the second.
    killed = subprocess.run([sys.executable, program, *arguments, "6"], check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    caplog.set_level("INFO")
    resumed = train(tokenizer, shards, tmp_path)
    assert "Continuing after epoch 1 of 3" in caplog.text
    whole = train(tokenizer, shards, tmp_path)
    np.testing.assert_array_equal(resumed.vectors.vectors, whole.vectors.vectors)
    assert resumed.curves == whole.curves


def test_another_tokenizer_is_refused(shards: TokenShards, tokenizer: Tokenizer, tmp_path: Path) -> None:
    other = type(tokenizer)(tokenizer.definition + " ", "byte_bpe", {}, tokenizer.special_tokens)
    with pytest.raises(ProlepsisError, match="tokenizer"):
        train(other, shards, tmp_path)


def test_a_loss_that_is_no_number_stops_the_run(
    tokenizer: Tokenizer, shards: TokenShards, tmp_path: Path
) -> None:
    with pytest.raises(ProlepsisError, match="training loss became") as caught:
        train(tokenizer, shards, tmp_path, learning_rate=1e30)
    assert caught.value.where == "epoch 1" and "learning_rate" in (caught.value.remedy or "")


def test_documents_of_one_word_give_nothing_to_learn(tokenizer: Tokenizer, tmp_path: Path) -> None:
    words = [np.array([300 + i % 4], np.int32) for i in range(40)]
    batches = [
        TokenizedDocuments(
            split, [f"{split}{i}" for i in range(40)], [None] * 40, words, [np.zeros(1, int)] * 40
        )
        for split in ("train", "val")
    ]
    parts = [TokenizedPart("", lambda: batches)]
    stream = TokenStream(parts, tokenizer.vocabulary_size, tokenizer.hash, tokenizer.special_ids)
    write_token_shards(tmp_path / "tokens", stream)
    with pytest.raises(ProlepsisError, match="no two known words"):
        train(tokenizer, TokenShards.open(tmp_path / "tokens"), tmp_path)
