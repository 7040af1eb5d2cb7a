"""What the objectives share that hide tokens and ask the encoder for them."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from prolepsis.errors import ProlepsisError
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.examples import Examples
from prolepsis.text.bert.heads import BertForPretraining
from prolepsis.text.bert.masking import MaskedTokens, mask_tokens, num_predictions
from prolepsis.text.bert.objective import Measure, Measures
from prolepsis.text.bert.packed import MaskedBatch, PackedPlan
from prolepsis.text.token_shards import TokenSplit
from prolepsis.text.tokenizers import Tokenizer

VALIDATION_PROBABILITY = 0.15
"""The share of hidden tokens by which models are compared."""


class MaskedTokenObjective(ABC):
    """A `PretrainingObjective` over rows of packed examples; a subclass says what an example is.

    Its `config` has at least `max_length`, `mlm_probability` and `output_bias`.
    """

    name: ClassVar[str]
    compares_with_unigram_entropy: ClassVar[bool] = True

    def __init__(self, config: Any, tokenizer: Tokenizer) -> None:
        require_special_tokens(self.name, tokenizer, ("pad", "cls", "sep", "mask"))
        self.config = config
        self.tokenizer = tokenizer

    @property
    def max_length(self) -> int:
        return int(self.config.max_length)

    @abstractmethod
    def examples(self, split: TokenSplit, seed: int, pass_index: int) -> Examples:
        """What one pass over the split is cut into."""

    def build_model(self, config: BertConfig, token_counts: NDArray[np.int64]) -> Any:
        config.check_fits(self.tokenizer.vocabulary_size, self.max_length)
        model = BertForPretraining(config, with_sentence_pairs=False)
        if self.config.output_bias == "token_frequencies":
            model.masked_tokens.start_from_counts(token_counts)
        return model

    def plan(self, split: TokenSplit, seed: int, pass_index: int) -> PackedPlan:
        examples = self.examples(split, seed, pass_index)
        pad_id = self.tokenizer.special_ids["pad"]
        return PackedPlan.of(examples, self.corrupt, self.max_length, pad_id, seed, pass_index)

    def corrupt(self, token_ids: NDArray[np.int64], random: np.random.Generator) -> MaskedTokens:
        """Hides tokens of an example: by default single ones, as BERT does."""
        return mask_tokens(
            token_ids,
            np.flatnonzero(self.is_candidate(token_ids)),
            self.num_predictions(len(token_ids)),
            mask_id=self.tokenizer.special_ids["mask"],
            vocabulary_size=self.tokenizer.vocabulary_size,
            random=random,
        )

    def num_predictions(self, length: int) -> int:
        """How many tokens of an example of `length` tokens are hidden."""
        return num_predictions(length, self.config.mlm_probability)

    def is_candidate(self, token_ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which tokens may be hidden: all but the objective's own [CLS] and [SEP]."""
        special = self.tokenizer.special_ids
        return np.asarray((token_ids != special["cls"]) & (token_ids != special["sep"]))

    def measure(self, model: Any, batch: Any) -> Measures:
        return measure_masked_tokens(model.predict_masked(batch), batch)

    def num_targets(self, batch: Any) -> dict[str, int]:
        return {"masked_loss": len(batch.masked_targets)}

    def for_validation(self) -> Self:
        config = self.config.model_copy(update={"mlm_probability": VALIDATION_PROBABILITY})
        return type(self)(config, self.tokenizer)

    def shortened(self, max_length: int) -> Self:
        return type(self)(self.config.model_copy(update={"max_length": max_length}), self.tokenizer)


def require_special_tokens(objective: str, tokenizer: Tokenizer, parts: tuple[str, ...]) -> None:
    """Raises ProlepsisError if the tokenizer lacks a special token that the objective needs."""
    missing = [part for part in parts if part not in tokenizer.special_ids]
    if missing:
        raise ProlepsisError(
            f"The objective {objective} needs special tokens that the tokenizer lacks: {', '.join(missing)}.",
            where=f"tokenizer {tokenizer.plugin} ({tokenizer.hash})",
            remedy="Train a tokenizer that has them, such as wordpiece.",
        )


def measure_masked_tokens(logits: Tensor, batch: MaskedBatch) -> Measures:
    """The loss on the hidden tokens, and how many of them were found."""
    return Measures(
        losses={"masked_loss": cross_entropy(logits, batch.masked_targets)},
        others={"masked_accuracy": accuracy(logits, batch.masked_targets)},
    )


def cross_entropy(logits: Tensor, targets: Tensor) -> Measure:
    """Of logits [n, classes] and classes int64 [n]."""
    return Measure(functional.cross_entropy(logits.float(), targets, reduction="sum"), len(targets))


def accuracy(logits: Tensor, targets: Tensor) -> Measure:
    """Of logits [n, classes] and classes int64 [n]."""
    # The largest logit is the target's: several times as fast on a CPU as looking for where the largest is.
    of_targets = logits.detach().gather(-1, targets[:, None]).squeeze(-1)
    return Measure((of_targets == logits.detach().amax(dim=-1)).sum(), len(targets))
