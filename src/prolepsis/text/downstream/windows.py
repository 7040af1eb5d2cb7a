"""A text longer than a row, as windows that overlap."""

import numpy as np
from numpy.typing import NDArray


def window_starts(length: int, size: int, stride: int) -> list[int]:
    """Where windows of `size` tokens begin, `stride` apart, up to the first that reaches the end."""
    starts = [0]
    while starts[-1] + size < length:
        starts.append(starts[-1] + min(stride, size))
    return starts


def window_of_most_context(length: int, size: int, starts: list[int]) -> NDArray[np.int64]:
    """For each token the number of the window in which it has most context on its shorter side, [length].

    Equal ones are settled for the longer window, then the earlier one (google-research/bert, run_squad.py).
    """
    tokens = np.arange(length)
    best = np.full(length, -np.inf)
    window = np.zeros(length, np.int64)
    for number, start in enumerate(starts):
        stop = min(start + size, length)
        inside = (tokens >= start) & (tokens < stop)
        context = np.minimum(tokens - start, stop - 1 - tokens) + 0.01 * (stop - start)
        better = inside & (context > best)
        best[better] = context[better]
        window[better] = number
    return window
