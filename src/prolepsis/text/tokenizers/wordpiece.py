"""WordPiece as BERT uses it (Devlin et al. 2019), on text prepared in its manner.

A word is cut into the longest pieces of the vocabulary from its beginning on; a piece that continues a word
begins with `##`. What Google's trainer did is not public; pieces are learned by merging the most frequent
pair, as the `tokenizers` library does.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import polars as pl
from tokenizers import models

from prolepsis.text.tokenizers import bert_style
from prolepsis.text.tokenizers.bert_style import CONTINUES
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
from prolepsis.text.tokenizers.words import Batches, count_words, recount


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
        return recount(count_words(batches, bert_style.spaced_words), self._words_of)

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
            [*characters, *(CONTINUES + character for character in inside)],
            self.config,
            sizes,
            continues=CONTINUES,
        )
        unknown = self.config.special_tokens["unk"]
        return [
            finish(
                bert_style.prepare(models.WordPiece(vocabulary, unk_token=unknown), cased=self.config.cased),
                self.name,
                self.config,
                size,
            )
            for size, (vocabulary, _) in zip(sizes, vocabularies, strict=True)
        ]

    def _words_of(self, text: str) -> list[str]:
        return bert_style.words_of(self._untrained, text)

    @cached_property
    def _untrained(self) -> Any:
        return bert_style.prepare(models.WordPiece(), cased=self.config.cased)
