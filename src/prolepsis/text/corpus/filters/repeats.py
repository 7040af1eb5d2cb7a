"""How much of a text lies in lines and runs of tokens that it repeats, compiled."""

from typing import Any

import numba
import numpy as np

_MULTIPLIER = 0x9E3779B97F4A7C15
_HASH_START, _HASH_FACTOR = 0xCBF29CE484222325, 0x100000001B3  # FNV-1a, over bytes
_LINE_FEED = 10

# numba's arrays are `Any` to a checker of types.


@numba.njit(cache=True, nogil=True)
def count_parts(characters: Any, borders: Any, min_breaks: int, table: Any, counts: Any) -> None:
    """Writes for each text how many parts it has, how many had occurred before, and the characters of those.

    At least `min_breaks` line ends stand between two parts.
    """
    for text in range(len(borders) - 1):
        position, end = borders[text], borders[text + 1]
        while position <= end:
            # A part ends at the end of the text or where enough line ends follow.
            value = np.uint64(_HASH_START)
            size = breaks = 0
            while position < end:
                byte = characters[position]
                if byte == _LINE_FEED:
                    breaks = _num_line_feeds(characters, position, end)
                    if breaks >= min_breaks:
                        break
                value = (value ^ np.uint64(byte)) * np.uint64(_HASH_FACTOR)
                size += byte & 0xC0 != 0x80  # the first byte of a character
                position += 1
            number = counts[text, 0]
            counts[text, 0] += 1
            if _first_place(value, number, table, text + 1) != number:
                counts[text, 1] += 1
                counts[text, 2] += size
            position += max(breaks, 1) if position < end else 1


@numba.njit(cache=True, nogil=True)
def _num_line_feeds(characters: Any, position: int, end: int) -> int:
    start = position
    while position < end and characters[position] == _LINE_FEED:
        position += 1
    return position - start


@numba.njit(cache=True, nogil=True)
def count_ngrams(tokens: Any, wanted: Any, table: Any, scratch: Any, top: Any, duplicate: Any) -> None:
    """Goes from runs of the fewest tokens to longer ones, and looks at those alone whose beginning recurs.

    A run is known by the place where it first occurs; a longer run by that of all but its last token, and
    that token.
    """
    borders, hashes, lengths = tokens
    first, top_columns, duplicate_columns, top_must_recur = wanted
    runs, active, counts, ends = scratch
    stamp = 0
    for text in range(len(borders) - 1):
        start, size = borders[text], borders[text + 1] - borders[text]
        ends[0] = 0
        for position in range(size):
            active[position] = position
            ends[position + 1] = ends[position] + lengths[start + position]
        num_active = size
        for n in range(first, min(len(top_columns) - 1, size) + 1):
            stamp += 1
            num_left = 0
            for index in range(num_active):
                position = active[index]
                if position + n > size:
                    break
                key = np.uint64(0)
                if n > first:
                    key = (
                        np.uint64(runs[position]) * np.uint64(_MULTIPLIER) + hashes[start + position + n - 1]
                    )
                else:
                    for token in range(start + position, start + position + n):
                        key = key * np.uint64(_MULTIPLIER) + hashes[token]
                place = _first_place(key, position, table, stamp)
                runs[position] = place
                counts[place] = 1 if place == position else counts[place] + 1
                active[num_left] = position
                num_left += 1
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
