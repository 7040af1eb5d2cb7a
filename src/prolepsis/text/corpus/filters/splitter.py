"""The rules by which texts are split into tokens, compiled.

They are those of spaCy 3.8 (`lang/punctuation.py`, `lang/{en,es,fr}` and the loop of `tokenizer.pyx`),
written anew as one pass over UTF-8: a run of characters without a space loses its prefixes and suffixes one
by one, and what is left is split at infixes, unless it is an exception such as "don't" or "Mr.". Left out are
rare exceptions: most emoticons, forms of addresses, French words of which the first part is no common prefix.
In languages written without spaces, for which the peers need a dictionary, a character with its marks is a
token.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import polars as pl

from prolepsis.text.corpus.filters.exceptions import (
    CURRENCIES,
    ENGLISH,
    FRENCH,
    FRENCH_BEGINNINGS,
    FRENCH_ENDINGS,
    FRENCH_LINKS,
    SPANISH,
    UNITS,
    exceptions,
)
from prolepsis.text.corpus.filters.tokens import (
    ENDS_SENTENCE,
    HAS_LETTER,
    HAS_NON_SYMBOL,
    IS_PUNCTUATION,
    SENTENCE_END,
)

# What a character is to the rules.
_SPACE = 1 << 0
_LETTER = 1 << 1
_LOWER = 1 << 2
_UPPER = 1 << 3
_DIGIT = 1 << 4
_PREFIX = 1 << 5
_SUFFIX = 1 << 6
_QUOTE = 1 << 7
_STRIPS_STOP = 1 << 8  # a full stop after it is a token of its own
_CURRENCY = 1 << 9
_SYMBOL = 1 << 10
_PUNCTUATION = 1 << 11
_STOP = 1 << 12
_UNSPACED = 1 << 13
_ICON = 1 << 14
_MARK = 1 << 15

_TABLE_SIZE = 0x20000
_SLOTS = 4096
_LONGEST_EXCEPTION = 16
_BEYOND_TABLE = _LETTER | _LOWER | _UPPER | _UNSPACED  # Han; the rest is too rare to matter
_HASH_START, _HASH_FACTOR = 0xCBF29CE484222325, 0x100000001B3  # FNV-1a, over code points
_ELLIPSIS = ord("…")
_APOSTROPHES = (ord("'"), ord("’"))
_HYPHENS = (ord("-"), ord("–"), ord("—"), 0x2010, 0x2011)
_LONG_DASHES = (ord("–"), ord("—"))
_OF_COUNTRIES = tuple(b"UCA")
_ELIDED = tuple(b"dlnDLN")
_POSSESSIVE = tuple(b"sS")
_OPERATORS = tuple(b"+-*^")
_RELATIONS = tuple(b":<>=/")

_PUNCTUATION_AFFIXES = "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪"
_QUOTES = "'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉⟦⟧"
_PREFIXES = _PUNCTUATION_AFFIXES + _QUOTES + CURRENCIES + "§%=—–+"
_SUFFIXES = _PUNCTUATION_AFFIXES + _QUOTES + "—–"
_BEFORE_STOP = _PUNCTUATION_AFFIXES + _QUOTES + "0123456789%²-+"
# What datatrove's `PUNCTUATION_SET` holds beside Unicode's marks of the end of a sentence and control
# characters; the dashes and quotes that it lacks make words.
_SYMBOLS = "!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»"
_UNSPACED_RANGES = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF)),  # Thai and Lao, Myanmar, Khmer
    *((0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x3029), (0x3400, 0x4DBF), (0x4E00, 0x9FFF)),  # Han
    *((0xF900, 0xFAFF), (0x3041, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F)),  # Han, kana
)


def split_texts(
    characters: npt.NDArray[np.uint8],
    borders: npt.NDArray[np.int64],
    rules: npt.NDArray[np.uint8],
    is_unspaced: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64], npt.NDArray[np.uint32], npt.NDArray[np.uint8]]:
    """Splits texts, and describes their tokens.

    Args:
        characters: UTF-8, all texts one after the other.
        borders: where each begins, with the end of the last.
        rules: of each text, a number of `exceptions`.
        is_unspaced: whether its characters of scripts without spaces are tokens each.

    Returns:
        The attributes of `Tokens`.
    """
    tables = _tables()
    token_borders = np.zeros(len(borders), np.int64)
    tokens = _room_for_tokens((int(borders[-1]) - int(borders[0])) // 4 + 64)
    scratch = _scratch(1024)
    text = 0
    while text < len(rules):
        # The compiled pass cannot make arrays longer (in its loops that costs five times the work); where one
        # is full it stops, and goes on with the same text.
        text, is_scratch_short = _split_texts(
            text,
            (characters, borders, rules, is_unspaced),
            (tables.flags, tables.exceptions),
            scratch,
            (token_borders, *tokens),
        )
        if is_scratch_short:
            scratch = _scratch(2 * scratch[0].shape[1])
        elif text < len(rules):
            longer = _room_for_tokens(2 * len(tokens[0]))
            for new, old in zip(longer, tokens, strict=True):
                new[: token_borders[text]] = old[: token_borders[text]]
            tokens = longer
    hashes, lengths, kinds = (values[: token_borders[-1]] for values in tokens)
    return token_borders, hashes, lengths, kinds


def hash_tokens(tokens: Iterable[str]) -> npt.NDArray[np.uint64]:
    """The hashes that `split_texts` gives to tokens."""
    codes = [np.array([[ord(character) for character in token]], np.int32) for token in tokens]
    return np.array([_hash(run, 0, run.shape[1]) for run in codes], np.uint64)


def _room_for_tokens(count: int) -> tuple[npt.NDArray[Any], ...]:
    return np.empty(count, np.uint64), np.empty(count, np.uint32), np.empty(count, np.uint8)


def _scratch(size: int) -> tuple[npt.NDArray[Any], ...]:
    """For a run of characters: its code points and their flags; and two lists of places in it."""
    return np.empty((2, size), np.int32), np.empty((2, size), np.int32)


@dataclass(frozen=True)
class _Tables:
    """What the compiled splitter looks up.

    Attributes:
        flags: what each code point below `_TABLE_SIZE` is, uint16.
        exceptions: a hash table for each list of exceptions, uint64 `[lists, _SLOTS, 2]`: the hash, 0 in an
            empty slot, and the lengths in characters of up to eight tokens, a byte for each.
    """

    flags: npt.NDArray[np.uint16]
    exceptions: npt.NDArray[np.uint64]


@cache
def _tables() -> _Tables:
    lists = exceptions()
    tables = np.zeros((len(lists), _SLOTS, 2), np.uint64)
    for number, entries in lists.items():
        for parts, key in zip(entries, hash_tokens("".join(parts) for parts in entries), strict=True):
            slot = int(key) % _SLOTS
            while tables[number, slot, 0] not in (0, key):
                slot = (slot + 1) % _SLOTS
            tables[number, slot] = key, int.from_bytes(bytes(map(len, parts)), "little")
    return _Tables(_character_flags(), tables)


def _character_flags() -> npt.NDArray[np.uint16]:
    flags = np.array([_flags_of(chr(code)) for code in range(_TABLE_SIZE)], np.uint16)
    for first, last in _UNSPACED_RANGES:
        characters = flags[first : last + 1]
        characters[(characters & (_LETTER | _MARK)) > 0] |= _UNSPACED
    # Surrogates are no characters, and polars would refuse them.
    codes = [code for code in range(_TABLE_SIZE) if not 0xD800 <= code < 0xE000]
    ends = pl.Series([chr(code) for code in codes]).str.contains(SENTENCE_END).to_numpy()
    flags[np.array(codes)[ends]] |= _STOP | _SYMBOL
    return flags


def _flags_of(character: str) -> int:
    category = unicodedata.category(character)
    if category == "Cn":
        return 0
    is_icon = category == "So"
    is_caseless = category in ("Lo", "Lm")
    is_lower = category == "Ll" or is_caseless
    flags = {
        _SPACE: character.isspace(),
        _LETTER: category[0] == "L",
        _LOWER: is_lower,
        _UPPER: category in ("Lu", "Lt") or is_caseless,
        _DIGIT: character in "0123456789",
        _PREFIX: character in _PREFIXES or is_icon,
        _SUFFIX: character in _SUFFIXES or is_icon,
        _QUOTE: character in _QUOTES,
        _STRIPS_STOP: character in _BEFORE_STOP or is_lower,
        _CURRENCY: character in CURRENCIES,
        _SYMBOL: character in _SYMBOLS or (category == "Cc" and character not in "\t\n"),
        _PUNCTUATION: category[0] == "P",
        _ICON: is_icon,
        _MARK: category[0] == "M",
    }
    return sum(flag for flag, holds in flags.items() if holds)


# numba's arrays are `Any` to a checker of types. They are passed one by one: taking them out of a tuple costs
# more than the work done here.


@numba.njit(cache=True, nogil=True)
def _hash(run: Any, start: int, end: int) -> Any:
    value = np.uint64(_HASH_START)
    for position in range(start, end):
        value = (value ^ np.uint64(run[0, position])) * np.uint64(_HASH_FACTOR)
    return _mixed(value)


@numba.njit(cache=True, nogil=True)
def _mixed(value: Any) -> Any:
    """Lets every bit depend on all others: the low bits of a product depend on low bits alone."""
    value = (value ^ (value >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return value ^ (value >> np.uint64(32))


@numba.njit(cache=True, nogil=True)
def _find(keys: Any, table: int, key: Any) -> Any:
    """The slot of a key in a hash table, or -1."""
    slot = np.int64(key % np.uint64(_SLOTS))
    while keys[table, slot, 0] != 0:
        if keys[table, slot, 0] == key:
            return slot
        slot = (slot + 1) % _SLOTS
    return -1


@numba.njit(cache=True, nogil=True)
def _split_texts(first: int, texts: Any, tables: Any, scratch: Any, tokens: Any) -> Any:
    """Splits texts from the first on, until one does not fit.

    Returns:
        The text that did not fit, or the number of texts; and whether it was `scratch` that was too short.
    """
    characters, borders, rules_of_texts, is_unspaced = texts
    table, keys = tables
    run, places = scratch
    token_borders, hashes, lengths, kinds = tokens
    for text in range(first, len(borders) - 1):
        count = token_borders[text]
        position, end = borders[text], borders[text + 1]
        rules = rules_of_texts[text]
        parted = _UNSPACED if is_unspaced[text] else 0
        while position < end:
            position, size, some, every, value = _read_run(characters, position, end, table, run)
            if size == run.shape[1] or count + size > len(hashes):
                return text, size == run.shape[1]
            is_word = every & _LETTER and not some & parted
            if is_word and (size > _LONGEST_EXCEPTION or _find(keys, rules, value) < 0):
                hashes[count] = value
                lengths[count] = size
                kinds[count] = HAS_LETTER | HAS_NON_SYMBOL
                count += 1
                continue
            if some & parted:
                num_ends = _split_unspaced(run, size, rules, keys, places)
            else:
                num_ends = _split(run, 0, size, rules, keys, places, 0)
            start = 0
            for token in range(num_ends):
                stop = places[0, token]
                hashes[count] = _hash(run, start, stop)
                lengths[count] = stop - start
                kinds[count] = _kind(run, start, stop)
                start = stop
                count += 1
        token_borders[text + 1] = count
    return len(borders) - 1, False


@numba.njit(cache=True, nogil=True)
def _read_run(characters: Any, position: int, end: int, table: Any, run: Any) -> Any:
    """Decodes characters up to the next space, or as many as `run` holds.

    Returns:
        Where to go on, the number of characters, the flags that some and that all of them have, their hash.
    """
    size = 0
    some, every = np.int32(0), np.int32(0xFFFF)
    value = np.uint64(_HASH_START)
    while position < end and size < run.shape[1]:
        code = np.int32(characters[position])
        width = 1
        if code >= 0x80:
            code, width = _decode(characters, position)
        position += width
        flag = np.int32(table[code]) if code < _TABLE_SIZE else np.int32(_BEYOND_TABLE)
        if flag & _SPACE:
            break
        run[0, size] = code
        run[1, size] = flag
        some |= flag
        every &= flag
        value = (value ^ np.uint64(code)) * np.uint64(_HASH_FACTOR)
        size += 1
    return position, size, some, every if size else np.int32(0), _mixed(value)


@numba.njit(cache=True, nogil=True)
def _decode(characters: Any, position: int) -> Any:
    """The code point at a byte of valid UTF-8 that is not ASCII, and its number of bytes."""
    byte = np.int32(characters[position])
    second = np.int32(characters[position + 1]) & 0x3F
    if byte < 0xE0:
        return np.int32((byte & 0x1F) << 6 | second), 2
    third = np.int32(characters[position + 2]) & 0x3F
    if byte < 0xF0:
        return np.int32((byte & 0x0F) << 12 | second << 6 | third), 3
    fourth = np.int32(characters[position + 3]) & 0x3F
    return np.int32((byte & 0x07) << 18 | second << 12 | third << 6 | fourth), 4


@numba.njit(cache=True, nogil=True)
def _kind(run: Any, start: int, end: int) -> int:
    some, every = np.int32(0), np.int32(0xFFFF)
    for position in range(start, end):
        some |= run[1, position]
        every &= run[1, position]
    kind = 0
    if some & _LETTER:
        kind |= HAS_LETTER
    if not every & _SYMBOL:
        kind |= HAS_NON_SYMBOL
    if every & _PUNCTUATION:
        kind |= IS_PUNCTUATION
    if end == start + 1 and every & _STOP:
        kind |= ENDS_SENTENCE
    return kind


# The functions below split the characters from `start` to `end` of a run without a space. `run` holds their
# code points and flags, `places` where tokens end, and where stripped suffixes did; `count` is the number of
# ends so far, which the functions that write some return.


@numba.njit(cache=True, nogil=True)
def _split_unspaced(run: Any, size: int, rules: int, keys: Any, places: Any) -> int:
    """Makes a token of each character of a script without spaces, and splits what stands between them."""
    start = count = 0
    while start < size:
        stop = start
        while stop < size and not run[1, stop] & _UNSPACED:
            stop += 1
        if stop > start:
            count = _split(run, start, stop, rules, keys, places, count)
            start = stop
            continue
        stop += 1
        while stop < size and run[1, stop] & _MARK:
            stop += 1
        places[0, count] = stop
        count += 1
        start = stop
    return count


@numba.njit(cache=True, nogil=True)
def _split(run: Any, start: int, end: int, rules: int, keys: Any, places: Any, count: int) -> int:
    """Strips prefixes and suffixes until there is none, or an exception is left."""
    num_suffixes = 0
    exception = _exception(run, start, end, keys, rules)
    while exception < 0 and start < end:
        prefix = _prefix(run, start, end, rules)
        if prefix:
            exception = _exception(run, start + prefix, end, keys, rules)
        suffix = 0
        if exception < 0:
            suffix = _suffix(run, start + prefix, end, rules, keys)
        if not prefix and not suffix:
            break
        if suffix:
            # Suffixes come last: they wait.
            places[1, num_suffixes] = end
            num_suffixes += 1
            end -= suffix
            exception = _exception(run, start, end, keys, rules)
            if exception >= 0:
                break
        if prefix:
            start += prefix
            places[0, count] = start
            count += 1
        if prefix and suffix:
            exception = _exception(run, start, end, keys, rules)
    if exception >= 0:
        count = _write_exception(keys[rules, exception, 1], start, places, count)
    elif start < end:
        count = _split_inside(run, start, end, rules, keys, places, count)
    while num_suffixes:
        num_suffixes -= 1
        places[0, count] = places[1, num_suffixes]
        count += 1
    return count


@numba.njit(cache=True, nogil=True)
def _write_exception(lengths: Any, start: Any, places: Any, count: int) -> Any:
    while lengths:
        start += np.int64(lengths & np.uint64(0xFF))
        places[0, count] = start
        count += 1
        lengths >>= np.uint64(8)
    return count


@numba.njit(cache=True, nogil=True)
def _exception(run: Any, start: int, end: int, keys: Any, table: int) -> Any:
    """The slot of an exception, -1 where the characters are none."""
    if end <= start or end - start > _LONGEST_EXCEPTION:
        return -1
    return _find(keys, table, _hash(run, start, end))


@numba.njit(cache=True, nogil=True)
def _prefix(run: Any, start: int, end: int, rules: int) -> int:
    """The length of what is a token of its own at the start, 0 for nothing."""
    code = run[0, start]
    if code == ord("."):
        num_stops = _num_stops(run, start, end)
        return num_stops if num_stops > 1 else 0
    if code in _OF_COUNTRIES:
        # US$, C$ and A$
        length = 2 if code == ord("U") else 1
        is_dollar = start + length < end and run[0, start + length] == ord("$")
        if is_dollar and (length == 1 or run[0, start + 1] == ord("S")):
            return length + 1
    if run[1, start] & _PREFIX:
        is_sign = code == ord("+") and start + 1 < end and run[1, start + 1] & _DIGIT
        return 0 if is_sign else 1
    if rules == FRENCH and start + 2 < end and code in _ELIDED:
        return 2 if run[0, start + 1] in _APOSTROPHES and run[1, start + 2] & _LETTER else 0
    return 0


@numba.njit(cache=True, nogil=True)
def _num_stops(run: Any, start: int, end: int) -> int:
    position = start
    while position < end and run[0, position] == ord("."):
        position += 1
    return position - start


@numba.njit(cache=True, nogil=True)
def _suffix(run: Any, start: int, end: int, rules: int, keys: Any) -> int:
    """The length of what is a token of its own at the end, 0 for nothing."""
    if start >= end:
        return 0
    code, flag = run[0, end - 1], run[1, end - 1]
    before = run[1, end - 2] if end - 2 >= start else np.uint16(0)
    length = 0
    if code == ord("."):
        length = _final_stops(run, start, end, rules)
    elif flag & _SUFFIX or (code == ord("+") and before & _DIGIT):
        length = 1
    elif rules <= ENGLISH and code in _POSSESSIVE and end - 2 >= start and run[0, end - 2] in _APOSTROPHES:
        length = 2
    elif rules == FRENCH or run[1, start] & (_DIGIT | _CURRENCY) or before & _DIGIT:
        length = _ending(run, start, end, rules, keys)
    return length


@numba.njit(cache=True, nogil=True)
def _final_stops(run: Any, start: int, end: int, rules: int) -> int:
    """The length of the full stops at the end, 0 where a single one belongs to an abbreviation."""
    position = end - 1
    while position > start and run[0, position - 1] == ord("."):
        position -= 1
    if end - position > 1:
        return end - position
    if position == start:
        return 0
    before = run[1, end - 2]
    capitals = end - 3 >= start and before & _UPPER and run[1, end - 3] & _UPPER
    dash = rules == SPANISH and run[0, end - 2] in _LONG_DASHES
    return 1 if before & _STRIPS_STOP or capitals or dash else 0


@numba.njit(cache=True, nogil=True)
def _ending(run: Any, start: int, end: int, rules: int, keys: Any) -> int:
    """The length of a unit after a figure, or of a French pronoun after a hyphen."""
    position = end - 1
    while position > start and end - position <= _LONGEST_EXCEPTION:
        if run[1, position - 1] & _DIGIT:
            if rules == SPANISH and run[0, position] == ord("%"):
                return 0
            return end - position if _exception(run, position, end, keys, UNITS) >= 0 else 0
        if rules == FRENCH and run[0, position] in _HYPHENS and run[1, position - 1] & _LETTER:
            is_pronoun = _exception(run, position + 1, end, keys, FRENCH_ENDINGS) >= 0
            return end - position if is_pronoun else 0
        position -= 1
    return 0


@numba.njit(cache=True, nogil=True)
def _is_whole(run: Any, start: int, end: int, rules: int, keys: Any) -> bool:
    """Whether the characters are one token: letters, an address, or a French compound."""
    position = start
    while position < end and run[1, position] & _LETTER:
        position += 1
    if position == end or _is_address(run, start, end):
        return True
    return rules == FRENCH and _is_compound(run, start, end, keys)


@numba.njit(cache=True, nogil=True)
def _is_address(run: Any, start: int, end: int) -> bool:
    """Whether the characters hold `://`, or `@` and a full stop, or `www.`."""
    has_at = has_stop = has_scheme = has_web = False
    for position in range(start, end):
        code = run[0, position]
        has_at |= code == ord("@")
        has_stop |= code == ord(".")
        if position + 2 < end and code == run[0, position + 1]:
            has_scheme |= code == ord("/") and position > start and run[0, position - 1] == ord(":")
            has_web |= code == ord("w") and run[0, position + 2] == ord("w")
    return has_scheme or (has_stop and (has_at or has_web))


@numba.njit(cache=True, nogil=True)
def _is_compound(run: Any, start: int, end: int, keys: Any) -> bool:
    """Whether the characters are a French word such as `avant-garde` or `arc-en-ciel`."""
    first = second = end
    num_hyphens = num_apostrophes = 0
    for position in range(start, end):
        if run[0, position] in _HYPHENS:
            num_hyphens += 1
            if num_hyphens == 1:
                first = position
            elif num_hyphens == 2:
                second = position
        elif run[0, position] in _APOSTROPHES:
            num_apostrophes += 1
        elif not run[1, position] & _LETTER:
            return False
    if first + 1 >= end or not run[1, first + 1] & _LETTER:
        return False
    is_linked = num_hyphens == 2 and num_apostrophes == 0 and second + 1 < end
    if is_linked and _exception(run, first + 1, second, keys, FRENCH_LINKS) >= 0:
        return True
    return bool(_exception(run, start, first, keys, FRENCH_BEGINNINGS) >= 0)


@numba.njit(cache=True, nogil=True)
def _split_inside(run: Any, start: int, end: int, rules: int, keys: Any, places: Any, count: int) -> int:
    """Splits what has neither prefix nor suffix."""
    is_whole = _is_whole(run, start, end, rules, keys)
    begin = position = start
    while position < end and not is_whole:
        length = _infix(run, start, position, end, rules)
        if length > 0 and position > start:
            if position > begin:
                places[0, count] = position
                count += 1
            begin = position + length
            places[0, count] = begin
            count += 1
        elif rules == FRENCH and position > begin and _follows_elision(run, start, position):
            begin = position
            places[0, count] = begin
            count += 1
        position += max(length, 1)
    if begin < end:
        places[0, count] = end
        count += 1
    return count


@numba.njit(cache=True, nogil=True)
def _follows_elision(run: Any, start: int, position: int) -> bool:
    """Whether a word begins at a position because an apostrophe after a letter ends the one before."""
    if position - 2 < start or not run[1, position] & _LETTER:
        return False
    return run[1, position - 2] & _LETTER > 0 and run[0, position - 1] in _APOSTROPHES


@numba.njit(cache=True, nogil=True)
def _infix(run: Any, start: int, position: int, end: int, rules: int) -> int:
    """The length of what parts two tokens at a position, 0 for nothing."""
    here, code = run[1, position], run[0, position]
    if here & (_LETTER | _DIGIT):
        return 0
    if here & _ICON or code == _ELLIPSIS:
        return 1
    num_stops = _num_stops(run, position, end)
    if num_stops > 1 or position == start or position + 1 >= end:
        return num_stops if num_stops > 1 else 0
    before, after = run[1, position - 1], run[1, position + 1]
    if _parts_words(code, before, after):
        return 1
    is_range = before & _DIGIT and (after & _DIGIT or run[0, position + 1] == ord("-"))
    if is_range and code in _OPERATORS and not (rules == SPANISH and code == ord("-")):
        return 1
    may_join = before & _LETTER or (before & _DIGIT and rules == ENGLISH)
    length = _dash(run, position, end) if may_join and rules != SPANISH else 0
    is_followed = position + length < end and run[1, position + length] & _LETTER
    return length if is_followed else 0


@numba.njit(cache=True, nogil=True)
def _parts_words(code: int, before: int, after: int) -> bool:
    """Whether a full stop, comma, colon, slash or comparison sign parts what stands before and after it."""
    if code == ord("."):
        return before & (_LOWER | _QUOTE) > 0 and after & (_UPPER | _QUOTE) > 0
    if code == ord(","):
        return before & _LETTER > 0 and after & _LETTER > 0
    return code in _RELATIONS and before & (_LETTER | _DIGIT) > 0 and after & _LETTER > 0


@numba.njit(cache=True, nogil=True)
def _dash(run: Any, position: int, end: int) -> int:
    """The length of up to three hyphens, a tilde, or one or two long dashes, 0 for nothing."""
    length = 0
    while position + length < end and length < 3 and run[0, position + length] == ord("-"):
        length += 1
    if length or run[0, position] == ord("~"):
        return max(length, 1)
    while position + length < end and length < 2 and run[0, position + length] in _LONG_DASHES:
        length += 1
    return length
