"""The compiled kernel and the GPU engine against a plain reference and the derivative of the loss."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode

from prolepsis.text.word2vec.blocks import Block, Rates, Tally, initial_tables
from prolepsis.text.word2vec.config import Word2VecConfig
from prolepsis.text.word2vec.cpu_engine import CpuEngine
from prolepsis.text.word2vec.gpu_engine import GpuEngine, window_gradients
from prolepsis.text.word2vec.huffman import HuffmanPaths
from prolepsis.text.word2vec.vocabulary import AliasTable, Vocabulary

pytestmark = pytest.mark.usefixtures("one_thread")

MASK = (1 << 64) - 1


# The arithmetic of the GPU engine is PyTorch's, so it runs on a CPU as well.
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
on_each_device = pytest.mark.parametrize("device", DEVICES)


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
    """Every form of word2vec, written for reading; changes `tables` in place."""
    inputs, outputs = tables
    keep = vocabulary.keep_probabilities(config.subsample).astype(np.float32)
    noise = AliasTable.build(vocabulary.noise_probabilities(config.noise_exponent))
    paths = HuffmanPaths.build(vocabulary.counts)
    hierarchical = config.output == "hierarchical_softmax"
    generator = Generator(seed)
    loss, predictions = 0.0, 0

    def find_targets(centre: int) -> tuple[NDArray[Any], NDArray[Any]]:
        if hierarchical:
            path = slice(paths.offsets[centre], paths.offsets[centre + 1])
            return paths.nodes[path], paths.signs[path]
        targets = [centre]
        for _ in range(config.negatives):
            slot = generator.below(len(noise.aliases))
            drawn = slot if generator.fraction() < noise.thresholds[slot] else noise.aliases[slot]
            if drawn != centre:
                targets.append(drawn)
        return np.array(targets), np.array([1] + [-1] * (len(targets) - 1))

    def draw_reach() -> int:
        return 1 + generator.below(config.window) if config.shrink_windows else config.window

    def slope(margin: float) -> float:
        if abs(margin) < 6:
            return float(1 / (1 + np.exp(margin)))
        return float(margin < 0 and config.saturation == "word2vec" and not hierarchical)

    def descend(hidden: NDArray[Any], targets: Any, signs: Any, vectors: NDArray[Any]) -> NDArray[Any]:
        """Moves the output rows; `vectors` are what they are read from. Returns the step of `hidden`."""
        nonlocal loss, predictions
        step = np.zeros_like(hidden)
        for t, (target, sign) in enumerate(zip(targets, signs, strict=True)):
            vector = vectors[t] if vectors is not outputs else outputs[target].copy()
            margin = sign * (vector @ hidden)
            loss += np.logaddexp(0, -margin)
            step += sign * rate * slope(margin) * vector
            outputs[target] += sign * rate * slope(margin) * hidden
        predictions += 1
        return step

    for start, stop in zip(block.offsets[:-1], block.offsets[1:], strict=True):
        rate = max(rates.floor, rates.first - rates.fall * start)
        rows = [row for row in vocabulary.rows[block.tokens[start:stop]] if row >= 0]
        words = [row for row in rows if generator.fraction() < keep[row]]
        if len(words) < 2 and config.model == "cbow":
            continue
        for i, centre in enumerate(words):
            shared = config.model == "skip_gram" and config.targets_per == "window"
            if shared:
                targets, signs = find_targets(centre)
                vectors = outputs[targets]  # a copy: the window sees the tables from before it
            reach = draw_reach()
            others = words[max(0, i - reach) : i] + words[i + 1 : i + reach + 1]
            if config.model == "cbow":
                step = descend(inputs[others].mean(axis=0), *find_targets(centre), outputs)
                share = len(others) if config.cbow_gradient == "exact" else 1
                np.add.at(inputs, others, step / share)
                continue
            for other in others:
                if not shared:
                    targets, signs = find_targets(centre)
                    vectors = outputs
                inputs[other] += descend(inputs[other].copy(), targets, signs, vectors)
    return Tally(loss, predictions)


def float64_tables(vocabulary: Vocabulary, dimension: int) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(5)
    shape = (len(vocabulary.ids), dimension)
    return rng.normal(scale=0.3, size=shape), rng.normal(scale=0.3, size=shape)


def copies(tables: tuple[NDArray[Any], NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The engine takes over what it is given."""
    return tables[0].copy(), tables[1].copy()


