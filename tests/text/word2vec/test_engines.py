"""The compiled kernel and the GPU engine against a plain reference and the derivative of the loss."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from prolepsis.text.word2vec.blocks import Block, Rates, Tally, initial_tables
from prolepsis.text.word2vec.config import Word2VecConfig
from prolepsis.text.word2vec.cpu_engine import CpuEngine
from prolepsis.text.word2vec.gpu_engine import GpuEngine, window_gradients
from prolepsis.text.word2vec.vocabulary import AliasTable, Vocabulary

MASK = (1 << 64) - 1


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def config(**changes: Any) -> Word2VecConfig:
    values = {"dimension": 10, "window": 3, "negatives": 4, "subsample": 0.05, "device": "cpu"}
    return Word2VecConfig(**{**values, **changes}, checkpoint_directory=Path("unused"))


def themed_corpus(
    num_documents: int, seed: int, themes: int = 3, words_each: int = 8
) -> tuple[Vocabulary, Block]:
    """Documents whose words come from one theme; the last token id has no vector."""
    rng = np.random.default_rng(seed)
    theme = rng.integers(themes, size=(num_documents, 1))
    # Within a theme some words are more frequent than others.
    word = np.minimum(rng.geometric(0.3, size=(num_documents, 25)) - 1, words_each - 1)
    tokens = (theme * words_each + word).astype(np.uint16).ravel()
    unknown = themes * words_each
    tokens[rng.random(len(tokens)) < 0.05] = unknown
    counts = np.bincount(tokens, minlength=unknown + 1)[:unknown]
    ids = np.argsort(-counts, kind="stable")
    rows = np.full(unknown + 1, -1, np.int32)
    rows[ids] = np.arange(unknown)
    offsets = np.arange(0, len(tokens) + 1, 25)
    return Vocabulary(ids, counts[ids], [None] * unknown, rows), Block(0, tokens, offsets)


class Generator:
    """Knuth's MMIX generator, as in the kernel."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def advance(self) -> int:
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & MASK
        return self.state

    def fraction(self) -> float:
        return (self.advance() >> 40) * 2.0**-24

    def below(self, limit: int) -> int:
        return ((self.advance() >> 32) * limit) >> 32


def reference(
    vocabulary: Vocabulary, config: Word2VecConfig, tables: Any, block: Block, rates: Rates, seed: int
) -> Tally:
    """Skip-gram with shared negatives, written for reading; changes `tables` in place."""
    inputs, outputs = tables
    noise = AliasTable.build(vocabulary.noise_probabilities())
    keep = vocabulary.keep_probabilities(config.subsample).astype(np.float32)
    generator = Generator(seed)
    loss, pairs = 0.0, 0
    for start, stop in zip(block.offsets[:-1], block.offsets[1:], strict=True):
        rate = max(rates.floor, rates.first - rates.fall * start)
        rows = [row for row in vocabulary.rows[block.tokens[start:stop]] if row >= 0]
        words = [row for row in rows if generator.fraction() < keep[row]]
        for i, centre in enumerate(words):
            targets = [centre]
            for _ in range(config.negatives):
                slot = generator.below(len(noise.aliases))
                drawn = slot if generator.fraction() < noise.thresholds[slot] else noise.aliases[slot]
                if drawn != centre:
                    targets.append(drawn)
            reach = 1 + generator.below(config.window)
            labels = np.array([1.0] + [0.0] * (len(targets) - 1))
            vectors = outputs[targets]  # a copy: the window sees the tables from before it
            for j in range(max(0, i - reach), min(len(words), i + reach + 1)):
                if j == i:
                    continue
                probabilities = 1 / (1 + np.exp(-vectors @ inputs[words[j]]))
                loss -= np.log(np.where(labels == 1, probabilities, 1 - probabilities)).sum()
                errors = rate * (labels - probabilities)
                np.add.at(outputs, targets, np.outer(errors, inputs[words[j]]))
                inputs[words[j]] += errors @ vectors
                pairs += 1
    return Tally(loss, pairs)


def float64_tables(vocabulary: Vocabulary, dimension: int) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(5)
    shape = (len(vocabulary.ids), dimension)
    return rng.normal(scale=0.3, size=shape), rng.normal(scale=0.3, size=shape)


