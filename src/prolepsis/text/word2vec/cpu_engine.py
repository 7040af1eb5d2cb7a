"""word2vec on the CPU: a compiled loop over tokens; threads write to the same tables unlocked (Hogwild).

In skip-gram each centre word draws its noise words once and shares them among all words of its window. So an
output vector is read and written once per window instead of once per pair, which is where the time goes (Ji
et al. 2016, pWord2Vec, share them likewise); the expected gradient is that of word2vec.c. All pairs of a
window see the output vectors from before it; input vectors are updated pair by pair. `targets_per: pair` does
as word2vec.c does instead. CBOW makes one prediction for a window, so there is nothing to share.

Where this differs from word2vec.c: within ±6 the logistic function is exact, not looked up in a table;
documents bound a window, and are not cut at 1,000 words.

The compiled code is cached beside this file, or in the user's cache folder where this one cannot be written
(NUMBA_CACHE_DIR names another).
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from prolepsis.text.word2vec.blocks import Block, Rates, Tally
from prolepsis.text.word2vec.config import SATURATION, Word2VecConfig
from prolepsis.text.word2vec.huffman import HuffmanPaths
from prolepsis.text.word2vec.vocabulary import AliasTable, Vocabulary

_FLOATS_PER_LINE = 16  # 64 bytes: rows that fill cache lines are read fastest

_SMALLEST_LIKELIHOOD = 1e-200  # long before a product of probabilities underflows

# Sums may be reordered, so that they can be vectorised; infinities and NaN keep their meaning.
_FAST = {"reassoc", "contract", "nsz", "arcp"}

# Knuth's MMIX generator; draws use its upper bits.
_MULTIPLIER = np.uint64(6364136223846793005)
_INCREMENT = np.uint64(1442695040888963407)


class Form(NamedTuple):
    """Which of its forms a loop is compiled for."""

    hierarchical: bool
    skip_saturated: bool
    exact_gradient: bool
    shrink: bool


class Sampling(NamedTuple):
    """What the kernel draws with.

    Attributes:
        rows: the row of each token id.
        keep: how often an occurrence of each row is trained on.
        thresholds, aliases: the noise's alias table; empty in hierarchical softmax.
        path_offsets, path_nodes, path_signs: `HuffmanPaths`; empty in negative sampling.
    """

    rows: NDArray[np.int32]
    keep: NDArray[np.float32]
    thresholds: NDArray[np.float32]
    aliases: NDArray[np.int32]
    path_offsets: NDArray[np.int64]
    path_nodes: NDArray[np.int32]
    path_signs: NDArray[np.int8]


class CpuEngine:
    """Tables in main memory, trained by `run`, which any number of threads may call at the same time.

    Args:
        tables: input and output vectors `[V, dimension]`, copied; the arithmetic is done in their precision.
    """

    def __init__(
        self, vocabulary: Vocabulary, config: Word2VecConfig, tables: tuple[NDArray[Any], NDArray[Any]]
    ) -> None:
        self._config = config
        self._inputs, self._outputs = (_padded(table) for table in tables)
        hierarchical = config.output == "hierarchical_softmax"
        noise, paths = AliasTable.empty(), HuffmanPaths.empty()
        if hierarchical:
            paths = HuffmanPaths.build(vocabulary.counts)
        else:
            noise = AliasTable.build(vocabulary.noise_probabilities(config.noise_exponent))
        keep = vocabulary.keep_probabilities(config.subsample).astype(np.float32)
        self._sampling = Sampling(
            vocabulary.rows, keep, noise.thresholds, noise.aliases, paths.offsets, paths.nodes, paths.signs
        )
        build = _compiled_cbow if config.model == "cbow" else _compiled_skip_gram
        if config.model == "skip_gram" and config.targets_per == "pair":
            build = _compiled_skip_gram_by_pairs
        self._kernel = build(
            self._inputs.shape[1],
            _whole_lines(paths.longest) if hierarchical else config.negatives + 1,
            Form(
                hierarchical,
                # Hierarchical softmax has no step beyond the bound in word2vec.c and gensim alike.
                hierarchical or config.saturation == "gensim",
                config.cbow_gradient == "exact",
                config.shrink_windows,
            ),
        )

    def run(self, block: Block, rates: Rates, seed: int) -> Tally:
        loss, pairs = self._kernel(
            block.tokens,
            block.offsets,
            self._sampling,
            self._inputs,
            self._outputs,
            self._config.window,
            rates,
            np.uint64(seed),
        )
        return Tally(loss, pairs)

    def tables(self) -> tuple[NDArray[Any], NDArray[Any]]:
        dimension = self._config.dimension
        return self._inputs[:, :dimension].copy(), self._outputs[:, :dimension].copy()


def _whole_lines(numbers: int) -> int:
    """The next multiple of what fills a cache line; for paths, so that few lengths have code of their own."""
    return math.ceil(numbers / _FLOATS_PER_LINE) * _FLOATS_PER_LINE


def _padded(table: NDArray[Any]) -> NDArray[Any]:
    """The table with zero columns up to a full cache line; they stay zero in training."""
    rows, dimension = table.shape
    padded = np.zeros((rows, _whole_lines(dimension)), table.dtype)
    padded[:, :dimension] = table
    return padded


@numba.njit
def _advance(state: Any) -> Any:
    return state * _MULTIPLIER + _INCREMENT


@numba.njit
def _fraction(state: Any) -> Any:
    """A number in [0, 1) from a state."""
    return np.float32(state >> np.uint64(40)) * np.float32(2.0**-24)


@numba.njit
def _below(state: Any, limit: Any) -> Any:
    """An integer in [0, limit) from a state."""
    return np.int64(((state >> np.uint64(32)) * np.uint64(limit)) >> np.uint64(32))


@numba.njit(nogil=True)
def _subsample(tokens: Any, sampling: Any, words: Any, state: Any) -> Any:
    """Fills `words` with the rows of the tokens that are kept; returns how many, and the new state."""
    num_words = 0
    for token in tokens:
        row = sampling.rows[token]
        if row >= 0:
            state = _advance(state)
            if _fraction(state) < sampling.keep[row]:
                words[num_words] = row
                num_words += 1
    return num_words, state


@numba.njit(nogil=True)
def _draw_targets(centre: Any, sampling: Any, targets: Any, state: Any) -> Any:
    """Fills `targets` with the centre and its noise words; returns how many, and the new state."""
    targets[0] = centre
    num_targets = 1
    for _ in range(len(targets) - 1):
        state = _advance(state)
        noise = _below(state, len(sampling.aliases))
        state = _advance(state)
        if _fraction(state) >= sampling.thresholds[noise]:
            noise = np.int64(sampling.aliases[noise])
        if noise != centre:  # word2vec.c leaves it out as well, and draws no other
            targets[num_targets] = noise
            num_targets += 1
    return num_targets, state


@numba.njit(nogil=True)
def _follow_path(centre: Any, sampling: Any, targets: Any, signs: Any) -> Any:
    """Fills `targets` with the nodes above the centre, `signs` with the branches; returns how many."""
    start = sampling.path_offsets[centre]
    num_targets = sampling.path_offsets[centre + 1] - start
    for t in range(num_targets):
        targets[t] = sampling.path_nodes[start + t]
        signs[t] = sampling.path_signs[start + t]
    return num_targets


# The pieces of the loops. They take over their caller's constants and arithmetic; called instead, they would
# take twice the time.


@numba.njit(inline="always")
def _find_targets(hierarchical: Any, centre: Any, sampling: Any, targets: Any, signs: Any, state: Any) -> Any:
    """The output rows that are scored to predict a centre word; returns how many, and the new state."""
    if hierarchical:
        num_targets = _follow_path(centre, sampling, targets, signs)
    else:
        num_targets, state = _draw_targets(centre, sampling, targets, state)
    return num_targets, state


@numba.njit(inline="always")
def _draw_reach(shrink: Any, window: Any, state: Any) -> Any:
    reach = np.int64(window)
    if shrink:
        state = _advance(state)
        reach = 1 + _below(state, window)
    return reach, state


@numba.njit(inline="always")
def _judge(margin: Any, one: Any, skip_saturated: Any, tally: Any) -> Any:
    """The error of a score, and the new tally.

    Args:
        margin: the score with the sign that it should have.
        tally: a loss, and a product of probabilities that is still to be added to it: one logarithm of many
            is far cheaper than one of each.
    """
    loss, likelihood = tally
    if abs(margin) < SATURATION:
        probability = one / (one + np.exp(-margin))
        likelihood *= probability
        if likelihood < _SMALLEST_LIKELIHOOD:
            loss -= np.log(likelihood)
            likelihood = 1.0
        error = one - probability
    else:
        distance = np.float64(margin)
        loss += max(-distance, 0.0) + np.log1p(np.exp(-abs(distance)))
        error = one - one
        if not skip_saturated and distance < 0.0:
            error = one
    return error, (loss, likelihood)


@numba.njit(inline="always")
def _descend_at_once(
    hidden: Any,
    outputs: Any,
    targets: Any,
    rate: Any,
    change: Any,
    dimension: Any,
    skip_saturated: Any,
    tally: Any,
) -> Any:
    """One prediction as in word2vec.c: moves each output vector, and sets `change` to the step of `hidden`.

    Args:
        targets: the rows of the output vectors, the signs of their scores, and how many there are.
    """
    rows, signs, num_targets = targets
    one = hidden.dtype.type(1)
    for d in range(dimension):
        change[d] = 0.0
    for t in range(num_targets):
        row = rows[t]
        score = hidden.dtype.type(0)
        for d in range(dimension):
            score += hidden[d] * outputs[row, d]
        error, tally = _judge(signs[t] * score, one, skip_saturated, tally)
        slope = signs[t] * rate * error
        for d in range(dimension):
            change[d] += slope * outputs[row, d]
            outputs[row, d] += slope * hidden[d]
    return tally


@lru_cache
def _compiled_skip_gram(dimension: int, most_targets: int, form: Form) -> Callable[..., tuple[float, int]]:
    """The training loop for rows of `dimension` numbers, faster for knowing it as a constant.

    Args:
        most_targets: the most output rows that are scored for a prediction.
    """
    hierarchical, skip_saturated, _, shrink = form

    @numba.njit(nogil=True, cache=True, fastmath=_FAST)
    def train(  # noqa: PLR0912 (one loop nest: its pieces, called, would take twice the time)
        tokens: Any,
        offsets: Any,
        sampling: Any,
        inputs: Any,
        outputs: Any,
        window: Any,
        rates: Any,
        state: Any,
    ) -> Any:
        """Trains on whole documents; returns the sum of the predictions' losses, and their number."""
        dtype = inputs.dtype
        one = dtype.type(1)
        words = np.empty(len(tokens), np.int32)
        targets = np.empty(most_targets, np.int32)
        signs = np.full(most_targets, -1, dtype)
        signs[0] = 1
        vectors = np.empty((most_targets, dimension), dtype)
        updates = np.empty((most_targets, dimension), dtype)
        slopes = np.empty(most_targets, dtype)
        change = np.empty(dimension, dtype)
        tally, pairs = (0.0, 1.0), 0
        for document in range(len(offsets) - 1):
            start, stop = offsets[document], offsets[document + 1]
            rate = dtype.type(max(rates.floor, rates.first - rates.fall * start))
            num_words, state = _subsample(tokens[start:stop], sampling, words, state)
            for i in range(num_words):
                num_targets, state = _find_targets(hierarchical, words[i], sampling, targets, signs, state)
                for t in range(num_targets):
                    row = targets[t]
                    for d in range(dimension):
                        vectors[t, d] = outputs[row, d]
                        updates[t, d] = 0.0
                reach, state = _draw_reach(shrink, window, state)
                for j in range(max(0, i - reach), min(num_words, i + reach + 1)):
                    if j == i:
                        continue
                    context = words[j]
                    for t in range(num_targets):
                        score = dtype.type(0)
                        for d in range(dimension):
                            score += inputs[context, d] * vectors[t, d]
                        error, tally = _judge(signs[t] * score, one, skip_saturated, tally)
                        slopes[t] = signs[t] * rate * error
                    pairs += 1
                    for d in range(dimension):
                        change[d] = 0.0
                    for t in range(num_targets):
                        slope = slopes[t]
                        for d in range(dimension):
                            change[d] += slope * vectors[t, d]
                            updates[t, d] += slope * inputs[context, d]
                    for d in range(dimension):
                        inputs[context, d] += change[d]
                for t in range(num_targets):
                    row = targets[t]
                    for d in range(dimension):
                        outputs[row, d] += updates[t, d]
        return tally[0] - np.log(tally[1]), pairs

    return train


