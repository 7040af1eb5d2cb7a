"""Which documents belong together, through others too: union-find over positions."""

from collections.abc import Iterable
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]


def first_of_groups(size: int, pairs: Iterable[tuple[Positions, Positions]]) -> Positions:
    """The smallest position of each position's group.

    Args:
        size: the number of positions.
        pairs: in any number of parts, positions that belong together: the lefts and the rights.

    >>> first_of_groups(6, [(np.array([3, 3]), np.array([1, 5]))]).tolist()
    [0, 1, 2, 1, 4, 1]
    """
    parents = np.arange(size, dtype=np.int64)
    for left, right in pairs:
        _join(parents, left, right)
    _flatten(parents)
    return parents


@numba.njit(cache=True)
def _root(parents: Any, position: int) -> int:  # pragma: no cover  # compiled
    while parents[position] != position:
        parents[position] = parents[parents[position]]
        position = parents[position]
    return position


@numba.njit(cache=True)
def _join(parents: Any, left: Any, right: Any) -> None:  # pragma: no cover  # compiled
    for index in range(len(left)):
        one, other = _root(parents, left[index]), _root(parents, right[index])
        # A root is the smallest of its group.
        parents[max(one, other)] = min(one, other)


@numba.njit(cache=True)
def _flatten(parents: Any) -> None:  # pragma: no cover  # compiled
    for position in range(len(parents)):
        parents[position] = _root(parents, position)
