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
from numba.typed import Dict, List
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
    keys, frequencies, chains = _initial_pairs(symbols, counts[words])
    merges: NDArray[np.int32] = _learn(
        symbols.copy(), words, counts, (keys, frequencies), chains, (first_id, num_merges, min_frequency)
    )
    return merges


def _initial_pairs(
    symbols: NDArray[np.int32], weights: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[NDArray[Any], ...]]:
    """The pairs of neighbours: keys, how often each occurs, and the chains of the places where.

    A chain is walked backwards: from `last` of a pair along `previous` to -1. A merge adds two places at most
    and takes a symbol away, so three places for each symbol are enough.
    """
    places = np.flatnonzero((symbols[:-1] >= 0) & (symbols[1:] >= 0))
    keys = symbols[places].astype(np.int64) << 32 | symbols[places + 1]
    order = np.argsort(keys, kind="stable")
    places, keys = places[order], keys[order]
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    frequencies = np.add.reduceat(weights[places], starts) if len(starts) else np.empty(0, np.int64)
    room_for_places = np.empty(3 * len(symbols), np.int64)
    room_for_places[: len(places)] = places
    previous = np.empty(3 * len(symbols), np.int64)
    previous[: len(places)] = np.arange(-1, len(places) - 1)
    previous[starts] = -1
    last = np.append(starts[1:], len(places))[: len(starts)] - 1
    return keys[starts], frequencies, (last, room_for_places, previous, np.array([len(places)]))


class _Pairs(NamedTuple):
    """What is known of each pair, by its number: its halves, how often it occurs, its last place."""

    numbers: Any
    lefts: Any
    rights: Any
    counts: Any
    last: Any


class _Places(NamedTuple):
    """Where pairs have occurred, in chains; `size` is an array of one number."""

    place: Any
    previous: Any
    size: Any


@numba.njit(cache=True)
def _key(left: int, right: int) -> Any:
    return (np.int64(left) << 32) | np.int64(right)


@numba.njit(cache=True)
def _known_pairs(keys: Any, counts: Any, last: Any) -> Any:
    pairs = _Pairs(
        Dict.empty(types.int64, types.int64),
        List.empty_list(types.int64),
        List.empty_list(types.int64),
        List.empty_list(types.int64),
        List.empty_list(types.int64),
    )
    for number in range(len(keys)):
        pairs.numbers[keys[number]] = number
        pairs.lefts.append(keys[number] >> 32)
        pairs.rights.append(keys[number] & 0xFFFFFFFF)
        pairs.counts.append(counts[number])
        pairs.last.append(last[number])
    return pairs


@numba.njit(cache=True)
def _add(pairs: Any, places: Any, left: int, right: int, place: int, count: int) -> None:
    key = _key(left, right)
    if key in pairs.numbers:
        number = pairs.numbers[key]
    else:
        number = len(pairs.counts)
        pairs.numbers[key] = number
        pairs.lefts.append(left)
        pairs.rights.append(right)
        pairs.counts.append(0)
        pairs.last.append(-1)
    pairs.counts[number] += count
    link = places.size[0]
    places.place[link] = place
    places.previous[link] = pairs.last[number]
    pairs.last[number] = link
    places.size[0] = link + 1


@numba.njit(cache=True)
def _places_of(pairs: Any, places: Any, number: int) -> Any:
    """Where a pair has occurred, rising."""
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
def _push(heap: Any, pairs: Any, number: int) -> None:
    heapq.heappush(heap, (-pairs.counts[number], pairs.lefts[number], pairs.rights[number], number))


@numba.njit(cache=True, nogil=True)
def _learn(symbols: Any, words: Any, counts: Any, initial: Any, chains: Any, limits: Any) -> Any:
    first_id, num_merges, min_frequency = limits
    keys, frequencies = initial
    last, place_array, previous_array, num_places = chains
    pairs = _known_pairs(keys, frequencies, last)
    places = _Places(place_array, previous_array, num_places)
    next_place = np.arange(1, len(symbols) + 1)
    previous_place = np.arange(-1, len(symbols) - 1)
    heap = [(-pairs.counts[i], pairs.lefts[i], pairs.rights[i], i) for i in range(len(pairs.counts))]
    heapq.heapify(heap)

    merges = np.empty((num_merges, 2), np.int32)
    learned = 0
    while learned < num_merges and len(heap) > 0:
        known, left, right, number = heapq.heappop(heap)
        if -known != pairs.counts[number]:
            _push(heap, pairs, number)  # counts only fall, so it is further down
            continue
        if pairs.counts[number] < min_frequency:
            break
        merged = first_id + learned
        merges[learned, 0], merges[learned, 1] = left, right
        learned += 1
        first_new = len(pairs.counts)
        for place in _places_of(
            pairs, places, number
        ):  # from the left, as an encoder merges: of aaa the first two
            other = next_place[place]
            if symbols[place] != left or symbols[other] != right:
                continue  # merged into something else since
            before, after = previous_place[place], next_place[other]
            count = counts[words[place]]
            symbols[place], symbols[other] = merged, _MERGED
            next_place[place], previous_place[after] = after, place  # there is an END after every word
            if before >= 0 and symbols[before] >= 0:
                pairs.counts[pairs.numbers[_key(symbols[before], left)]] -= count
                _add(pairs, places, symbols[before], merged, before, count)
            if symbols[after] >= 0:
                pairs.counts[pairs.numbers[_key(right, symbols[after])]] -= count
                _add(pairs, places, merged, symbols[after], place, count)
        for new in range(first_new, len(pairs.counts)):
            _push(heap, pairs, new)
    return merges[:learned]
