"""The unigram language model (Kudo 2018), trained by sentencepiece on text prepared in its manner."""

import io
from collections.abc import Iterator, Sequence
from typing import ClassVar

import polars as pl
from pydantic import Field
from tokenizers import models

from prolepsis.errors import ProlepsisError
from prolepsis.text.tokenizers import sentencepiece_style
from prolepsis.text.tokenizers.tokenizer import Tokenizer
from prolepsis.text.tokenizers.trainer import (
    AlphabetTrainerConfig,
    WordTrainer,
    check_size,
    finish,
    frequent_characters,
)
from prolepsis.text.tokenizers.words import Batches, count_words

# The result depends on the number of threads, which sum in another order: always one.
_THREADS = 1
_SCORE_DIGITS = 6  # what single precision holds


class UnigramTrainer(WordTrainer):
    """Trains a unigram vocabulary with a log probability for each piece."""

    class Config(AlphabetTrainerConfig):
        """The unigram model's own key beside what every tokenizer is told."""

        max_piece_length: int = Field(default=16, ge=1)
        """The longest piece, in characters."""

    name: ClassVar[str] = "unigram"
    config: Config

    def count(self, batches: Batches) -> pl.DataFrame:
        """Counts what stands between spaces.

        sentencepiece starts from what different words have in common, which is more where signs are still at
        the words: cut off, texts took up to a tenth more tokens. It keeps letters and signs apart itself.
        """
        counts = count_words(batches, sentencepiece_style.spaced_words)
        return sentencepiece_style.count_written(counts)

    def train_many(self, counts: pl.DataFrame, sizes: Sequence[int]) -> list[Tokenizer]:
        """Learns the pieces by expectation maximisation, for each size from the start."""
        special = list(self.config.special_tokens.values())
        characters = frequent_characters(counts, self.config.max_characters)
        check_size(min(sizes), len(special) + len(characters))
        known = _known_parts(counts, characters)
        tokenizers = []
        for size in sizes:
            pieces = self._learn(known, size - len(special))
            vocabulary = [(token, 0.0) for token in special] + pieces
            model = models.Unigram(vocabulary, unk_id=special.index(self.config.special_tokens["unk"]))
            tokenizers.append(finish(sentencepiece_style.prepare(model), self.name, self.config, size))
        return tokenizers

    def _learn(self, counts: pl.DataFrame, num_pieces: int) -> list[tuple[str, float]]:
        """The pieces with their scores, the best first."""
        from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

        model = io.BytesIO()
        try:
            SentencePieceTrainer.train(
                sentence_iterator=_lines(counts),
                input_format="tsv",
                model_writer=model,
                model_type="unigram",
                vocab_size=num_pieces + 1,  # and the unknown token
                hard_vocab_limit=False,
                max_sentencepiece_length=self.config.max_piece_length,
                character_coverage=1.0,
                normalization_rule_name="identity",
                add_dummy_prefix=False,
                remove_extra_whitespaces=False,
                unk_id=0,
                bos_id=-1,
                eos_id=-1,
                pad_id=-1,
                num_threads=_THREADS,
                minloglevel=2,
            )
        except RuntimeError as error:
            raise ProlepsisError(
                f"The tokenizer cannot be trained: {error}",
                remedy="Raise 'vocabulary_size', lower 'max_characters', or give more text.",
            ) from error
        processor = SentencePieceProcessor(model_proto=model.getvalue())
        ids = range(1, processor.get_piece_size())
        learned = pl.DataFrame(
            {
                "piece": [processor.id_to_piece(number) for number in ids],
                "score": [round(processor.get_score(number), _SCORE_DIGITS) for number in ids],
            }
        )
        # It has its own idea of scripts, by which a few letters go with signs.
        return learned.filter(sentencepiece_style.is_one_word(learned["piece"])).rows()


def _known_parts(counts: pl.DataFrame, characters: Sequence[str]) -> pl.DataFrame:
    """The words without the characters that get no piece, which part them."""
    known = "".join(f"\\x{{{ord(character):x}}}" for character in characters if character != "\0")
    parts = counts.with_columns(pl.col("word").str.extract_all(f"[{known}]+")).explode("word").drop_nulls()
    summed = parts.group_by("word").agg(pl.col("count").sum())
    return summed.sort("count", "word", descending=[True, False])


def _lines(counts: pl.DataFrame) -> Iterator[str]:
    return (f"{word}\t{count}" for word, count in counts.iter_rows())
