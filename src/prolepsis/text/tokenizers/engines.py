"""The ids of `tokenizers`, many times as fast: each distinct word is encoded once, by `tokenizers` itself.

A tokenizer cuts text into words and encodes each word alone, so the ids of a text are those of its words.
polars cuts and finds the distinct words, `tokenizers` encodes the ones not met before, and numpy puts the ids
together. That polars finds the same words is shown by tests, for every code point of Unicode and for random
texts.

A `tokenizer.json` that prepares text in another way than this package's trainers is left to `tokenizers`.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, pairwise, product
from threading import Lock
from typing import Any

import numpy as np
import polars as pl
import tokenizers
from numpy.typing import NDArray
from tokenizers import models, pre_tokenizers

from prolepsis.text.tokenizers import bert_style, byte_level, sentencepiece_style
from prolepsis.text.tokenizers.words import Words

Ids = NDArray[np.int32]
Offsets = NDArray[np.int32]

# Temporary arrays take about 50 bytes for each character of so many.
_CHARACTERS_AT_ONCE = 1 << 22
_CHARACTERS_REMEMBERED = 1 << 23
_GROUP = 1_024


@dataclass(frozen=True)
class _Table:
    """What words are encoded as: word `i` has the rows from `starts[i]`, `lengths[i]` of them."""

    starts: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    lengths: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    ids: Ids = field(default_factory=lambda: np.empty(0, np.int32))
    offsets: Offsets = field(default_factory=lambda: np.empty((0, 2), np.int32))

    def extended(
        self, words: Sequence[str], encoder: tokenizers.Tokenizer, *, with_offsets: bool
    ) -> "_Table":
        """The table with further words; without offsets, those of all words are left out."""
        groups = [words[start : start + _GROUP] for start in range(0, len(words), _GROUP)]
        # A list of words is one text that is cut already, which costs less than as many texts.
        encodings = encoder.encode_batch(groups, is_pretokenized=True, add_special_tokens=False)
        lengths = np.concatenate(
            [
                np.bincount(np.array(encoding.word_ids, np.int64), minlength=len(group))
                for group, encoding in zip(groups, encodings, strict=True)
            ]
        )
        offsets = [_pairs(encoding.offsets) for encoding in encodings] if with_offsets else []
        return _Table(
            np.concatenate([self.starts, len(self.ids) + np.cumsum(lengths) - lengths]),
            np.concatenate([self.lengths, lengths]),
            np.concatenate([self.ids, *(np.array(encoding.ids, np.int32) for encoding in encodings)]),
            np.concatenate([self.offsets, *offsets]),
        )


def _pairs(offsets: Sequence[tuple[int, int]]) -> Offsets:
    return np.fromiter(chain.from_iterable(offsets), np.int32, 2 * len(offsets)).reshape(-1, 2)


class WordEngine:
    """Encodes text word by word, and remembers words.

    Args:
        encoder: encodes one word.
        words: cuts texts.
        written: how the encoder is to be given words, if not as they were cut.
        has_offsets: the words put together are the text, so that places in it can be told.
    """

    def __init__(
        self,
        encoder: tokenizers.Tokenizer,
        words: Callable[[pl.Series], Words],
        written: Callable[[pl.Series], pl.Series] | None = None,
        *,
        has_offsets: bool,
    ) -> None:
        self.has_offsets = has_offsets
        self._encoder = encoder
        self._words = words
        self._written = written
        self._lock = Lock()
        self._numbers: dict[str, int] = {}
        self._table = _Table()
        self._remembered = 0

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text."""
        return [ids for some in _batches(texts) for ids in self._encode(some)[0]]

    def encode_with_offsets(self, texts: Sequence[str]) -> list[tuple[Ids, Offsets]]:
        """The ids of each text, and `[N, 2]` the characters that each stands for."""
        return [
            own for some in _batches(texts) for own in zip(*self._encode(some, offsets=True), strict=True)
        ]

    def _encode(self, texts: Sequence[str], *, offsets: bool = False) -> tuple[list[Ids], list[Offsets]]:
        words = self._words(pl.Series(texts, dtype=pl.String))
        distinct = words.flat.unique(maintain_order=True)
        numbers, table = self._look_up((self._written(distinct) if self._written else distinct).to_list())
        places = words.flat.cast(pl.Enum(distinct)).to_physical().to_numpy()
        of_word = numbers[places]
        lengths = table.lengths[of_word]
        ends = np.cumsum(lengths)
        rows = np.repeat(table.starts[of_word] - ends + lengths, lengths)
        rows += np.arange(len(rows))
        cuts = np.concatenate([[0], ends])[np.concatenate([[0], np.cumsum(words.numbers)])].tolist()
        ids = table.ids[rows]
        if not offsets:
            return _divided(ids, cuts), []
        characters = distinct.str.len_chars().to_numpy().astype(np.int32)[places]
        before = np.cumsum(characters) - characters
        first = np.cumsum(words.numbers) - words.numbers
        before -= np.repeat(np.append(before, 0)[first], words.numbers)
        found = table.offsets[rows] + np.repeat(before, lengths).astype(np.int32)[:, None]
        return _divided(ids, cuts), _divided(found, cuts)

    def _look_up(self, words: Sequence[str]) -> tuple[NDArray[np.int64], _Table]:
        """Where each word is in the table."""
        with self._lock:
            if self._remembered > _CHARACTERS_REMEMBERED:
                self._numbers, self._table, self._remembered = {}, _Table(), 0
            new = [word for word in dict.fromkeys(words) if word not in self._numbers]
            if new:
                self._table = self._table.extended(new, self._encoder, with_offsets=self.has_offsets)
                self._numbers.update(
                    zip(new, range(len(self._numbers), len(self._table.starts)), strict=True)
                )
                self._remembered += sum(map(len, new))
            return np.fromiter(map(self._numbers.__getitem__, words), np.int64, len(words)), self._table


