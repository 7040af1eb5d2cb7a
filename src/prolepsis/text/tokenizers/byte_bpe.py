"""Byte-level byte-pair encoding (Radford et al. 2019): nothing is unknown, every text comes back exactly."""

from typing import ClassVar, Literal

import tokenizers
from pydantic import Field
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

from prolepsis.text.tokenizers.tokenizer import Tokenizer
from prolepsis.text.tokenizers.trainer import Batches, Part, TrainerConfig, finish, learn

# cl100k_base of openai/tiktoken: a contraction; letters with one sign or space before them; at most three
# digits; other signs with the line ends after them; line ends; white space.
_GPT4_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    r"|[^\r\n\p{L}\p{N}]?\p{L}+"
    r"|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+"
    r"|\s+(?!\S)"
    r"|\s+"
)

ROBERTA_SPECIAL_TOKENS: dict[Part, str] = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "mask": "<mask>"}

_BYTES = 256


class ByteLevelBytePairTrainer:
    """Trains byte-level BPE; a space belongs to the word after it."""

    class Config(TrainerConfig):
        """GPT-2's size, RoBERTa's special tokens."""

        vocabulary_size: int = Field(default=50_257, gt=_BYTES)
        """At least the 256 bytes and the special tokens."""
        special_tokens: dict[Part, str] = ROBERTA_SPECIAL_TOKENS
        """Part to token; they get the first ids, in this order. Nothing is ever unknown."""
        pattern: Literal["gpt2", "gpt4"] = "gpt4"
        """How text is cut before merging, as GPT-2 or as GPT-4 does."""
        min_frequency: int = Field(default=2, ge=1)
        """A pair that is seen less often is not merged."""

    name: ClassVar[str] = "byte_bpe"

    def __init__(self, config: Config) -> None:
        self.config = config

    def train(self, batches: Batches) -> Tokenizer:
        """Learns the merges from the texts."""
        engine = tokenizers.Tokenizer(models.BPE())
        engine.pre_tokenizer = _pre_tokenizer(self.config.pattern)
        engine.decoder = decoders.ByteLevel()
        learn(
            engine,
            batches,
            trainers.BpeTrainer(
                vocab_size=self.config.vocabulary_size,
                min_frequency=self.config.min_frequency,
                special_tokens=list(self.config.special_tokens.values()),
                initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                show_progress=False,
            ),
        )
        return finish(engine, self.name, self.config)


def _pre_tokenizer(pattern: str) -> pre_tokenizers.PreTokenizer:
    if pattern == "gpt2":
        return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_GPT4_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
