"""How many characters of a text lie in runs of tokens that it repeats, compiled."""

from typing import Any

import numba
import numpy as np

# numba's arrays are `Any` to a checker of types.


@numba.njit(cache=True, nogil=True)
def count_ngrams(tokens: Any, wanted: Any, table: Any, scratch: Any, top: Any, duplicate: Any) -> None:
    """Goes from runs of one token to longer ones, and looks at those alone whose beginning occurs again.

    A run is known by the place where it first occurs; a run of n tokens by that of its first n - 1 and that
    of its last token.
    """
    borders, hashes, lengths = tokens
    top_columns, duplicate_columns, top_must_recur = wanted
    words, runs, active, counts, ends = scratch
    stamp = 0
    for text in range(len(borders) - 1):
        start, size = borders[text], borders[text + 1] - borders[text]
        ends[0] = 0
        for position in range(size):
            active[position] = position
            ends[position + 1] = ends[position] + lengths[start + position]
        num_active = size
        for n in range(1, min(len(top_columns) - 1, size) + 1):
            stamp += 1
            num_left = 0
            for index in range(num_active):
                position = active[index]
                if position + n > size:
                    break
                key = hashes[start + position]
                if n > 1:
                    key = np.uint64(runs[position]) << np.uint64(32) | np.uint64(words[position + n - 1])
                place = _first_place(key, position, table, stamp)
                runs[position] = place
                counts[place] = 1 if place == position else counts[place] + 1
                active[num_left] = position
                num_left += 1
            if n == 1:
                words[:size] = runs[:size]
            num_active = _keep_repeated(active, num_left, runs, counts)
            if top_columns[n] >= 0:
                place, count = _most_frequent(active, num_active, runs, counts)
                if count > 1 or not top_must_recur:
                    top[text, top_columns[n]] = count * (ends[place + n] - ends[place] + n - 1)
            if duplicate_columns[n] >= 0:
                found = _repeated_characters(n, active, num_active, runs, counts, ends)
                duplicate[text, duplicate_columns[n]] = found


@numba.njit(cache=True, nogil=True)
def _first_place(key: Any, position: int, table: Any, stamp: int) -> Any:
    """Where a key was first met since the stamp changed; the position, if that is now."""
    keys, stamps, places = table
    mask = len(keys) - 1
    mixed = (key ^ (key >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    slot = np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(mask))
    while stamps[slot] == stamp and keys[slot] != key:
        slot = (slot + 1) & mask
    if stamps[slot] != stamp:
        stamps[slot] = stamp
        keys[slot] = key
        places[slot] = position
    return places[slot]


@numba.njit(cache=True, nogil=True)
def _keep_repeated(active: Any, num_active: int, runs: Any, counts: Any) -> int:
    kept = 0
    for index in range(num_active):
        if counts[runs[active[index]]] > 1:
            active[kept] = active[index]
            kept += 1
    return kept


@numba.njit(cache=True, nogil=True)
def _most_frequent(active: Any, num_active: int, runs: Any, counts: Any) -> Any:
    """The place of the most frequent run, the first of several, and how often it occurs."""
    best, most = 0, 1
    for index in range(num_active):
        position = active[index]
        if runs[position] == position and counts[position] > most:
            best, most = position, counts[position]
    return best, most


@numba.njit(cache=True, nogil=True)
def _repeated_characters(n: int, active: Any, num_active: int, runs: Any, counts: Any, ends: Any) -> int:
    # From here on the counts of this n tell whether a run was seen.
    for index in range(num_active):
        counts[runs[active[index]]] = 0
    found = behind = 0
    for index in range(num_active):
        position = active[index]
        if position < behind:
            continue
        if counts[runs[position]]:
            found += ends[position + n] - ends[position]
            behind = position + n
        counts[runs[position]] = 1
    return found
