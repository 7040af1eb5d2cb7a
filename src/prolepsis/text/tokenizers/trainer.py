"""What the four trainers share: the part of a configuration that all have, the alphabet, and the result."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import tokenizers
from pydantic import BaseModel, ConfigDict, Field, field_validator
from tokenizers import AddedToken, processors

from prolepsis.errors import ProlepsisError
from prolepsis.text.tokenizers.tokenizer import Tokenizer

Part = Literal["pad", "unk", "cls", "sep", "mask"]

# Texts in lists of some megabytes. Some trainers read them twice, so an iterator will not do.
Batches = Iterable[Sequence[str]]

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


class AlphabetTrainerConfig(TrainerConfig):
    """For tokenizers that start from characters."""

    max_characters: int = Field(default=1_000, gt=0)
    """So many of the most frequent characters get an id; the others are unknown."""

    @field_validator("special_tokens")
    @classmethod
    def _check_unknown(cls, value: dict[Part, str]) -> dict[Part, str]:
        if "unk" not in value:
            raise ValueError("a token for the part 'unk' is needed, for characters outside the alphabet")
        return value


def alphabet(batches: Batches, normalizer: Any, max_characters: int) -> list[str]:
    """The most frequent characters of the normalised texts, sorted; equally frequent ones by code point.

    The trainers of the `tokenizers` library would choose among equally frequent ones at random.

    Raises:
        ProlepsisError: there is no text.
    """
    counts: Counter[str] = Counter()
    for texts in batches:
        for text in texts:
            counts.update(normalizer.normalize_str(text))
    if not counts:
        raise ProlepsisError(
            "There is no text to train a tokenizer on.",
            remedy="Look at the corpus report: does the train split have documents?",
        )
    by_frequency = sorted(counts, key=lambda character: (-counts[character], character))
    return sorted(by_frequency[:max_characters])


def learn(engine: tokenizers.Tokenizer, batches: Batches, trainer: Any) -> None:
    """Trains the engine in place; an error of the library becomes a `ProlepsisError`."""
    try:
        engine.train_from_iterator(batches, trainer)
    except ProlepsisError:
        raise  # from reading the texts
    except Exception as error:  # the library raises plain Exception
        raise ProlepsisError(
            f"The tokenizer cannot be trained: {error}",
            remedy="Raise 'vocabulary_size', lower 'max_characters', or give more text.",
        ) from error


def finish(engine: tokenizers.Tokenizer, plugin: str, config: TrainerConfig) -> Tokenizer:
    """Registers the special tokens and turns a trained engine into a `Tokenizer`.

    With `cls` and `sep` tokens, Hugging Face's encoding frames a text, or a pair of texts, as BERT does.

    Raises:
        ProlepsisError: the special tokens and the alphabet alone are more than the vocabulary was to have.
    """
    tokens = config.special_tokens
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
    size = engine.get_vocab_size(with_added_tokens=True)
    if size > config.vocabulary_size:
        raise ProlepsisError(
            f"A vocabulary of {config.vocabulary_size} does not even hold the special tokens and single "
            f"characters, which are {size}.",
            where=f"{plugin}: vocabulary_size",
            remedy="Raise 'vocabulary_size', or lower 'max_characters'.",
        )
    return Tokenizer(
        definition=engine.to_str(pretty=True),
        plugin=plugin,
        config=config.model_dump(mode="json"),
        special_tokens={str(part): token for part, token in tokens.items()},
    )