@lru_cache
def _compiled_skip_gram_by_pairs(
    dimension: int, most_targets: int, form: Form
) -> Callable[..., tuple[float, int]]:
    """The same, every pair with targets of its own, as in word2vec.c."""
    hierarchical, skip_saturated, _, shrink = form

    @numba.njit(nogil=True, cache=True, fastmath=_FAST)
    def train(
        tokens: Any,
        offsets: Any,
        sampling: Any,
        inputs: Any,
        outputs: Any,
        window: Any,
        rates: Any,
        state: Any,
    ) -> Any:
        dtype = inputs.dtype
        words = np.empty(len(tokens), np.int32)
        targets = np.empty(most_targets, np.int32)
        signs = np.full(most_targets, -1, dtype)
        signs[0] = 1
        change = np.empty(dimension, dtype)
        tally, pairs = (0.0, 1.0), 0
        for document in range(len(offsets) - 1):
            start, stop = offsets[document], offsets[document + 1]
            rate = dtype.type(max(rates.floor, rates.first - rates.fall * start))
            num_words, state = _subsample(tokens[start:stop], sampling, words, state)
            for i in range(num_words):
                reach, state = _draw_reach(shrink, window, state)
                for j in range(max(0, i - reach), min(num_words, i + reach + 1)):
                    if j == i:
                        continue
                    num_targets, state = _find_targets(
                        hierarchical, words[i], sampling, targets, signs, state
                    )
                    hidden = inputs[words[j]]
                    tally = _descend_at_once(
                        hidden,
                        outputs,
                        (targets, signs, num_targets),
                        rate,
                        change,
                        dimension,
                        skip_saturated,
                        tally,
                    )
                    pairs += 1
                    for d in range(dimension):
                        hidden[d] += change[d]
        return tally[0] - np.log(tally[1]), pairs

    return train