def test_the_kernel_does_what_the_reference_does() -> None:
    vocabulary, block = themed_corpus(12, seed=0)
    settings = config()
    tables = float64_tables(vocabulary, 10)
    engine = CpuEngine(vocabulary, settings, tables)
    rates = Rates(0.1, 0.1 / 400, 0.03)
    tally = engine.run(block, rates, seed=2**63 - 25)
    expected = reference(vocabulary, settings, tables, block, rates, seed=2**63 - 25)
    assert tally.pairs == expected.pairs > 500
    assert tally.loss == pytest.approx(expected.loss, rel=1e-9)
    for ours, theirs in zip(engine.tables(), tables, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_a_rate_of_zero_measures_and_changes_nothing() -> None:
    vocabulary, block = themed_corpus(12, seed=0)
    for engine in engines(vocabulary, config(), initial_tables(len(vocabulary.ids), 10, 0)):
        before = engine.tables()
        first, second = engine.run(block, Rates(), seed=1), engine.run(block, Rates(), seed=1)
        assert first == second and first.pairs > 0
        assert all(np.array_equal(a, b) for a, b in zip(before, engine.tables(), strict=True))


def test_the_kernels_update_is_the_derivative_of_its_loss_in_float64() -> None:
    # Two words and a window of one: two windows, each of which moves another input vector.
    ids = np.arange(6)
    vocabulary = Vocabulary(ids, np.full(6, 10), [None] * 6, ids.astype(np.int32))
    block = Block(0, np.array([1, 4], np.uint16), np.array([0, 2]))
    settings = config(window=1, subsample=0.0, dimension=3)
    tables = float64_tables(vocabulary, 3)

    def loss_at(inputs: NDArray[Any], outputs: NDArray[Any]) -> float:
        return CpuEngine(vocabulary, settings, (inputs, outputs)).run(block, Rates(), seed=3).loss

    rate = 1e-7  # so small that the second window sees the same tables
    engine = CpuEngine(vocabulary, settings, tables)
    engine.run(block, Rates(rate, 0.0, 0.0), seed=3)
    for which in (0, 1):
        update = (engine.tables()[which] - tables[which]) / rate
        numeric = np.zeros_like(update)
        for index in np.ndindex(*update.shape):
            up, down = ([table.copy() for table in tables] for _ in range(2))
            up[which][index] += 1e-5
            down[which][index] -= 1e-5
            numeric[index] = -(loss_at(*up) - loss_at(*down)) / 2e-5
        assert np.abs(numeric).max() > 0.05
        np.testing.assert_allclose(update, numeric, atol=2e-6)


def test_the_gpu_engines_gradient_is_the_derivative_of_its_loss_in_float64() -> None:
    generator = torch.Generator().manual_seed(0)
    contexts = torch.randn(3, 4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.randn(3, 6, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    context_mask = torch.rand(3, 4, generator=generator) < 0.7
    target_mask = torch.rand(3, 6, generator=generator) < 0.7

    def loss(contexts: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return window_gradients(contexts, targets, context_mask, target_mask)[0].sum()

    assert torch.autograd.gradcheck(loss, (contexts, targets))
    expected = torch.autograd.grad(loss(contexts, targets), (contexts, targets))
    _, *ours = window_gradients(contexts, targets, context_mask, target_mask)
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b)


def engines(
    vocabulary: Vocabulary, settings: Word2VecConfig, tables: Any, windows_per_batch: int = 512
) -> list[Any]:
    return [
        CpuEngine(vocabulary, settings, tables),
        GpuEngine(vocabulary, settings, tables, torch.device("cpu"), windows_per_batch),
    ]


def test_both_engines_measure_the_same_loss_of_the_same_tables() -> None:
    vocabulary, block = themed_corpus(150, seed=1)
    losses = []
    for engine in engines(vocabulary, config(), float64_tables(vocabulary, 10)):
        tallies = [engine.run(block, Rates(), seed) for seed in range(6)]
        losses.append((np.mean([t.mean for t in tallies]), np.mean([t.pairs for t in tallies])))
    # Different draws of windows and noise: equal in expectation only.
    assert losses[0] == pytest.approx(losses[1], rel=0.01)


# Batches of 128 windows of these 24 words have up to a hundred updates for a row, far beyond the cap.
@pytest.mark.parametrize("learning_rate", [0.025, 0.05])
def test_both_engines_learn_and_end_at_the_same_loss(learning_rate: float) -> None:
    vocabulary, block = themed_corpus(150, seed=1)
    ends = []
    for engine in engines(
        vocabulary, config(), initial_tables(len(vocabulary.ids), 10, 0), windows_per_batch=128
    ):
        start = engine.run(block, Rates(), seed=99).mean
        for epoch in range(12):
            rate = learning_rate * (1 - epoch / 12)
            engine.run(block, Rates(rate, 0.0, 0.0), seed=epoch)
        ends.append(engine.run(block, Rates(), seed=99).mean)
        assert ends[-1] < 0.6 * start
    assert ends[0] == pytest.approx(ends[1], rel=0.04)


def test_the_gpu_engine_stays_finite_when_one_word_fills_the_batch() -> None:
    ids = np.arange(2)
    vocabulary = Vocabulary(ids, np.array([9000, 1000]), [None] * 2, ids.astype(np.int32))
    tokens = (np.random.default_rng(0).random(10_000) < 0.1).astype(np.uint16)
    block = Block(0, tokens, np.array([0, len(tokens)]))
    settings = config(subsample=0.0)
    tables = initial_tables(2, 10, 0)
    engine = GpuEngine(vocabulary, settings, tables, torch.device("cpu"), windows_per_batch=8192)
    start = engine.run(block, Rates(), seed=0).mean
    for epoch in range(30):
        engine.run(block, Rates(0.025, 0.0, 0.0), seed=epoch)
    end = engine.run(block, Rates(), seed=0).mean
    assert np.isfinite(engine.tables()).all()
    assert end < start


@pytest.mark.parametrize("dimension", [1, 16, 33])
def test_any_dimension_is_trained_as_it_is(dimension: int) -> None:
    vocabulary, block = themed_corpus(20, seed=2)
    tables = float64_tables(vocabulary, dimension)
    engine = CpuEngine(vocabulary, config(dimension=dimension), tables)
    engine.run(block, Rates(0.05, 0.0, 0.0), seed=1)
    reference(vocabulary, config(dimension=dimension), tables, block, Rates(0.05, 0.0, 0.0), seed=1)
    assert engine.tables()[0].shape == tables[0].shape
    np.testing.assert_allclose(engine.tables()[0], tables[0], rtol=1e-9, atol=1e-12)
