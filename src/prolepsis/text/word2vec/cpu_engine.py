"""Skip-gram on the CPU: a compiled loop over tokens; threads write to the same tables unlocked (Hogwild).

Each centre word draws its noise words once and shares them among all words of its window. So an output vector
is read and written once per window instead of once per pair, which is where the time goes (Ji et al. 2016,
pWord2Vec, share them likewise); the expected gradient is that of word2vec.c. All pairs of a window see the
output vectors from before it; input vectors are updated pair by pair.

Where this differs from word2vec.c: the logistic function is exact, not a table over ±6; documents bound a
window, and are not cut at 1,000 words.

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
from prolepsis.text.word2vec.config import Word2VecConfig
from prolepsis.text.word2vec.vocabulary import AliasTable, Vocabulary

_FLOATS_PER_LINE = 16  # 64 bytes: rows that fill cache lines are read fastest

# Sums may be reordered, so that they can be vectorised; infinities and NaN keep their meaning.
_FAST = {"reassoc", "contract", "nsz", "arcp"}

# Knuth's MMIX generator; draws use its upper bits.
_MULTIPLIER = np.uint64(6364136223846793005)
_INCREMENT = np.uint64(1442695040888963407)


class Sampling(NamedTuple):
    """What the kernel draws with: the row of each token id, how often it is kept, the noise's alias table."""

    rows: NDArray[np.int32]
    keep: NDArray[np.float32]
    thresholds: NDArray[np.float32]
    aliases: NDArray[np.int32]


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
        noise = AliasTable.build(vocabulary.noise_probabilities())
        keep = vocabulary.keep_probabilities(config.subsample).astype(np.float32)
        self._sampling = Sampling(vocabulary.rows, keep, noise.thresholds, noise.aliases)
        self._kernel = _compiled(self._inputs.shape[1], config.negatives + 1)

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


def _padded(table: NDArray[Any]) -> NDArray[Any]:
    """The table with zero columns up to a full cache line; they stay zero in training."""
    rows, dimension = table.shape
    width = math.ceil(dimension / _FLOATS_PER_LINE) * _FLOATS_PER_LINE
    padded = np.zeros((rows, width), table.dtype)
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


@lru_cache
def _compiled(dimension: int, num_drawn: int) -> Callable[..., tuple[float, int]]:
    """The training loop for rows of `dimension` numbers, faster for knowing it as a constant.

    Args:
        num_drawn: targets of a window: its centre and the noise words.
    """

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
        """Trains on whole documents; returns the sum of the pairs' losses, and the number of pairs."""
        dtype = inputs.dtype
        one = dtype.type(1)
        words = np.empty(len(tokens), np.int32)
        targets = np.empty(num_drawn, np.int32)
        vectors = np.empty((num_drawn, dimension), dtype)
        updates = np.empty((num_drawn, dimension), dtype)
        slopes = np.empty(num_drawn, dtype)
        change = np.empty(dimension, dtype)
        loss, pairs = 0.0, 0
        # Multiplying probabilities and taking one logarithm of many is far cheaper than a logarithm of each.
        likelihood = 1.0
        for document in range(len(offsets) - 1):
            start, stop = offsets[document], offsets[document + 1]
            rate = dtype.type(max(rates.floor, rates.first - rates.fall * start))
            num_words, state = _subsample(tokens[start:stop], sampling, words, state)
            for i in range(num_words):
                num_targets, state = _draw_targets(words[i], sampling, targets, state)
                for t in range(num_targets):
                    row = targets[t]
                    for d in range(dimension):
                        vectors[t, d] = outputs[row, d]
                        updates[t, d] = 0.0
                state = _advance(state)
                reach = 1 + _below(state, window)
                for j in range(max(0, i - reach), min(num_words, i + reach + 1)):
                    if j == i:
                        continue
                    context = words[j]
                    for t in range(num_targets):
                        score = dtype.type(0)
                        for d in range(dimension):
                            score += inputs[context, d] * vectors[t, d]
                        sign = one if t == 0 else -one
                        probability = one / (one + np.exp(-sign * score))
                        likelihood *= probability
                        slopes[t] = sign * rate * (one - probability)
                    pairs += 1
                    if likelihood < 1e-200:  # long before it underflows
                        loss -= np.log(likelihood)
                        likelihood = 1.0
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
        return loss - np.log(likelihood), pairs

    return train
