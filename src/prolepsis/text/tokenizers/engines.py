"""The fastest way to the same ids: `tiktoken` for byte-level BPE, `sentencepiece` for the unigram model.

Both are built from a `tokenizer.json`, never from a file of their own, and only where that file is of the
kind that this package's trainers write; the `tokenizers` library encodes everything else. Why the ids are the
same:

* Byte-level BPE. tiktoken merges any two neighbours whose bytes together are a token, `tokenizers` only the
  two that were learned. Merges are applied in the order in which they were learned, so nothing that crosses
  the ends of a token's bytes has been merged before the token is made, and inside them the state is the one
  from which the token was learned: its two halves. So no other two neighbours ever make a token.
* Unigram. A piece never spans two words of the pre-tokenizer, so the best pieces of a text are those of its
  words. sentencepiece sums scores in single precision, `tokenizers` in double: scores are multiples of
  `SCORE_STEP`, and texts are encoded in stretches so short that sums are exact in both. Equal sums are
  decided alike. Unknown characters in a row are one token in either, but not across words in `tokenizers`: a
  text with one is left to it.
"""

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import tokenizers
from numpy.typing import NDArray
from tokenizers import models

from prolepsis.text.tokenizers import byte_level, sentencepiece_style

SCORE_STEP = 1 / 256
"""Unigram scores are multiples of it."""

_SINGLE_PRECISION_STEPS = 1 << 24  # single precision holds every whole number up to it
_UNKNOWN_PENALTY = 10.0  # an unknown character scores so much less than the worst piece, in both libraries

Ids = NDArray[np.int32]


