"""How well a tokenizer fits a text: the usual intrinsic figures, for each language and for all together."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from prolepsis.text.tokenizers.tokenizer import Tokenizer

ALL_LANGUAGES = "all"
RENYI_ALPHA = 2.5

SCHEMA: dict[str, type[pl.DataType]] = {
    "language": pl.String,
    "num_documents": pl.Int64,
    "num_words": pl.Int64,
    "num_tokens": pl.Int64,
    "fertility": pl.Float64,
    "bytes_per_token": pl.Float64,
    "characters_per_token": pl.Float64,
    "unknown_rate": pl.Float64,
    "exact_round_trip": pl.Float64,
    "vocabulary_use": pl.Float64,
    "renyi_efficiency": pl.Float64,
}


def evaluate(tokenizer: Tokenizer, documents: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """One row for each language, in alphabetical order, after one for all of them.

    Args:
        tokenizer: what is evaluated.
        documents: frames with `text` and `language`, of which one is held at a time.

    Returns:
        The columns of `SCHEMA`; a ratio without a denominator is null.

        * `fertility`: tokens for each word, words being what white space parts;
        * `bytes_per_token`, of UTF-8, and `characters_per_token`;
        * `unknown_rate`: share of the tokens that are unknown;
        * `exact_round_trip`: share of the documents that decode to what they were;
        * `vocabulary_use`: share of the ids, special ones aside, that occur;
        * `renyi_efficiency`: of order 2.5, against the whole vocabulary.
    """
    counts: dict[str, _Counts] = {ALL_LANGUAGES: _Counts(tokenizer.vocabulary_size)}
    for frame in documents:
        for (language,), part in frame.with_columns(pl.col("language").fill_null("unknown")).group_by(
            "language", maintain_order=True
        ):
            counts.setdefault(str(language), _Counts(tokenizer.vocabulary_size)).add(
                part["text"].to_list(), tokenizer
            )
    for language, its_counts in counts.items():
        if language != ALL_LANGUAGES:
            counts[ALL_LANGUAGES].merge(its_counts)
    order = [ALL_LANGUAGES, *sorted(counts.keys() - {ALL_LANGUAGES})]
    return pl.DataFrame([counts[name].row(name, tokenizer) for name in order], schema=SCHEMA)


def renyi_efficiency(
    counts: NDArray[np.integer[Any]], vocabulary_size: int, alpha: float = RENYI_ALPHA
) -> float | None:
    """Rényi entropy of the tokens over that of a uniform use of the vocabulary, 0 to 1 (Zouhar et al. 2023).

    Args:
        counts: how often each id occurs.
        vocabulary_size: of the tokenizer, or the number of ids that occur.
        alpha: order of the entropy, not 1.

    Returns:
        None where there are no tokens, or only one is possible.
    """
    total = int(counts.sum())
    if total == 0 or vocabulary_size < 2:
        return None
    shares = counts[counts > 0] / total
    entropy = float(np.log(np.sum(shares**alpha)) / (1.0 - alpha))
    return entropy / math.log(vocabulary_size)


@dataclass
class _Counts:
    vocabulary_size: int
    documents: int = 0
    words: int = 0
    characters: int = 0
    bytes: int = 0
    exact: int = 0
    ids: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.ids = np.zeros(self.vocabulary_size, dtype=np.int64)

    def add(self, texts: Sequence[str], tokenizer: Tokenizer) -> None:
        encoded = tokenizer.encode_batch(texts)
        decoded = tokenizer.decode_batch(encoded)
        self.documents += len(texts)
        self.words += sum(len(text.split()) for text in texts)
        self.characters += sum(map(len, texts))
        self.bytes += sum(len(text.encode()) for text in texts)
        self.exact += sum(text == back for text, back in zip(texts, decoded, strict=True))
        self.ids += np.bincount(np.concatenate(encoded), minlength=self.vocabulary_size)

    def merge(self, other: "_Counts") -> None:
        self.documents += other.documents
        self.words += other.words
        self.characters += other.characters
        self.bytes += other.bytes
        self.exact += other.exact
        self.ids += other.ids

    def row(self, language: str, tokenizer: Tokenizer) -> dict[str, Any]:
        tokens = int(self.ids.sum())
        special = list(tokenizer.special_ids.values())
        ordinary = np.delete(self.ids, special)
        unknown = 0 if tokenizer.unk_id is None else int(self.ids[tokenizer.unk_id])
        return {
            "language": language,
            "num_documents": self.documents,
            "num_words": self.words,
            "num_tokens": tokens,
            "fertility": _ratio(tokens, self.words),
            "bytes_per_token": _ratio(self.bytes, tokens),
            "characters_per_token": _ratio(self.characters, tokens),
            "unknown_rate": _ratio(unknown, tokens),
            "exact_round_trip": _ratio(self.exact, self.documents),
            "vocabulary_use": _ratio(int(np.count_nonzero(ordinary)), len(ordinary)),
            "renyi_efficiency": renyi_efficiency(self.ids, self.vocabulary_size),
        }


def _ratio(numerator: int, denominator: int) -> float | None:
    return numerator / denominator if denominator else None
