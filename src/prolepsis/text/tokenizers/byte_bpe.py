"""Byte-level byte-pair encoding (Radford et al. 2019): nothing is unknown, every text comes back exactly."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import polars as pl
from pydantic import Field
from tokenizers import models

from prolepsis.text.tokenizers import byte_level
from prolepsis.text.tokenizers.tokenizer import Tokenizer
from prolepsis.text.tokenizers.trainer import (
    MergingTrainerConfig,
    Part,
    WordTrainer,
    finish,
    merged_vocabularies,
)
from prolepsis.text.tokenizers.words import Batches, count_words

ROBERTA_SPECIAL_TOKENS: dict[Part, str] = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "mask": "<mask>"}


class ByteLevelBytePairTrainer(WordTrainer):
    """Trains byte-level BPE; a space belongs to the word after it."""

    class Config(MergingTrainerConfig):
        """GPT-2's size, RoBERTa's special tokens."""

        vocabulary_size: int = Field(default=50_257, gt=len(byte_level.BYTES))
        """At least the 256 bytes and the special tokens."""
        special_tokens: dict[Part, str] = ROBERTA_SPECIAL_TOKENS
        """Part to token; they get the first ids, in this order. Nothing is ever unknown."""
        pattern: byte_level.Pattern = "gpt4"
        """How text is cut before merging, as GPT-2 or as GPT-4 does."""

    name: ClassVar[str] = "byte_bpe"
    config: Config

    def count(self, batches: Batches) -> pl.DataFrame:
        """Counts the words that the pattern finds."""
        return count_words(batches, lambda texts: byte_level.words(texts, self.config.pattern))

    def train_many(self, counts: pl.DataFrame, sizes: Sequence[int]) -> list[Tokenizer]:
        """Learns the merges once, for the largest size."""
        alphabet = sorted(byte_level.BYTES)
        place = np.empty(len(alphabet), np.int32)
        for number, sign in enumerate(alphabet):
            place[byte_level.BYTES[sign]] = number
        content = np.frombuffer("".join(counts["word"]).encode(), np.uint8)
        vocabularies = merged_vocabularies(
            place[content],
            counts["word"].str.len_bytes().to_numpy().astype(np.int64),
            counts["count"],
            alphabet,
            self.config,
            sizes,
        )
        return [
            finish(
                byte_level.prepare(models.BPE(vocabulary, merges), self.config.pattern),
                self.name,
                self.config,
                size,
            )
            for size, (vocabulary, merges) in zip(sizes, vocabularies, strict=True)
        ]
