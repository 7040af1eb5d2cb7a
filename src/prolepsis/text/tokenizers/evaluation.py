"""How well a tokenizer fits a text: the usual intrinsic figures, for each language and for all together."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from prolepsis.text.tokenizers.tokenizer import Tokenizer

ALL_LANGUAGES = "all"
REFERENCE_LANGUAGE = "en"
RENYI_ALPHA = 2.5

_WORD = r"[\p{L}\p{M}\p{N}]+"

Name = TypeVar("Name")

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
    "continued_words": pl.Float64,
    "parity": pl.Float64,
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
        * `renyi_efficiency`: of order 2.5, against the whole vocabulary (Zouhar et al. 2023);
        * `continued_words`: share of the runs of letters and digits that take more than one token after a
          space (Rust et al. 2021);
        * `parity`: tokens for each character, as a multiple of English's, or of the first language's where
          there is no English; null for all languages together. The documents of two languages are not
          translations of each other, so this tells how finely a language is cut, not what the same content
          costs: a Chinese character says more than a Latin letter.
    """
    return evaluate_many({None: tokenizer}, documents)[None]


def evaluate_many(
    tokenizers: Mapping[Name, Tokenizer], documents: Iterable[pl.DataFrame]
) -> dict[Name, pl.DataFrame]:
    """The table of `evaluate` for each of several tokenizers; the documents are read once."""
    counts: dict[Name, dict[str, _Counts]] = {name: {} for name in tokenizers}
    for frame in documents:
        known = frame.with_columns(pl.col("language").fill_null("unknown"))
        for (language,), part in known.group_by("language", maintain_order=True):
            for name, tokenizer in tokenizers.items():
                of_tokenizer = counts[name].setdefault(str(language), _Counts(tokenizer.vocabulary_size))
                of_tokenizer.add(part["text"], tokenizer)
    return {name: _table(counts[name], tokenizer) for name, tokenizer in tokenizers.items()}


def _table(counts: Mapping[str, "_Counts"], tokenizer: Tokenizer) -> pl.DataFrame:
    overall = _Counts(tokenizer.vocabulary_size)
    for its_counts in counts.values():
        overall.merge(its_counts)
    languages = sorted(counts)
    rows = [overall.row(tokenizer) | {"language": ALL_LANGUAGES, "parity": None}]
    reference = counts.get(REFERENCE_LANGUAGE, counts[languages[0]] if languages else overall)
    for language in languages:
        own = counts[language]
        parity = _ratio(own.tokens * reference.characters, own.characters * reference.tokens)
        rows.append(own.row(tokenizer) | {"language": language, "parity": parity})
    return pl.DataFrame(rows, schema=SCHEMA)


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
    runs: int = 0
    continued: int = 0
    ids: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.ids = np.zeros(self.vocabulary_size, dtype=np.int64)

    @property
    def tokens(self) -> int:
        return int(self.ids.sum())

    def add(self, texts: pl.Series, tokenizer: Tokenizer) -> None:
        encoded = tokenizer.encode_batch(texts.to_list())
        decoded = tokenizer.decode_batch(encoded)
        self.documents += len(texts)
        self.words += sum(len(text.split()) for text in texts)
        self.characters += int(texts.str.len_chars().sum())
        self.bytes += int(texts.str.len_bytes().sum())
        self.exact += sum(text == back for text, back in zip(texts, decoded, strict=True))
        self.ids += np.bincount(np.concatenate(encoded), minlength=self.vocabulary_size)
        self._add_runs(texts, tokenizer)

    def _add_runs(self, texts: pl.Series, tokenizer: Tokenizer) -> None:
        runs = texts.str.extract_all(_WORD).explode().drop_nulls().alias("run").value_counts()
        encoded = tokenizer.encode_batch((" " + runs["run"]).to_list())
        frequencies = runs["count"].to_numpy().astype(np.int64)
        several = np.fromiter((len(ids) > 1 for ids in encoded), bool, len(encoded))
        self.runs += int(frequencies.sum())
        self.continued += int(frequencies[several].sum())

    def merge(self, other: "_Counts") -> None:
        self.documents += other.documents
        self.words += other.words
        self.characters += other.characters
        self.bytes += other.bytes
        self.exact += other.exact
        self.runs += other.runs
        self.continued += other.continued
        self.ids += other.ids

    def row(self, tokenizer: Tokenizer) -> dict[str, Any]:
        tokens = self.tokens
        special = list(tokenizer.special_ids.values())
        ordinary = np.delete(self.ids, special)
        unknown = 0 if tokenizer.unk_id is None else int(self.ids[tokenizer.unk_id])
        return {
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
            "continued_words": _ratio(self.continued, self.runs),
        }


def _ratio(numerator: int, denominator: int) -> float | None:
    return numerator / denominator if denominator else None