class ByteLevelEngine:
    """Encodes with tiktoken.

    Args:
        ids: what each token's bytes are to be encoded as; the smaller of two is merged first.
        pattern: name of the pattern that cuts texts.
    """

    def __init__(self, ids: Mapping[bytes, int], pattern: byte_level.Pattern) -> None:
        from tiktoken import Encoding

        self._pattern = pattern
        self._encoding = Encoding(
            "prolepsis",
            pat_str=byte_level.PATTERNS_OF_PARTS[pattern],
            mergeable_ranks=dict(ids),
            special_tokens={},
        )
        self._num_bytes = np.zeros(max(ids.values()) + 1, np.int64)
        for token, number in ids.items():
            self._num_bytes[number] = len(token)

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text."""
        parts = byte_level.parts(pl.Series(texts, dtype=pl.String), self._pattern)
        return [self._encode(own) for own in parts]

    def offsets(self, text: str, ids: Ids) -> NDArray[np.int32]:
        """The characters of a text that each of its ids stands for; all it has a byte of."""
        ends = np.cumsum(self._num_bytes[ids])
        starts = ends - self._num_bytes[ids]
        if text.isascii():
            return np.stack([starts, ends], axis=1).astype(np.int32)
        content = np.frombuffer(text.encode(), np.uint8)
        character = np.cumsum((content & 0xC0) != 0x80) - 1
        return np.stack([character[starts], character[ends - 1] + 1], axis=1).astype(np.int32)

    def _encode(self, parts: pl.Series) -> Ids:
        ids: list[int] = []
        for part in parts:
            ids += self._encoding.encode_ordinary(part)
        return np.array(ids, dtype=np.int32)


class UnigramEngine:
    """Encodes with sentencepiece.

    Args:
        pieces: with their scores, multiples of `SCORE_STEP`; a place in this list is an id.
        special: the ids that are no text's.
        unknown: the id of an unknown character, one of the special ones.
    """

    def __init__(self, pieces: Sequence[tuple[str, float]], special: frozenset[int], unknown: int) -> None:
        from sentencepiece import SentencePieceProcessor

        self._processor = SentencePieceProcessor(model_proto=_model(pieces, special, unknown))
        self._unknown = unknown
        worst = (
            min(score for number, (_, score) in enumerate(pieces) if number not in special) - _UNKNOWN_PENALTY
        )
        self._stretch = int(_SINGLE_PRECISION_STEPS * SCORE_STEP / -worst) - 1

    def encode(self, texts: Sequence[str]) -> list[Ids | None]:
        """The ids of each text, or None for one that this engine must not encode."""
        encoded: list[Ids | None] = []
        for text in sentencepiece_style.normalised(pl.Series(texts, dtype=pl.String)):
            stretches = list(_stretches(text, self._stretch))
            if any(len(stretch) > self._stretch for stretch in stretches):
                encoded.append(None)
                continue
            found = self._processor.encode(stretches, out_type=int, num_threads=1)
            ids = np.array([number for own in found for number in own], dtype=np.int32)
            encoded.append(None if (ids == self._unknown).any() else ids)
        return encoded


Engine = ByteLevelEngine | UnigramEngine


def fast_engine(definition: str) -> Engine | None:
    """The engine that encodes as this `tokenizer.json`, or None where only `tokenizers` does."""
    content = json.loads(definition)
    special = {token["content"]: token["id"] for token in content["added_tokens"]}
    if content["model"]["type"] == "BPE":
        return _byte_level_engine(content, special)
    if content["model"]["type"] == "Unigram":
        return _unigram_engine(content, frozenset(special.values()))
    return None


def _byte_level_engine(content: Mapping[str, Any], special: Mapping[str, int]) -> ByteLevelEngine | None:
    model = content["model"]
    pattern = next(
        (name for name in byte_level.PATTERNS if _prepares(content, byte_level.prepare(models.BPE(), name))),
        None,
    )
    ordinary = {token: number for token, number in model["vocab"].items() if token not in special}
    merged = [ordinary.get("".join(halves), -1) for halves in model["merges"]]
    in_order = merged == sorted(set(merged)) and -1 not in merged
    complete = byte_level.BYTES.keys() <= ordinary.keys() and len(ordinary) == len(byte_level.BYTES) + len(
        merged
    )
    if pattern is None or model["dropout"] or model["ignore_merges"] or not (in_order and complete):
        return None
    return ByteLevelEngine(
        {byte_level.token_bytes(token): number for token, number in ordinary.items()}, pattern
    )


def _unigram_engine(content: Mapping[str, Any], special: frozenset[int]) -> UnigramEngine | None:
    model = content["model"]
    pieces = [(piece, score) for piece, score in model["vocab"]]
    exact = all((score / SCORE_STEP).is_integer() for _, score in pieces)
    unknown = model["unk_id"]
    ours = _prepares(content, sentencepiece_style.prepare(models.Unigram()))
    if (
        not (ours and exact)
        or model["byte_fallback"]
        or unknown not in special
        or len(pieces) == len(special)
    ):
        return None
    return UnigramEngine(pieces, special, unknown)


def _prepares(content: Mapping[str, Any], ours: tokenizers.Tokenizer) -> bool:
    """Whether text is normalised and cut as by one of our tokenizers."""
    other = json.loads(ours.to_str())
    return all(content[part] == other[part] for part in ("normalizer", "pre_tokenizer"))


def _stretches(text: str, longest: int) -> Iterator[str]:
    """The text in stretches that end with words, none longer than `longest` unless a single word is."""
    start = 0
    while len(text) - start > longest:
        end = text.rfind(sentencepiece_style.SPACE, start + 1, start + longest + 1)
        if end < 0:
            window = text[start : start + longest]
            last = pl.Series([window]).str.extract_all(sentencepiece_style.WORD).list.last().item()
            end = start + longest - len(last)
        if end == start:
            break
        yield text[start:end]
        start = end
    yield text[start:]


# sentencepiece_model.proto of google/sentencepiece: piece types, and the numbers of the fields that are set.
_NORMAL, _UNKNOWN, _CONTROL = 1, 2, 3
_UNIGRAM = 1


def _model(pieces: Sequence[tuple[str, float]], special: frozenset[int], unknown: int) -> bytes:
    """A sentencepiece model as its protocol buffer, which takes text as it is given."""
    content = bytearray()
    for number, (piece, score) in enumerate(pieces):
        kind = _UNKNOWN if number == unknown else _CONTROL if number in special else _NORMAL
        content += _message(1, _message(1, piece.encode()) + _single(2, score) + _number(3, kind))
    trainer = (
        _number(3, _UNIGRAM) + _number(40, unknown) + b"".join(_number(field, -1) for field in (41, 42, 43))
    )
    trainer += _message(45, pieces[unknown][0].encode())
    normalizer = _message(1, b"identity") + _number(3, 0) + _number(4, 0) + _number(5, 1)
    return bytes(content + _message(2, trainer) + _message(3, normalizer))


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _single(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value & (1 << 64) - 1)


def _varint(value: int) -> bytes:
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])
