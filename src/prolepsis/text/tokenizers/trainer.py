"""What the trainers share: the part of a configuration that all have, training from counted words."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
import tokenizers
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator
from tokenizers import AddedToken, processors

from prolepsis.errors import ProlepsisError
from prolepsis.text.tokenizers.tokenizer import Tokenizer
from prolepsis.text.tokenizers.words import Batches

_CODE_POINTS = 0x110000

Part = Literal["pad", "unk", "cls", "sep", "mask"]

BERT_SPECIAL_TOKENS: dict[Part, str] = {
    "pad": "[PAD]",
    "unk": "[UNK]",
    "cls": "[CLS]",
    "sep": "[SEP]",
    "mask": "[MASK]",
}


class TrainerConfig(BaseModel):
    """What every tokenizer is told."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    vocabulary_size: int = Field(default=30_522, gt=0)
    """Number of ids, the special tokens included; fewer if the text does not give as many."""
    special_tokens: dict[Part, str] = BERT_SPECIAL_TOKENS
    """Part to token; they get the first ids, in this order."""

    @field_validator("special_tokens")
    @classmethod
    def _check_special_tokens(cls, value: dict[Part, str]) -> dict[Part, str]:
        tokens = list(value.values())
        if "" in tokens or len(set(tokens)) < len(tokens):
            raise ValueError("special tokens must differ from each other and not be empty")
        return value


class UnknownTrainerConfig(TrainerConfig):
    """For tokenizers that do not have an id for everything."""

    @field_validator("special_tokens")
    @classmethod
    def _check_unknown(cls, value: dict[Part, str]) -> dict[Part, str]:
        if "unk" not in value:
            raise ValueError("a token for the part 'unk' is needed, for what is not in the vocabulary")
        return value


class AlphabetTrainerConfig(UnknownTrainerConfig):
    """For tokenizers that start from characters."""

    max_characters: int = Field(default=1_000, gt=0)
    """So many of the most frequent characters get an id; the others are unknown."""


class MergingTrainerConfig(TrainerConfig):
    """For tokenizers that merge pairs."""

    min_frequency: int = Field(default=2, ge=1)
    """A pair that is seen less often is not merged."""


class WordTrainer(ABC):
    """Trains a tokenizer from counted words; what a plugin of `prolepsis.tokenizers` may build on.

    Words are counted once, and any number of vocabularies trained from the counts:

        counts = trainer.count(batches)
        small, large = trainer.train_many(counts, [4_000, 32_000])
    """

    name: ClassVar[str]

    def __init__(self, config: Any) -> None:
        self.config = config

    def train(self, batches: Batches) -> Tokenizer:
        """Trains on the texts, which are read once.

        Raises:
            ProlepsisError: there is no text, or the vocabulary is too small for its characters.
        """
        return self.train_many(self.count(batches), [self.config.vocabulary_size])[0]

    @abstractmethod
    def count(self, batches: Batches) -> pl.DataFrame:
        """How often each word of the texts occurs: `word` String, `count` Int64."""

    @abstractmethod
    def train_many(self, counts: pl.DataFrame, sizes: Sequence[int]) -> list[Tokenizer]:
        """A tokenizer for each vocabulary size, each as if it had been trained alone.

        Args:
            counts: as `count` gives them.
            sizes: numbers of ids, special tokens included; the configuration's own size does not matter.
        """


def frequent_characters(counts: pl.DataFrame, limit: int) -> list[str]:
    """The most frequent characters of counted words, sorted; equally frequent ones by code point."""
    codes, lengths = code_points(counts["word"])
    frequencies = np.zeros(_CODE_POINTS, np.int64)
    np.add.at(frequencies, codes, np.repeat(counts["count"].to_numpy(), lengths))
    found = np.flatnonzero(frequencies)
    most_frequent = found[np.argsort(-frequencies[found], kind="stable")]
    return [chr(code) for code in np.sort(most_frequent[:limit])]


