"""Byte-pair encoding over characters (Sennrich et al. 2016), on text prepared as SentencePiece does."""

from typing import ClassVar

from pydantic import Field
from tokenizers import models, trainers

from prolepsis.text.tokenizers.sentencepiece_style import SPACE, prepare
from prolepsis.text.tokenizers.tokenizer import Tokenizer
from prolepsis.text.tokenizers.trainer import AlphabetTrainerConfig, Batches, alphabet, finish, learn


class BytePairTrainer:
    """Trains BPE over characters; a character outside the alphabet is unknown."""

    class Config(AlphabetTrainerConfig):
        """BPE's own key beside what every tokenizer is told."""

        min_frequency: int = Field(default=2, ge=1)
        """A pair that is seen less often is not merged."""

    name: ClassVar[str] = "bpe"

    def __init__(self, config: Config) -> None:
        self.config = config

    def train(self, batches: Batches) -> Tokenizer:
        """Learns the merges from the texts, which are read twice."""
        engine = prepare(models.BPE(unk_token=self.config.special_tokens["unk"]))
        found = alphabet(batches, engine.normalizer, self.config.max_characters)
        characters = sorted({*found, SPACE} - {" "})
        learn(
            engine,
            batches,
            trainers.BpeTrainer(
                vocab_size=self.config.vocabulary_size,
                min_frequency=self.config.min_frequency,
                special_tokens=list(self.config.special_tokens.values()),
                initial_alphabet=characters,
                limit_alphabet=len(characters),
                show_progress=False,
            ),
        )
        return finish(engine, self.name, self.config)
