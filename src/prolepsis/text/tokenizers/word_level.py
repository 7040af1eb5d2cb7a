"""A token for each whole word, as word2vec, GloVe and published word lists have it.

Text is cut as BERT cuts it before WordPiece: at white space, at punctuation and around every CJK character.
Accents stay even where case does not: `río` and `rio` are two words. A word that is too rare for the
vocabulary is the unknown token, whole; nothing is said of its letters.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import polars as pl
from pydantic import Field
from tokenizers import models

from prolepsis.errors import ProlepsisError
from prolepsis.text.tokenizers import bert_style
from prolepsis.text.tokenizers.tokenizer import Tokenizer
from prolepsis.text.tokenizers.trainer import UnknownTrainerConfig, WordTrainer, finish
from prolepsis.text.tokenizers.words import Batches, count_words, recount


class WordLevelTrainer(WordTrainer):
    """Takes the most frequent words; of equally frequent ones those first by code point."""

    class Config(UnknownTrainerConfig):
        """The word level's own keys beside what every tokenizer is told."""

        cased: bool = False
        """Keep upper case. Accents are kept always."""
        min_frequency: int = Field(default=2, ge=1)
        """A word that is seen less often is unknown."""

    name: ClassVar[str] = "word_level"
    config: Config

    def count(self, batches: Batches) -> pl.DataFrame:
        """Counts BERT's words, with their accents."""
        return recount(count_words(batches, bert_style.spaced_words), self._words_of)

    def train_many(self, counts: pl.DataFrame, sizes: Sequence[int]) -> list[Tokenizer]:
        """The first words of the same list for each size.

        Raises:
            ProlepsisError: a vocabulary has no place for a word, or no word is frequent enough.
        """
        special = list(self.config.special_tokens.values())
        _check_room(min(sizes), len(special))
        words = self._frequent_words(counts)
        return [self._tokenizer([*special, *words[: size - len(special)]], size) for size in sizes]

    def _frequent_words(self, counts: pl.DataFrame) -> list[str]:
        """The most frequent first."""
        least = self.config.min_frequency
        # A word written like a special token has that token's id already.
        known = (pl.col("count") >= least) & ~pl.col("word").is_in(list(self.config.special_tokens.values()))
        words = counts.filter(known).sort("count", "word", descending=[True, False])["word"].to_list()
        if not words:
            raise ProlepsisError(
                f"No word occurs {least} times or more in the training text.",
                where="min_frequency",
                remedy="Lower 'min_frequency', or give more text.",
            )
        return words

    def _tokenizer(self, tokens: Sequence[str], size: int) -> Tokenizer:
        vocabulary = {token: number for number, token in enumerate(tokens)}
        model = models.WordLevel(vocabulary, unk_token=self.config.special_tokens["unk"])
        engine = bert_style.prepare(model, cased=self.config.cased, accents=True)
        return finish(engine, self.name, self.config, size)

    def _words_of(self, text: str) -> list[str]:
        return bert_style.words_of(self._untrained, text)

    @cached_property
    def _untrained(self) -> Any:
        return bert_style.prepare(models.WordLevel(), cased=self.config.cased, accents=True)


def _check_room(size: int, num_special: int) -> None:
    if size <= num_special:
        raise ProlepsisError(
            f"A vocabulary of {size} does not even hold the {num_special} special tokens and a word.",
            where="vocabulary_size",
            remedy="Raise 'vocabulary_size'.",
        )