def code_points(words: pl.Series) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The code points of all words in a row, and how many each word has."""
    return (
        np.frombuffer("".join(words).encode("utf-32-le"), np.uint32),
        words.str.len_chars().to_numpy().astype(np.int64),
    )


def places(codes: NDArray[np.uint32], alphabet: Sequence[str]) -> NDArray[np.int32]:
    """For each code point its place in the alphabet, or `UNKNOWN`."""
    from prolepsis.text.tokenizers.merges import UNKNOWN

    place = np.full(_CODE_POINTS, UNKNOWN, np.int32)
    for number, character in enumerate(alphabet):
        place[ord(character)] = number
    return place[codes]


def merged_vocabularies(
    symbols: NDArray[np.int32],
    lengths: NDArray[np.int64],
    counts: pl.Series,
    alphabet: Sequence[str],
    config: MergingTrainerConfig,
    sizes: Sequence[int],
    *,
    continues: str = "",
) -> list[tuple[dict[str, int], list[tuple[str, str]]]]:
    """Vocabulary and merges for each size; those of the smaller ones begin those of the largest.

    Args:
        symbols: all words in a row, as places in the alphabet, or `UNKNOWN`.
        lengths: of the words.
        counts: of the words.
        alphabet: what can be merged; they get the ids after the special tokens, in this order.
        config: the trainer's.
        sizes: numbers of ids.
        continues: what the name of a token that continues a word begins with, and a merged one does without.
    """
    from prolepsis.text.tokenizers.merges import END, UNKNOWN, learn_merges

    special = list(config.special_tokens.values())
    tokens = special + list(alphabet)
    check_size(min(sizes), len(tokens))
    ends = np.cumsum(lengths)
    ids = np.insert(np.where(symbols == UNKNOWN, symbols, symbols + len(special)), ends, END)
    learned = learn_merges(
        ids.astype(np.int32),
        counts.to_numpy().astype(np.int64),
        first_id=len(tokens),
        num_merges=max(sizes) - len(tokens),
        min_frequency=config.min_frequency,
    )
    first_merge = len(tokens)
    merges = []
    for left, right in learned:
        merges.append((tokens[left], tokens[right]))
        tokens.append(tokens[left] + tokens[right].removeprefix(continues))
    return [
        (
            {token: number for number, token in enumerate(tokens[:size])},
            merges[: max(0, size - first_merge)],
        )
        for size in sizes
    ]


def check_size(size: int, needed: int) -> None:
    """Refuses a vocabulary that does not even hold its special tokens and characters.

    Raises:
        ProlepsisError: `needed` is more than `size`.
    """
    if needed > size:
        raise ProlepsisError(
            f"A vocabulary of {size} does not even hold the special tokens and single characters, which are "
            f"{needed}.",
            where="vocabulary_size",
            remedy="Raise 'vocabulary_size', or lower 'max_characters'.",
        )


def finish(engine: tokenizers.Tokenizer, plugin: str, config: TrainerConfig, size: int) -> Tokenizer:
    """Registers the special tokens, which have the first ids, and turns a trained engine into a `Tokenizer`.

    With `cls` and `sep` tokens, Hugging Face's encoding frames a text, or a pair of texts, as BERT does.

    Raises:
        ProlepsisError: a special token is a word that any text may hold.
    """
    tokens = config.special_tokens
    unknown = tokens.get("unk")
    for token in tokens.values():
        if token in set(engine.encode(token, add_special_tokens=False).tokens) - {unknown}:
            raise ProlepsisError(
                f"The special token {token!r} cannot be told from the same word in a text.",
                where=f"{plugin}: special_tokens",
                remedy="Write it with brackets, as '[MASK]' or '<mask>'.",
            )
    engine.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in tokens.values()]
    )
    if "cls" in tokens and "sep" in tokens:
        first, last = tokens["cls"], tokens["sep"]
        engine.post_processor = processors.TemplateProcessing(
            single=f"{first} $A {last}",
            pair=f"{first} $A {last} $B:1 {last}:1",
            special_tokens=[(token, engine.token_to_id(token)) for token in (first, last)],
        )
    return Tokenizer(
        definition=engine.to_str(pretty=True),
        plugin=plugin,
        config=config.model_copy(update={"vocabulary_size": size}).model_dump(mode="json"),
        special_tokens={str(part): token for part, token in tokens.items()},
    )
