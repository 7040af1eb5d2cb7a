"""The merges of byte-pair encoding (Sennrich et al. 2016), learned from counted words by a compiled loop.

Merges are learned one after the other, so the first ones of a long training are those of a shorter one: one
training gives every smaller vocabulary. Of equally frequent pairs the one with the smaller ids comes first,
as in the `tokenizers` library.

The symbols of all words lie in one array, chained so that a merge unlinks one symbol; each pair knows where
it has occurred, and a heap knows the most frequent one, with counts that are looked up again when it comes to
the top. Counts are int64. It takes about 100 bytes of memory for each symbol of the distinct words.

The compiled code is cached beside this file, or in the user's cache folder where this one cannot be written.
"""

import heapq
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import types
from numba.typed import Dict
from numpy.typing import NDArray

END = -1
"""Stands after each word."""
UNKNOWN = -2
"""Stands for a character without an id; no pair holds it, and none reaches over it."""

_MERGED = -3


def learn_merges(
    symbols: NDArray[np.int32],
    counts: NDArray[np.int64],
    *,
    first_id: int,
    num_merges: int,
    min_frequency: int,
) -> NDArray[np.int32]:
    """The pairs to merge, in order.

    Args:
        symbols: all words, each followed by `END`; ids below `first_id`, or `UNKNOWN`.
        counts: of each word.
        first_id: of what the first merge gives; the next ones count on.
        num_merges: how many at most.
        min_frequency: a pair that is seen less often is not merged.

    Returns:
        int32 `[M, 2]`, the ids of both halves.
    """
    ends = np.flatnonzero(symbols == END)
    words = np.repeat(np.arange(len(counts), dtype=np.int32), np.diff(ends, prepend=-1))
    pairs, places = _initial_pairs(symbols, counts[words])
    merges: NDArray[np.int32] = _learn(
        symbols.copy(), words, counts, pairs, places, (first_id, num_merges, min_frequency)
    )
    return merges


class _Pairs(NamedTuple):
    """What is known of each pair by its number, and in `size[0]` how many there are.

    `last` is the place where a pair was seen last, as a link of the chain in `_Places`.
    """

    left: NDArray[np.int32]
    right: NDArray[np.int32]
    frequency: NDArray[np.int64]
    last: NDArray[np.int64]
    size: NDArray[np.int64]


class _Places(NamedTuple):
    """Where pairs have been seen: chains, walked along `previous` to -1; `size[0]` links."""

    place: NDArray[np.int64]
    previous: NDArray[np.int64]
    size: NDArray[np.int64]


def _initial_pairs(symbols: NDArray[np.int32], weights: NDArray[np.int64]) -> tuple[_Pairs, _Places]:
    """The pairs of neighbours, with room for those to come.

    A merge takes a symbol away and makes two pairs at most, so three for each symbol are enough.
    """
    room = 3 * len(symbols)
    seen = np.flatnonzero((symbols[:-1] >= 0) & (symbols[1:] >= 0))
    keys = symbols[seen].astype(np.int64) << 32 | symbols[seen + 1]
    order = np.argsort(keys, kind="stable")
    seen, keys = seen[order], keys[order]
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    previous = np.arange(-1, len(seen) - 1)
    previous[starts] = -1
    return (
        _Pairs(
            _with_room(symbols[seen[starts]], room),
            _with_room(symbols[seen[starts] + 1], room),
            _with_room(np.add.reduceat(weights[seen], starts) if len(starts) else weights[:0], room),
            _with_room(np.append(starts[1:], len(seen))[: len(starts)] - 1, room),
            np.array([len(starts)]),
        ),
        _Places(_with_room(seen, room), _with_room(previous, room), np.array([len(seen)])),
    )


def _with_room(values: NDArray[Any], room: int) -> NDArray[Any]:
    larger = np.empty(room, values.dtype)
    larger[: len(values)] = values
    return larger


@numba.njit(cache=True)
def _key(left: int, right: int) -> Any:
    return (np.int64(left) << 32) | np.int64(right)


@numba.njit(cache=True)
def _add(numbers: Any, pairs: Any, places: Any, left: int, right: int, place: int, count: int) -> None:
    key = _key(left, right)
    if key in numbers:
        number = numbers[key]
    else:
        number = pairs.size[0]
        pairs.size[0] += 1
        numbers[key] = number
        pairs.left[number], pairs.right[number] = left, right
        pairs.frequency[number], pairs.last[number] = 0, -1
    pairs.frequency[number] += count
    link = places.size[0]
    places.size[0] += 1
    places.place[link], places.previous[link] = place, pairs.last[number]
    pairs.last[number] = link


@numba.njit(cache=True)
def _places_of(pairs: Any, places: Any, number: int) -> Any:
    """Where a pair has been seen, rising."""
    found = 0
    link = pairs.last[number]
    while link >= 0:
        found += 1
        link = places.previous[link]
    rising = np.empty(found, np.int64)
    link = pairs.last[number]
    for i in range(found):
        rising[i] = places.place[link]
        link = places.previous[link]
    rising.sort()
    return rising


@numba.njit(cache=True)
def _entry(pairs: Any, number: int) -> Any:
    """Of a heap on which the most frequent pair comes first, and of equals that with the smaller ids."""
    return -pairs.frequency[number], pairs.left[number], pairs.right[number], np.int64(number)


@numba.njit(cache=True, nogil=True)
def _learn(symbols: Any, words: Any, counts: Any, pairs: Any, places: Any, limits: Any) -> Any:
    first_id, num_merges, min_frequency = limits
    merges = np.empty((num_merges, 2), np.int32)
    if pairs.size[0] == 0:
        return merges[:0]
    next_place = np.arange(1, len(symbols) + 1)
    previous_place = np.arange(-1, len(symbols) - 1)
    numbers = Dict.empty(types.int64, types.int64)
    heap = [_entry(pairs, 0)]
    for number in range(pairs.size[0]):
        numbers[_key(pairs.left[number], pairs.right[number])] = number
        if number > 0:
            heapq.heappush(heap, _entry(pairs, number))

    learned = 0
    while learned < num_merges and len(heap) > 0:
        known, left, right, number = heapq.heappop(heap)
        if -known != pairs.frequency[number]:
            heapq.heappush(heap, _entry(pairs, number))  # counts only fall, so it is further down
            continue
        if pairs.frequency[number] < min_frequency:
            break
        merged = first_id + learned
        merges[learned, 0], merges[learned, 1] = left, right
        learned += 1
        first_new = pairs.size[0]
        # From left to right, as an encoder merges: of aaa the first two.
        for place in _places_of(pairs, places, number):
            other = next_place[place]
            if symbols[place] != left or symbols[other] != right:
                continue  # merged into something else since
            before, after = previous_place[place], next_place[other]
            count = counts[words[place]]
            symbols[place], symbols[other] = merged, _MERGED
            next_place[place], previous_place[after] = after, place  # there is an END after every word
            if before >= 0 and symbols[before] >= 0:
                pairs.frequency[numbers[_key(symbols[before], left)]] -= count
                _add(numbers, pairs, places, symbols[before], merged, before, count)
            if symbols[after] >= 0:
                pairs.frequency[numbers[_key(right, symbols[after])]] -= count
                _add(numbers, pairs, places, merged, symbols[after], place, count)
        for new in range(first_new, pairs.size[0]):
            heapq.heappush(heap, _entry(pairs, new))
    return merges[:learned]
