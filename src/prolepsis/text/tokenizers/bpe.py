"""Byte-pair encoding over characters (Sennrich et al. 2016), on text prepared as SentencePiece does."""

from collections.abc import Sequence
from typing import ClassVar

import polars as pl
from tokenizers import models

from prolepsis.text.tokenizers import sentencepiece_style
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
from prolepsis.text.tokenizers.words import Batches, count_words


class BytePairTrainer(WordTrainer):
    """Trains BPE over characters; a character outside the alphabet is unknown."""

    class Config(MergingTrainerConfig, AlphabetTrainerConfig):
        """What every tokenizer is told, what those of characters are, and what those that merge are."""

    name: ClassVar[str] = "bpe"
    config: Config

    def count(self, batches: Batches) -> pl.DataFrame:
        """Counts runs of letters, digits and signs, with the space before them."""
        return sentencepiece_style.count_written(count_words(batches, sentencepiece_style.words))

    def train_many(self, counts: pl.DataFrame, sizes: Sequence[int]) -> list[Tokenizer]:
        """Learns the merges once, for the largest size."""
        found = frequent_characters(counts, self.config.max_characters)
        alphabet = sorted({*found, sentencepiece_style.SPACE})
        codes, lengths = code_points(counts["word"])
        vocabularies = merged_vocabularies(
            places(codes, alphabet), lengths, counts["count"], alphabet, self.config, sizes
        )
        unknown = self.config.special_tokens["unk"]
        return [
            finish(
                sentencepiece_style.prepare(models.BPE(vocabulary, merges, unk_token=unknown)),
                self.name,
                self.config,
                size,
            )
            for size, (vocabulary, merges) in zip(sizes, vocabularies, strict=True)
        ]
