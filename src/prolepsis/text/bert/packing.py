"""Several examples to a row: best-fit packing into rows of one length.

A batch padded to its longest example wastes much of its positions; packed rows waste what no example fits
into at their end.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


@dataclass(frozen=True)
class PackedRows:
    """Row `r` holds the examples `examples[offsets[r]:offsets[r + 1]]`."""

    examples: NDArray[np.int64]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def row(self, index: int) -> NDArray[np.int64]:
        return self.examples[self.offsets[index] : self.offsets[index + 1]]


def pack_best_fit(lengths: NDArray[np.int64], row_length: int) -> PackedRows:
    """Puts each example, the longest first, into the fullest row that still has room for it.

    Best-fit decreasing: at most 11/9 of the fewest possible rows (Johnson et al. 1974). Equal lengths keep
    their order, so the result depends on `lengths` alone.

    Args:
        lengths: tokens of each example, between 1 and `row_length`.
    """
    order = np.argsort(-lengths, kind="stable")
    row_of_example, num_rows = _assign(lengths[order], row_length)
    by_row = np.argsort(row_of_example, kind="stable")
    sizes = np.bincount(row_of_example, minlength=num_rows)
    return PackedRows(order[by_row], np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))


@njit(cache=True)
def _assign(lengths: Any, row_length: int) -> Any:
    # Rows with the same room left form a chain: newest_row[room], then previous_row[...], -1 at its end.
    newest_row = np.full(row_length + 1, -1, np.int64)
    previous_row = np.empty(len(lengths), np.int64)
    row_of_example = np.empty(len(lengths), np.int64)
    num_rows = 0
    for example in range(len(lengths)):
        length = lengths[example]
        room = length
        while room < row_length and newest_row[room] < 0:
            room += 1
        if room < row_length:
            row = newest_row[room]
            newest_row[room] = previous_row[row]
        else:
            room = row_length
            row = num_rows
            num_rows += 1
        row_of_example[example] = row
        previous_row[row] = newest_row[room - length]
        newest_row[room - length] = row
    return row_of_example, num_rows