NEGATIVE, HIERARCHICAL = {"output": "negative_sampling"}, {"output": "hierarchical_softmax"}
SKIP_GRAM, CBOW = {"model": "skip_gram"}, {"model": "cbow"}
EXACT, BY_PAIR = {"cbow_gradient": "exact"}, {"targets_per": "pair"}
FORMS = [
    {**SKIP_GRAM, **NEGATIVE},
    {**SKIP_GRAM, **NEGATIVE, **BY_PAIR},
    {**SKIP_GRAM, **HIERARCHICAL},
    {**SKIP_GRAM, **HIERARCHICAL, **BY_PAIR},
    {**CBOW, **NEGATIVE},
    {**CBOW, **NEGATIVE, **EXACT},
    {**CBOW, **HIERARCHICAL},
    {**CBOW, **HIERARCHICAL, **EXACT},
]
each_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: " ".join(form.values()))


def assert_is_the_reference(settings: Word2VecConfig, scale: float = 1.0, tolerance: float = 1e-9) -> None:
    vocabulary, block = themed_corpus(12, seed=0)
    tables = float64_tables(vocabulary, settings.dimension)
    tables[1][:] *= scale
    engine = CpuEngine(vocabulary, settings, copies(tables))
    rates = Rates(0.1, 0.1 / 400, 0.03)
    tally = engine.run(block, rates, seed=2**63 - 25)
    expected = reference(vocabulary, settings, tables, block, rates, seed=2**63 - 25)
    assert tally.pairs == expected.pairs > 100
    assert tally.loss == pytest.approx(expected.loss, rel=tolerance)
    for ours, theirs in zip(engine.tables(), tables, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


@each_form
def test_the_kernel_does_what_the_reference_does(form: dict[str, str]) -> None:
    assert_is_the_reference(config(**form))


@each_form
def test_windows_may_keep_their_width_and_noise_be_uniform(form: dict[str, str]) -> None:
    assert_is_the_reference(config(**form, shrink_windows=False, noise_exponent=0.0))


@each_form
@pytest.mark.parametrize("saturation", ["word2vec", "gensim"])
def test_scores_beyond_the_bound_step_as_told(form: dict[str, str], saturation: str) -> None:
    # Large vectors take large steps, in which rounding grows.
    assert_is_the_reference(config(**form, saturation=saturation), scale=15.0, tolerance=1e-6)


@on_each_device
@pytest.mark.parametrize(
    ("changes", "moves"), [({}, True), ({"saturation": "gensim"}, False), (HIERARCHICAL, False)]
)
def test_a_score_on_the_wrong_side_of_the_bound_moves_only_as_in_word2vec_c(
    changes: dict[str, str], moves: bool, device: str
) -> None:
    ids = np.arange(2)
    vocabulary = Vocabulary(ids, np.array([10, 9]), [None] * 2, ids.astype(np.int32))
    block = Block(0, np.array([0, 1], np.uint16), np.array([0, 2]))
    # Each input vector scores -7 with all that it is to predict, and 7 where the sign is to be negative.
    inputs = np.array([[-7.0], [7.0]]) if changes == HIERARCHICAL else np.full((2, 1), -7.0)
    settings = config(dimension=1, window=1, negatives=1, subsample=0.0, **changes)
    for engine in engines(vocabulary, settings, (inputs, np.ones((2, 1))), device):
        tally = engine.run(block, Rates(0.1, 0.0, 0.0), seed=0)
        assert tally.mean is not None and tally.mean > 7.0
        moved = any(
            not np.array_equal(a, b) for a, b in zip(engine.tables(), (inputs, np.ones((2, 1))), strict=True)
        )
        assert moved == moves


@on_each_device
def test_a_rate_of_zero_measures_and_changes_nothing(device: str) -> None:
    vocabulary, block = themed_corpus(12, seed=0)
    for engine in engines(vocabulary, config(), initial_tables(len(vocabulary.ids), 10, 0), device):
        before = copies(engine.tables())
        first, second = engine.run(block, Rates(), seed=1), engine.run(block, Rates(), seed=1)
        assert first == second and first.pairs > 0
        assert all(np.array_equal(a, b) for a, b in zip(before, engine.tables(), strict=True))


@each_form
def test_the_kernels_update_is_the_derivative_of_its_loss_in_float64(form: dict[str, str]) -> None:
    ids = np.arange(6)
    vocabulary = Vocabulary(ids, np.array([20, 10, 9, 8, 7, 6]), [None] * 6, ids.astype(np.int32))
    block = Block(0, np.array([1, 4, 2], np.uint16), np.array([0, 3]))
    settings = config(window=2, shrink_windows=False, subsample=0.0, dimension=3, **form)
    tables = float64_tables(vocabulary, 3)

    def loss_at(inputs: NDArray[Any], outputs: NDArray[Any]) -> float:
        return CpuEngine(vocabulary, settings, copies((inputs, outputs))).run(block, Rates(), seed=3).loss

    rate = 1e-7  # so small that each window sees the same tables
    engine = CpuEngine(vocabulary, settings, copies(tables))
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
        if which == 0 and settings.model == "cbow" and settings.cbow_gradient == "word2vec":
            numeric *= 2  # word2vec.c does not divide by the two words of each window
        np.testing.assert_allclose(update, numeric, atol=3e-6)


def test_the_gpu_engines_gradient_is_the_derivative_of_its_loss_in_float64() -> None:
    generator = torch.Generator().manual_seed(0)
    contexts = torch.randn(3, 4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.randn(3, 6, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    context_mask = torch.rand(3, 4, generator=generator) < 0.7
    signs = torch.randint(-1, 2, (3, 6), generator=generator)

    def loss(contexts: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return window_gradients(contexts, targets, context_mask, signs, False)[0].sum()

    assert torch.autograd.gradcheck(loss, (contexts, targets))
    expected = torch.autograd.grad(loss(contexts, targets), (contexts, targets))
    _, *ours = window_gradients(contexts, targets, context_mask, signs, False)
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b)


def engines(
    vocabulary: Vocabulary, settings: Word2VecConfig, tables: Any, device: str, windows_per_batch: int = 512
) -> list[Any]:
    """The CPU engine, and the GPU engine on that device."""
    return [
        CpuEngine(vocabulary, settings, copies(tables)),
        GpuEngine(vocabulary, settings, tables, torch.device(device), windows_per_batch),
    ]


@on_each_device
@each_form
def test_both_engines_measure_the_same_loss_of_the_same_tables(form: dict[str, str], device: str) -> None:
    vocabulary, block = themed_corpus(150, seed=1)
    losses = []
    for engine in engines(vocabulary, config(**form), float64_tables(vocabulary, 10), device):
        tallies = [engine.run(block, Rates(), seed) for seed in range(6)]
        losses.append((np.mean([t.mean for t in tallies]), np.mean([t.pairs for t in tallies])))
    # Different draws of windows and noise: equal in expectation only.
    assert losses[0] == pytest.approx(losses[1], rel=0.01)


@on_each_device
@each_form
def test_both_engines_take_the_same_step_in_expectation(form: dict[str, str], device: str) -> None:
    vocabulary, block = themed_corpus(20, seed=4)
    tables = float64_tables(vocabulary, 10)
    settings = config(**form, subsample=0.0, shrink_windows=False)
    rate, rounds = 1e-7, 1 if settings.output == "hierarchical_softmax" else 60
    steps = []
    for build in range(2):
        engine = engines(vocabulary, settings, tables, device)[build]
        for seed in range(rounds):
            engine.run(block, Rates(rate, 0.0, 0.0), seed)
        steps.append([(new - old) / rate / rounds for new, old in zip(engine.tables(), tables, strict=True)])
    for ours, theirs in zip(*steps, strict=True):
        # Without noise words nothing is drawn, and the steps are the same.
        error = np.linalg.norm(ours - theirs) / np.linalg.norm(ours)
        assert error < (1e-4 if rounds == 1 else 0.05)


# Batches of 128 windows of these 24 words have up to a hundred updates for a row, far beyond the cap.
@pytest.mark.parametrize("learning_rate", [0.025, 0.05])
@on_each_device
@each_form
def test_both_engines_learn_and_end_at_the_same_loss(
    learning_rate: float, form: dict[str, str], device: str
) -> None:
    vocabulary, block = themed_corpus(150, seed=1)
    ends = []
    for engine in engines(
        vocabulary, config(**form), initial_tables(len(vocabulary.ids), 10, 0), device, windows_per_batch=128
    ):
        start = engine.run(block, Rates(), seed=99).mean
        for epoch in range(12):
            rate = learning_rate * (1 - epoch / 12)
            engine.run(block, Rates(rate, 0.0, 0.0), seed=epoch)
        ends.append(engine.run(block, Rates(), seed=99).mean)
        assert ends[-1] < 0.65 * start
    assert ends[0] == pytest.approx(ends[1], rel=0.04)


@on_each_device
def test_the_gpu_engine_stays_finite_when_one_word_fills_the_batch(device: str) -> None:
    ids = np.arange(2)
    vocabulary = Vocabulary(ids, np.array([9000, 1000]), [None] * 2, ids.astype(np.int32))
    tokens = (np.random.default_rng(0).random(10_000) < 0.1).astype(np.uint16)
    block = Block(0, tokens, np.array([0, len(tokens)]))
    settings = config(subsample=0.0)
    tables = initial_tables(2, 10, 0)
    engine = GpuEngine(vocabulary, settings, tables, torch.device(device), windows_per_batch=8192)
    start = engine.run(block, Rates(), seed=0).mean
    for epoch in range(30):
        engine.run(block, Rates(0.025, 0.0, 0.0), seed=epoch)
    end = engine.run(block, Rates(), seed=0).mean
    assert np.isfinite(engine.tables()).all()
    assert start is not None and end is not None and end < start


class LargestResult(TorchDispatchMode):
    """How many numbers the largest tensor has that any operation gave."""

    numbers = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        # What is changed in place was there before.
        if isinstance(result, torch.Tensor) and not any(result is argument for argument in args):
            self.numbers = max(self.numbers, result.numel())
        return result


@on_each_device
@pytest.mark.parametrize("output", ["negative_sampling", "hierarchical_softmax"])
def test_a_step_of_the_gpu_engine_makes_nothing_as_large_as_a_table(output: str, device: str) -> None:
    num_words = 20_000
    ids = np.arange(num_words)
    counts = np.ones(num_words, np.int64)
    vocabulary = Vocabulary(ids, counts, [None] * num_words, ids.astype(np.int32))
    block = Block(0, np.arange(100, dtype=np.uint16), np.array([0, 100]))
    settings = config(subsample=0.0, output=output)
    tables = initial_tables(num_words, settings.dimension, 0)
    engine = GpuEngine(vocabulary, settings, copies(tables), torch.device(device))
    with LargestResult() as largest:
        engine.run(block, Rates(0.025, 0.0, 0.0), seed=0)
    assert 0 < largest.numbers < num_words * settings.dimension / 4
    inputs, _ = engine.tables()
    assert np.array_equal(inputs[100:], tables[0][100:])
    assert not np.array_equal(engine.tables()[1], tables[1])


@pytest.mark.parametrize("dimension", [1, 16, 33])
def test_any_dimension_is_trained_as_it_is(dimension: int) -> None:
    vocabulary, block = themed_corpus(20, seed=2)
    tables = float64_tables(vocabulary, dimension)
    engine = CpuEngine(vocabulary, config(dimension=dimension), copies(tables))
    engine.run(block, Rates(0.05, 0.0, 0.0), seed=1)
    reference(vocabulary, config(dimension=dimension), tables, block, Rates(0.05, 0.0, 0.0), seed=1)
    assert engine.tables()[0].shape == tables[0].shape
    np.testing.assert_allclose(engine.tables()[0], tables[0], rtol=1e-9, atol=1e-12)
