"""Texts as the tokens that the published filters count: what spaCy's rule-based splitters make of them.

Only hashes, lengths and kinds of tokens are kept: 13 bytes for each.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from prolepsis.text.corpus.filters.exceptions import COMMON, ENGLISH, FRENCH, SPANISH
from prolepsis.text.corpus.language import UNDETERMINED
from prolepsis.text.corpus.utf8 import utf8
from prolepsis.text.corpus.words import UNSPACED_LANGUAGES

HAS_LETTER = 1
"""A token with a letter."""
HAS_NON_SYMBOL = 2
"""A token that is a word: some character of it is not among datatrove's punctuation."""
IS_PUNCTUATION = 4
"""A token of nothing but punctuation, in Unicode's sense."""
ENDS_SENTENCE = 8
"""A single mark that ends a sentence."""

SENTENCE_END = r"[\p{Sentence_Terminal}\u17D6\u17D9\u17DA]"
"""A mark that ends a sentence: datatrove's list is Unicode's property of an older version and three more."""

_RULES = {"en": ENGLISH, "es": SPANISH, "fr": FRENCH}


@dataclass(frozen=True)
class Tokens:
    """The tokens of several texts, one after the other.

    Attributes:
        borders: where those of each text begin, with the end of the last, int64 `[texts + 1]`.
        hashes: of their characters, uint64 `[tokens]`.
        lengths: in characters, uint32 `[tokens]`.
        kinds: the flags of this module, uint8 `[tokens]`.
    """

    borders: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]
    lengths: npt.NDArray[np.uint32]
    kinds: npt.NDArray[np.uint8]

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """How many tokens each text has."""
        return np.diff(self.borders)

    def sums(self, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """The sum of a value per token over each text."""
        sums = np.concatenate([np.zeros(1, np.int64), np.cumsum(values, dtype=np.int64)])
        return np.diff(sums[self.borders])


def tokenize(texts: pl.Series, languages: pl.Series) -> Tokens:
    """Splits texts, each by the rules of its language.

    Args:
        texts: strings without nulls.
        languages: ISO 639-1; those without rules of their own have the common ones. In a language written
            without spaces, and in a text whose language is not known, each character of a script without
            spaces is a token; elsewhere a row of them is one, as for spaCy.
    """
    from prolepsis.text.corpus.filters.splitter import split_texts

    characters, borders = utf8(texts)
    rules = languages.replace_strict(_RULES, default=COMMON, return_dtype=pl.UInt8).to_numpy()
    is_unspaced = languages.is_in([*UNSPACED_LANGUAGES, UNDETERMINED]).to_numpy()
    return Tokens(*split_texts(characters, borders, rules, is_unspaced))


def token_hashes(tokens: Iterable[str]) -> npt.NDArray[np.uint64]:
    """What `Tokens.hashes` holds for these tokens."""
    from prolepsis.text.corpus.filters.splitter import hash_tokens

    return hash_tokens(tokens)
