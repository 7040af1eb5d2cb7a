"""word2vec's training loops, for numba to compile; imported only to do so (see `machine_code`).

In skip-gram each centre word draws its noise words once and shares them among all words of its window. So an
output vector is read and written once per window instead of once per pair, which is where the time goes (Ji
et al. 2016, pWord2Vec, share them likewise); the expected gradient is that of word2vec.c. All pairs of a
window see the output vectors from before it; input vectors are updated pair by pair. `targets_per: pair` does
as word2vec.c does instead. CBOW makes one prediction for a window, so there is nothing to share.

Where this differs from word2vec.c: within ±6 the logistic function is exact, not looked up in a table;
documents bound a window, and are cut at 8,192 tokens (`blocks.py`), not at 1,000 words.

Nothing here allocates or raises: what is compiled needs the C library and nothing of numba or Python.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import carray  # type: ignore[attr-defined]

from prolepsis.text.word2vec.blocks import Rates
from prolepsis.text.word2vec.config import SATURATION
from prolepsis.text.word2vec.machine_code import KernelForm, Sampling, Scratch

_SMALLEST_LIKELIHOOD = 1e-200  # long before a product of probabilities underflows

# Sums may be reordered, so that they can be vectorised; infinities and NaN keep their meaning.
_FAST = {"reassoc", "contract", "nsz", "arcp"}

# Knuth's MMIX generator; draws use its upper bits.
_MULTIPLIER = np.uint64(6364136223846793005)
_INCREMENT = np.uint64(1442695040888963407)


def compile_kernel(form: KernelForm) -> tuple[str, str]:
    """The LLVM code of a loop that takes what `machine_code.ARGUMENTS` lists, and its name in there."""
    build = {"skip_gram": _skip_gram, "skip_gram_by_pairs": _skip_gram_by_pairs, "cbow": _cbow}[form.loop]
    train, dimension, most_targets = build(form), form.dimension, form.most_targets

    @numba.cfunc(_signature(form), fastmath=_FAST, error_model="numpy")
    def kernel(  # noqa: PLR0913, PLR0917 (a function of C, called by `machine_code.Kernel` alone)
        tokens: Any,
        num_tokens: Any,
        offsets: Any,
        num_documents: Any,
        rows: Any,
        num_ids: Any,
        keep: Any,
        thresholds: Any,
        aliases: Any,
        path_offsets: Any,
        path_nodes: Any,
        path_signs: Any,
        num_nodes: Any,
        inputs: Any,
        outputs: Any,
        num_rows: Any,
        words: Any,
        targets: Any,
        signs: Any,
        slopes: Any,
        vectors: Any,
        updates: Any,
        change: Any,
        hidden: Any,
        window: Any,
        first_rate: Any,
        fall: Any,
        floor: Any,
        seed: Any,
        result: Any,
    ) -> None:
        sampling = Sampling(
            carray(rows, (num_ids,)),
            carray(keep, (num_rows,)),
            carray(thresholds, (num_rows,)),
            carray(aliases, (num_rows,)),
            carray(path_offsets, (num_rows + 1,)),
            carray(path_nodes, (num_nodes,)),
            carray(path_signs, (num_nodes,)),
        )
        scratch = Scratch(
            carray(words, (num_tokens,)),
            carray(targets, (most_targets,)),
            carray(signs, (most_targets,)),
            carray(slopes, (most_targets,)),
            carray(vectors, (most_targets, dimension)),
            carray(updates, (most_targets, dimension)),
            carray(change, (dimension,)),
            carray(hidden, (dimension,)),
        )
        loss, pairs = train(
            carray(tokens, (num_tokens,)),
            carray(offsets, (num_documents + 1,)),
            sampling,
            (carray(inputs, (num_rows, dimension)), carray(outputs, (num_rows, dimension))),
            window,
            Rates(first_rate, fall, floor),
            seed,
            scratch,
        )
        result[0] = loss
        result[1] = pairs

    return kernel.inspect_llvm(), kernel.native_name


def _signature(form: KernelForm) -> Any:
    """The types of `machine_code.ARGUMENTS`, for numba."""
    kinds = []
    for kind in form.argument_types():
        scalar = getattr(numba.types, kind.removesuffix("*"))
        kinds.append(numba.types.CPointer(scalar) if kind.endswith("*") else scalar)  # type: ignore[no-untyped-call]
    return numba.types.void(*kinds)


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


@numba.njit
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


@numba.njit
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


@numba.njit
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


def _skip_gram(form: KernelForm) -> Callable[..., tuple[float, int]]:
    """The training loop for rows of `dimension` numbers, faster for knowing it as a constant."""
    dimension, hierarchical, skip_saturated = form.dimension, form.hierarchical, form.skip_saturated
    shrink = form.shrink

    @numba.njit(fastmath=_FAST, error_model="numpy")
    def train(  # noqa: PLR0912 (one loop nest: its pieces, called, would take twice the time)
        tokens: Any,
        offsets: Any,
        sampling: Any,
        tables: Any,
        window: Any,
        rates: Any,
        state: Any,
        scratch: Any,
    ) -> Any:
        """Trains on whole documents; returns the sum of the predictions' losses, and their number."""
        inputs, outputs = tables
        dtype = inputs.dtype
        one = dtype.type(1)
        words, targets, signs, change = scratch.words, scratch.targets, scratch.signs, scratch.change
        vectors, updates, slopes = scratch.vectors, scratch.updates, scratch.slopes
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


def _skip_gram_by_pairs(form: KernelForm) -> Callable[..., tuple[float, int]]:
    """The same, every pair with targets of its own, as in word2vec.c."""
    dimension, hierarchical, skip_saturated = form.dimension, form.hierarchical, form.skip_saturated
    shrink = form.shrink

    @numba.njit(fastmath=_FAST, error_model="numpy")
    def train(
        tokens: Any,
        offsets: Any,
        sampling: Any,
        tables: Any,
        window: Any,
        rates: Any,
        state: Any,
        scratch: Any,
    ) -> Any:
        inputs, outputs = tables
        dtype = inputs.dtype
        words, targets, signs, change = scratch.words, scratch.targets, scratch.signs, scratch.change
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


def _cbow(form: KernelForm) -> Callable[..., tuple[float, int]]:
    """The same for CBOW: the mean of a window's input vectors predicts its centre."""
    dimension, hierarchical, skip_saturated = form.dimension, form.hierarchical, form.skip_saturated
    exact_gradient, shrink = form.exact_gradient, form.shrink

    @numba.njit(fastmath=_FAST, error_model="numpy")
    def train(  # noqa: PLR0912 (one loop nest: its pieces, called, would take twice the time)
        tokens: Any,
        offsets: Any,
        sampling: Any,
        tables: Any,
        window: Any,
        rates: Any,
        state: Any,
        scratch: Any,
    ) -> Any:
        inputs, outputs = tables
        dtype = inputs.dtype
        words, targets, signs = scratch.words, scratch.targets, scratch.signs
        hidden, change = scratch.hidden, scratch.change
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
