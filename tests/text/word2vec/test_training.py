import json
import math
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from prolepsis.errors import ProlepsisError
from prolepsis.text.token_shards import (
    TokenizedDocuments,
    TokenizedPart,
    TokenShards,
    TokenStream,
    write_token_shards,
)
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.text.tokenizers.word_level import WordLevelTrainer
from prolepsis.text.word2vec import gpu_engine, training
from prolepsis.text.word2vec.blocks import BLOCK_TOKENS, Block, Rates, Tally
from prolepsis.text.word2vec.config import Word2VecConfig
from prolepsis.text.word2vec.cpu_engine import CpuEngine
from prolepsis.text.word2vec.gpu_engine import GpuEngine
from prolepsis.text.word2vec.training import TrainedWordVectors, train_word_vectors
from prolepsis.training import device
from prolepsis.training.checkpoint import clear_checkpoints


def test_the_learning_rate_is_that_of_word2vec_c_for_the_model() -> None:
    given = {"checkpoint_directory": Path("unused")}
    assert Word2VecConfig(**given).first_rate == 0.025
    assert Word2VecConfig(model="cbow", **given).first_rate == 0.05
    assert Word2VecConfig(model="cbow", learning_rate=0.3, **given).first_rate == 0.3


VALUES = {"dimension": 12, "min_count": 2, "epochs": 3, "seed": 1, "device": "cpu"}
FORMS = [
    {"model": model, "output": output}
    for model in ("skip_gram", "cbow")
    for output in ("negative_sampling", "hierarchical_softmax")
]
each_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: " ".join(form.values()))


def config(directory: Path, **changes: Any) -> Word2VecConfig:
    return Word2VecConfig(**{**VALUES, **changes}, checkpoint_directory=directory / "checkpoints")


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


@each_form
def test_every_form_tells_the_themes_apart(
    tokenizer: Tokenizer, shards: TokenShards, tmp_path: Path, form: dict[str, str]
) -> None:
    settings = {**form, "epochs": 15, "learning_rate": 0.1}
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


def one_document(directory: Path, num_tokens: int) -> TokenShards:
    """The training split as a single document of words at random, and a short one to validate on."""
    random = np.random.default_rng(6)
    parts = []
    for split, length in (("train", num_tokens), ("val", 300)):
        tokens = [random.integers(50, size=length).astype(np.int32)]
        batch = TokenizedDocuments(split, [split], [None], tokens, [np.zeros(1, np.int32)])
        parts.append(TokenizedPart(split, partial(list, [batch])))
    write_token_shards(directory, TokenStream(parts, 50, "numbers", {}))
    return TokenShards.open(directory)


class Numbers:
    """What training asks of a tokenizer."""

    hash = "numbers"

    def words(self) -> list[str]:
        return [f"word{number}" for number in range(50)]


def test_the_rate_falls_within_a_long_document_whose_blocks_are_shared_among_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = one_document(tmp_path / "tokens", 6 * BLOCK_TOKENS)
    rates: list[float] = []
    threads = set()
    both_work = threading.Barrier(2, timeout=60)
    plain = CpuEngine.run

    def noted(self: CpuEngine, block: Block, given: Rates, seed: int) -> Tally:
        if given.first:
            rates.append(given.first)
            threads.add(threading.get_ident())
            both_work.wait()
        return plain(self, block, given, seed)

    monkeypatch.setattr(CpuEngine, "run", noted)
    train_word_vectors(Numbers(), shards, config(tmp_path, epochs=1, threads=2))
    assert len(rates) == 6
    assert len(threads) == 2
    assert max(rates) == 0.025
    assert min(rates) == pytest.approx(0.025 / 6, rel=0.01)


def test_a_long_document_gives_the_same_bits_every_time_and_when_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = one_document(tmp_path / "tokens", 3 * BLOCK_TOKENS)
    whole = train_word_vectors(Numbers(), shards, config(tmp_path / "whole", epochs=2))
    plain, blocks_run = CpuEngine.run, 0

    def stopping(self: CpuEngine, block: Block, given: Rates, seed: int) -> Tally:
        nonlocal blocks_run
        blocks_run += 1
        if blocks_run == 6:  # three blocks and the validation lie behind; the second epoch has begun
            raise KeyboardInterrupt
        return plain(self, block, given, seed)

    monkeypatch.setattr(CpuEngine, "run", stopping)
    with pytest.raises(KeyboardInterrupt):
        train_word_vectors(Numbers(), shards, config(tmp_path / "stopped", epochs=2))
    monkeypatch.undo()
    continued = train_word_vectors(Numbers(), shards, config(tmp_path / "stopped", epochs=2))
    np.testing.assert_array_equal(continued.vectors.vectors, whole.vectors.vectors)
    assert continued.curves == whole.curves