def fast_engine(definition: str) -> WordEngine | None:
    """The engine for a `tokenizer.json`, or None where only `tokenizers` prepares text as it says."""
    content = json.loads(definition)
    if content["model"].get("dropout"):  # at random: a word is not always encoded alike
        return None
    # In a text, special tokens are only characters: the encoder need not look for them.
    encoder = tokenizers.Tokenizer.from_str(
        json.dumps(content | {"added_tokens": [], "post_processor": None})
    )
    for pattern in byte_level.PATTERNS:
        if _prepares(content, byte_level.prepare(models.BPE(), pattern)):
            encoder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
            return WordEngine(encoder, partial(byte_level.words, pattern=pattern), has_offsets=True)
    if _prepares(content, sentencepiece_style.prepare(models.BPE())):
        encoder.normalizer = encoder.pre_tokenizer = None
        return WordEngine(encoder, sentencepiece_style.words, sentencepiece_style.written, has_offsets=False)
    for cased, accents in product((False, True), repeat=2):
        if _prepares(content, bert_style.prepare(models.WordPiece(), cased=cased, accents=accents)):
            return WordEngine(encoder, bert_style.spaced_words, has_offsets=True)
    return None


def _prepares(content: dict[str, Any], ours: tokenizers.Tokenizer) -> bool:
    """Whether text is normalised and cut as by one of our tokenizers."""
    other = json.loads(ours.to_str())
    return all(content[part] == other[part] for part in ("normalizer", "pre_tokenizer"))


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """The texts in order, some megabytes at a time."""
    start, characters = 0, 0
    for number, text in enumerate(texts):
        characters += len(text)
        if characters >= _CHARACTERS_AT_ONCE:
            yield texts[start : number + 1]
            start, characters = number + 1, 0
    if start < len(texts):
        yield texts[start:]


def _divided(rows: NDArray[np.int32], cuts: Sequence[int]) -> list[NDArray[np.int32]]:
    return [rows[start:end] for start, end in pairwise(cuts)]