@lru_cache
def _compiled_cbow(dimension: int, most_targets: int, form: Form) -> Callable[..., tuple[float, int]]:
    """The same for CBOW: the mean of a window's input vectors predicts its centre."""
    hierarchical, skip_saturated, exact_gradient, shrink = form

    @numba.njit(nogil=True, cache=True, fastmath=_FAST)
    def train(  # noqa: PLR0912 (one loop nest: its pieces, called, would take twice the time)
        tokens: Any,
        offsets: Any,
        sampling: Any,
        inputs: Any,
        outputs: Any,
        window: Any,
        rates: Any,
        state: Any,
    ) -> Any:
        dtype = inputs.dtype
        words = np.empty(len(tokens), np.int32)
        targets = np.empty(most_targets, np.int32)
        signs = np.full(most_targets, -1, dtype)
        signs[0] = 1
        hidden = np.empty(dimension, dtype)
        change = np.empty(dimension, dtype)
        tally, windows = (0.0, 1.0), 0
        for document in range(len(offsets) - 1):
            start, stop = offsets[document], offsets[document + 1]
            rate = dtype.type(max(rates.floor, rates.first - rates.fall * start))
            num_words, state = _subsample(tokens[start:stop], sampling, words, state)
            if num_words < 2:
                continue
            for i in range(num_words):
                reach, state = _draw_reach(shrink, window, state)
                first, last = max(0, i - reach), min(num_words, i + reach + 1)
                share = dtype.type(1) / dtype.type(last - first - 1)
                for d in range(dimension):
                    hidden[d] = 0.0
                for j in range(first, last):
                    if j != i:
                        context = words[j]
                        for d in range(dimension):
                            hidden[d] += inputs[context, d]
                for d in range(dimension):
                    hidden[d] *= share
                num_targets, state = _find_targets(hierarchical, words[i], sampling, targets, signs, state)
                tally = _descend_at_once(
                    hidden,
                    outputs,
                    (targets, signs, num_targets),
                    rate,
                    change,
                    dimension,
                    skip_saturated,
                    tally,
                )
                windows += 1
                # Each word has its share in the mean; word2vec.c and gensim move it as if it were the mean.
                if exact_gradient:
                    for d in range(dimension):
                        change[d] *= share
                for j in range(first, last):
                    if j != i:
                        context = words[j]
                        for d in range(dimension):
                            inputs[context, d] += change[d]
        return tally[0] - np.log(tally[1]), windows

    return train
