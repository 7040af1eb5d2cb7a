"""The unigram language model (Kudo 2018), on text prepared as SentencePiece does."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import tokenizers
from pydantic import Field
from tokenizers import models, trainers

from prolepsis.text.tokenizers.sentencepiece_style import prepare
from prolepsis.text.tokenizers.tokenizer import Tokenizer
from prolepsis.text.tokenizers.trainer import AlphabetTrainerConfig, Batches, alphabet, finish, learn

# Sums over threads differ in the last digits from run to run.
_SCORE_DIGITS = 6
_SCORE_STEP = 1e-4


class UnigramTrainer:
    """Trains a unigram vocabulary with a log probability for each piece."""

    class Config(AlphabetTrainerConfig):
        """The unigram model's own key beside what every tokenizer is told."""

        max_piece_length: int = Field(default=16, ge=1)
        """The longest piece, in characters."""

    name: ClassVar[str] = "unigram"

    def __init__(self, config: Config) -> None:
        self.config = config

    def train(self, batches: Batches) -> Tokenizer:
        """Learns the pieces by expectation maximisation from the texts, which are read twice."""
        special_tokens = self.config.special_tokens
        learner = prepare(models.Unigram())
        known = alphabet(batches, learner.normalizer, self.config.max_characters)
        learn(
            learner,
            _KnownCharacters(batches, learner.normalizer, frozenset(known)),
            trainers.UnigramTrainer(
                vocab_size=self.config.vocabulary_size,
                special_tokens=list(special_tokens.values()),
                unk_token=special_tokens["unk"],
                max_piece_length=self.config.max_piece_length,
                show_progress=False,
            ),
        )
        engine = prepare(
            models.Unigram(_settled(learner, len(special_tokens)), unk_id=list(special_tokens).index("unk"))
        )
        return finish(engine, self.name, self.config)


@dataclass(frozen=True)
class _KnownCharacters:
    """The normalised texts with a space in the place of what is outside the alphabet.

    The library's trainer gives every character that it meets a piece of its own.
    """

    batches: Batches
    normalizer: Any
    known: frozenset[str]

    def __iter__(self) -> Iterator[Sequence[str]]:
        for texts in self.batches:
            yield [self._clean(self.normalizer.normalize_str(text)) for text in texts]

    def _clean(self, text: str) -> str:
        unknown = set(text) - self.known
        return text.translate({ord(character): " " for character in unknown}) if unknown else text


def _settled(learner: tokenizers.Tokenizer, num_special: int) -> list[tuple[str, float]]:
    """The learned pieces with their scores, the same in every run.

    The library gives the characters that are not worth a piece of their own the lowest scores, `_SCORE_STEP`
    apart in the order of a hash table: they are ranked by code point instead.
    """
    vocabulary = json.loads(learner.to_str())["model"]["vocab"]
    special, learned = vocabulary[:num_special], vocabulary[num_special:]
    scores = {piece: round(score, _SCORE_DIGITS) for piece, score in learned}
    characters = [piece for piece in scores if len(piece) == 1]
    ceiling = min(scores.values()) + len(characters) * _SCORE_STEP
    rare = sorted(character for character in characters if scores[character] <= ceiling)
    scores.update(zip(rare, sorted((scores[character] for character in rare), reverse=True), strict=True))
    ranked = sorted(scores.items(), key=lambda entry: (-entry[1], entry[0]))
    return [(piece, score) for piece, score in special] + ranked
