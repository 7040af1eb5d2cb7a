"""WordPiece as BERT uses it (Devlin et al. 2019, `tokenization.py` in google-research/bert).

Text is cleaned of control characters, lower-cased and stripped of accents unless `cased`, cut at white space,
punctuation and around every CJK character; a piece that continues a word begins with `##`.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import polars as pl
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from prolepsis.text.tokenizers.tokenizer import Tokenizer
from prolepsis.text.tokenizers.trainer import (
    AlphabetTrainerConfig,
    MergingTrainerConfig,
    WordTrainer,
    code_points,
    finish,
    frequent_characters,
    merged_vocabularies,
    places,
)
from prolepsis.text.tokenizers.words import Batches, at_white_space_and_signs, count_words, recount

_CONTINUES = "##"
_PRE_TOKENIZER = pre_tokenizers.BertPreTokenizer()


class WordPieceTrainer(WordTrainer):
    """Trains a WordPiece vocabulary."""

    class Config(MergingTrainerConfig, AlphabetTrainerConfig):
        """WordPiece's own key beside what tokenizers that merge characters are told."""

        cased: bool = False
        """Keep upper case and accents."""

    name: ClassVar[str] = "wordpiece"
    config: Config

    def count(self, batches: Batches) -> pl.DataFrame:
        """Counts BERT's words."""
        return recount(count_words(batches, at_white_space_and_signs), self._words_of)

    def train_many(self, counts: pl.DataFrame, sizes: Sequence[int]) -> list[Tokenizer]:
        """Learns the pieces once, for the largest size, by merging the most frequent pairs."""
        characters = frequent_characters(counts, self.config.max_characters)
        inside = [character for character in characters if len(self._words_of(f"a{character}a")) == 1]
        codes, lengths = code_points(counts["word"])
        first = np.zeros(len(codes), bool)
        first[np.cumsum(lengths) - lengths] = True
        continuing = places(codes, inside)
        continuing[continuing >= 0] += len(characters)
        vocabularies = merged_vocabularies(
            np.where(first, places(codes, characters), continuing),
            lengths,
            counts["count"],
            [*characters, *(_CONTINUES + character for character in inside)],
            self.config,
            sizes,
            continues=_CONTINUES,
        )
        return [
            finish(self._engine(vocabulary), self.name, self.config, size)
            for size, (vocabulary, _) in zip(sizes, vocabularies, strict=True)
        ]

    def _words_of(self, text: str) -> list[str]:
        return [word for word, _ in _PRE_TOKENIZER.pre_tokenize_str(self._normalizer.normalize_str(text))]

    @property
    def _normalizer(self) -> Any:
        return normalizers.BertNormalizer(lowercase=not self.config.cased)

    def _engine(self, vocabulary: dict[str, int]) -> tokenizers.Tokenizer:
        engine = tokenizers.Tokenizer(
            models.WordPiece(vocabulary, unk_token=self.config.special_tokens["unk"])
        )
        engine.normalizer = self._normalizer
        engine.pre_tokenizer = _PRE_TOKENIZER
        engine.decoder = decoders.WordPiece(prefix=_CONTINUES, cleanup=False)
        return engine
