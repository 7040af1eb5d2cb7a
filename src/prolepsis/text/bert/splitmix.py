"""Random numbers inside compiled kernels: SplitMix64 (Steele et al. 2014).

The state is an array of one word, so that a kernel may have one for every document or example.
"""

from typing import Any

import numpy as np
from numba import njit, uint64

_STEP = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True)
def mix(value: Any) -> Any:
    """The generator's output function: one good 64-bit word from another."""
    value = value + _STEP
    value = (value ^ (value >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> uint64(27))) * uint64(0x94D049BB133111EB)
    return value ^ (value >> uint64(31))


@njit(cache=True)
def state_of(seed: Any, pass_index: Any, number: Any) -> Any:
    """A state that depends on these three words, uint64 each, alone."""
    state = np.empty(1, np.uint64)
    state[0] = mix(mix(mix(seed) ^ pass_index) ^ number)
    return state


@njit(cache=True)
def uniform(state: Any) -> float:
    """The next number in [0, 1)."""
    word = mix(state[0])
    state[0] = state[0] + _STEP
    return float(word >> uint64(11)) * (1.0 / (1 << 53))


@njit(cache=True)
def between(state: Any, lowest: int, highest: int) -> int:
    """The next integer in [lowest, highest]."""
    return lowest + int(uniform(state) * (highest - lowest + 1))
