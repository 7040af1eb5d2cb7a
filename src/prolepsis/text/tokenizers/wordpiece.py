"""WordPiece as BERT uses it (Devlin et al. 2019, `tokenization.py` in google-research/bert).

Text is cleaned of control characters, lower-cased and stripped of accents unless `cased`, cut at white space,
punctuation and around every CJK character; a piece that continues a word begins with `##`.
"""

from typing import Any, ClassVar

import tokenizers
from pydantic import Field
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from prolepsis.text.tokenizers.tokenizer import Tokenizer
from prolepsis.text.tokenizers.trainer import AlphabetTrainerConfig, Batches, alphabet, finish, learn

_CONTINUES = "##"


class WordPieceTrainer:
    """Trains a WordPiece vocabulary."""

    class Config(AlphabetTrainerConfig):
        """WordPiece's own keys beside what every tokenizer is told."""

        cased: bool = False
        """Keep upper case and accents."""
        min_frequency: int = Field(default=2, ge=1)
        """A pair that is seen less often is not merged."""

    name: ClassVar[str] = "wordpiece"

    def __init__(self, config: Config) -> None:
        self.config = config

    def train(self, batches: Batches) -> Tokenizer:
        """Learns the pieces from the texts, which are read twice."""
        unknown = self.config.special_tokens["unk"]
        normalizer = normalizers.BertNormalizer(lowercase=not self.config.cased)
        pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        characters = alphabet(batches, normalizer, self.config.max_characters)
        special_tokens = list(self.config.special_tokens.values())
        learner = _engine(models.WordPiece(unk_token=unknown), normalizer, pre_tokenizer)
        learn(
            learner,
            batches,
            trainers.WordPieceTrainer(
                vocab_size=self.config.vocabulary_size,
                min_frequency=self.config.min_frequency,
                # The library numbers continuing characters in the order of a hash table, which differs from
                # run to run, and ids decide which of two equally frequent pairs is merged. Given here, as
                # if they were special, they have fixed ids.
                special_tokens=special_tokens + _continuing(characters, learner),
                initial_alphabet=characters,
                limit_alphabet=len(characters),
                continuing_subword_prefix=_CONTINUES,
                show_progress=False,
            ),
        )
        vocabulary = learner.get_vocab(with_added_tokens=True)
        engine = _engine(models.WordPiece(vocabulary, unk_token=unknown), normalizer, pre_tokenizer)
        engine.decoder = decoders.WordPiece(prefix=_CONTINUES, cleanup=False)
        return finish(engine, self.name, self.config)


def _engine(model: models.Model, normalizer: Any, pre_tokenizer: Any) -> tokenizers.Tokenizer:
    engine = tokenizers.Tokenizer(model)
    engine.normalizer = normalizer
    engine.pre_tokenizer = pre_tokenizer
    return engine


def _continuing(characters: list[str], engine: tokenizers.Tokenizer) -> list[str]:
    """`##c` for the characters that may stand inside a word: no punctuation, no CJK."""
    return [_CONTINUES + character for character in characters if _is_one_word(f"a{character}a", engine)]


def _is_one_word(text: str, engine: tokenizers.Tokenizer) -> bool:
    return len(engine.pre_tokenizer.pre_tokenize_str(engine.normalizer.normalize_str(text))) == 1