@each_form
def test_a_killed_training_goes_on_from_its_last_epoch_with_the_same_bits(
    tokenizer: Tokenizer,
    shards: TokenShards,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    form: dict[str, str],
) -> None:
    tokenizer.save(tmp_path / "tokenizer")
    program = str(Path(__file__).with_name("killed_training.py"))
    arguments = [str(tmp_path / "tokenizer"), str(shards.directory), str(tmp_path / "checkpoints")]
    # An epoch is four blocks here, three to train on and one to validate: the kill comes within the second.
    arguments += ["6", json.dumps({**VALUES, **form})]
    killed = subprocess.run([sys.executable, program, *arguments], check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    caplog.set_level("INFO")
    resumed = train(tokenizer, shards, tmp_path, **form)
    assert "Continuing after epoch 1 of 3" in caplog.text
    whole = train(tokenizer, shards, tmp_path, **form)
    np.testing.assert_array_equal(resumed.vectors.vectors, whole.vectors.vectors)
    assert resumed.curves == whole.curves


def test_a_checkpoint_of_other_parameters_or_none_at_all_is_passed_over(
    tokenizer: Tokenizer, shards: TokenShards, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = train(tokenizer, shards, tmp_path)
    train_word_vectors(tokenizer, shards, config(tmp_path, seed=2))
    (checkpoint,) = (tmp_path / "checkpoints").iterdir()
    (tmp_path / "checkpoints" / "step-0000000009.safetensors").write_bytes(checkpoint.read_bytes()[:100])
    trained = train(tokenizer, shards, tmp_path)
    np.testing.assert_array_equal(trained.vectors.vectors, expected.vectors.vectors)
    assert "step-0000000009.safetensors, which cannot be read" in caplog.text
    assert f"{checkpoint.name}: other data or parameters made it" in caplog.text


def test_training_on_a_cpu_loads_neither_pytorch_nor_numba_nor_arrow(
    tokenizer: Tokenizer, shards: TokenShards, tmp_path: Path
) -> None:
    train(tokenizer, shards, tmp_path)  # compiles
    program = str(Path(__file__).with_name("lean_training.py"))
    arguments = [str(shards.directory), str(tmp_path / "checkpoints")]
    command = [sys.executable, program, *arguments, json.dumps(VALUES)]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.split()
    assert "llvmlite" in loaded and "numpy" in loaded
    unneeded = {"torch", "numba", "gensim", "scipy", "sklearn", "pyarrow", "polars", "pandas"}
    assert not unneeded & set(loaded)


@pytest.mark.parametrize("name", ["auto", "cpu"])
def test_without_a_drivers_library_the_device_is_the_cpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_has_gpu_driver", lambda: False)
    assert training.resolve_device(name) == "cpu"


def test_with_a_driver_pytorch_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"auto": "cuda", "cuda:1": "cuda:1", "mps": "mps"}
    monkeypatch.setattr(training, "_has_gpu_driver", lambda: True)
    monkeypatch.setattr(device, "resolve_device", lambda name: torch.device(answers[name]))
    assert [training.resolve_device(name) for name in ("auto", "cuda:1")] == ["cuda", "cuda:1"]
    with pytest.raises(ProlepsisError, match="does not train on the device 'mps'"):
        training.resolve_device("mps")
    answers["auto"] = "mps"
    assert training.resolve_device("auto") == "cpu"


@each_form
def test_on_a_gpu_the_gpu_engine_trains_every_form(
    tokenizer: Tokenizer,
    shards: TokenShards,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: dict[str, str],
) -> None:
    built = []

    class OnTheCpu(GpuEngine):
        def __init__(self, vocabulary: Any, config: Any, tables: Any, device: torch.device) -> None:
            built.append(device)
            super().__init__(vocabulary, config, tables, torch.device("cpu"))

    monkeypatch.setattr(training, "resolve_device", lambda name: "cuda")
    monkeypatch.setattr(gpu_engine, "GpuEngine", OnTheCpu)
    trained = train(tokenizer, shards, tmp_path, **form, device="auto", epochs=15, learning_rate=0.2)
    assert built == [torch.device("cuda")]
    assert trained.vectors.metadata["device"] == "cuda"
    names = {neighbour for neighbour, _ in trained.vectors.neighbours("roi", 3)}
    assert names == {"reine", "couronne", "palais"}


def test_a_gpu_tells_the_themes_apart(
    gpu: torch.device, tokenizer: Tokenizer, shards: TokenShards, tmp_path: Path
) -> None:
    trained = train(tokenizer, shards, tmp_path, device=str(gpu), epochs=15, learning_rate=0.2)
    names = {neighbour for neighbour, _ in trained.vectors.neighbours("roi", 3)}
    assert names == {"reine", "couronne", "palais"}


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


def test_a_validation_loss_that_is_no_number_stops_the_run_before_its_checkpoint(
    tokenizer: Tokenizer, shards: TokenShards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = CpuEngine.run

    def overflows_with_its_last_update(self: CpuEngine, block: Block, rates: Rates, seed: int) -> Tally:
        tally = run(self, block, rates, seed)
        return tally if rates.first else Tally(math.nan, tally.pairs)

    monkeypatch.setattr(CpuEngine, "run", overflows_with_its_last_update)
    with pytest.raises(ProlepsisError, match="validation loss became nan") as caught:
        train(tokenizer, shards, tmp_path)
    assert caught.value.where == "epoch 1" and "learning_rate" in (caught.value.remedy or "")
    assert not list((tmp_path / "checkpoints").glob("*"))


def shards_of(
    tokenizer: Tokenizer, directory: Path, **splits: Sequence[NDArray[np.integer[Any]]]
) -> TokenShards:
    """Shards with these documents in each split."""
    batches = [
        TokenizedDocuments(
            split,
            [f"{split}{i}" for i in range(len(documents))],
            [None] * len(documents),
            documents,
            [np.zeros(min(len(tokens), 1), int) for tokens in documents],
        )
        for split, documents in splits.items()
    ]
    parts = [TokenizedPart("", lambda: batches)]
    stream = TokenStream(parts, tokenizer.vocabulary_size, tokenizer.hash, tokenizer.special_ids)
    write_token_shards(directory / "tokens", stream)
    return TokenShards.open(directory / "tokens")


WORDS, NO_WORDS = [np.array([300, 301, 302, 303] * 5, np.int32)] * 10, [np.empty(0, np.int32)] * 10


@each_form
def test_unknown_words_are_in_no_window_and_have_no_vector(tmp_path: Path, form: dict[str, str]) -> None:
    # What is around an unknown word closes ranks: the same vectors come of the text without it.
    tokenizer = WordLevelTrainer(WordLevelTrainer.Config()).train([["king queen crown palace"] * 2])
    known = [tokenizer.encode_batch([text])[0] for text in ("king queen crown palace", "crown king") * 8]
    unknown_id = tokenizer.special_ids["unk"]
    among = [np.insert(tokens, [0, 1, len(tokens)], unknown_id) for tokens in known]
    assert tokenizer.encode_batch(["a king that queen"])[0].tolist().count(unknown_id) == 2
    settings = {**form, "subsample": 0.0, "lowest_rate": 1.0, "learning_rate": 0.1}
    plain, mixed = (
        train(tokenizer, shards_of(tokenizer, tmp_path / name, train=of, val=of), tmp_path / name, **settings)
        for name, of in (("plain", known), ("mixed", among))
    )
    assert mixed.vectors.words == plain.vectors.words == ["crown", "king", "palace", "queen"]
    np.testing.assert_array_equal(mixed.vectors.vectors, plain.vectors.vectors)
    assert mixed.curves == plain.curves


def test_documents_of_one_word_give_nothing_to_learn(tokenizer: Tokenizer, tmp_path: Path) -> None:
    words = [np.array([300 + i % 4], np.int32) for i in range(40)]
    with pytest.raises(ProlepsisError, match="no two known words"):
        train(tokenizer, shards_of(tokenizer, tmp_path, train=words, val=words), tmp_path)


@pytest.mark.parametrize(
    ("splits", "told"),
    [
        ({"train": WORDS}, "no split 'val', only train"),
        ({"val": WORDS}, "no split 'train', only val"),
        ({"train": NO_WORDS, "val": WORDS}, "The training split has no token"),
        ({"train": WORDS[:1], "val": WORDS}, "Only 0 tokens occur 6 times or more"),
    ],
)
def test_an_empty_split_or_vocabulary_is_a_message(
    tokenizer: Tokenizer, tmp_path: Path, splits: dict[str, Any], told: str
) -> None:
    tokens = shards_of(tokenizer, tmp_path, **splits)
    with pytest.raises(ProlepsisError, match=told) as caught:
        train(tokenizer, tokens, tmp_path, min_count=6)
    assert caught.value.where is not None and caught.value.remedy is not None
    assert not (tmp_path / "checkpoints").exists()


def test_without_a_word_to_validate_on_there_is_no_validation_loss(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    trained = train(tokenizer, shards_of(tokenizer, tmp_path, train=WORDS, val=NO_WORDS), tmp_path)
    assert [row["validation_loss"] for row in trained.curves] == [None] * 3
    assert trained.curves[-1]["train_loss"]
