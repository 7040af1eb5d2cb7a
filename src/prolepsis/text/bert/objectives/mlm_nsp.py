"""BERT's own objective: masked tokens, and whether the second segment follows the first.

Follows google-research/bert (create_pretraining_data.py, run_pretraining.py) but for two things: tokens are
hidden anew in every pass instead of in ten fixed copies of the corpus, and several examples share a row.
"""

from dataclasses import dataclass, fields
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional

from prolepsis.errors import ProlepsisError
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.masking import MaskedTokens, mask_tokens, num_predictions
from prolepsis.text.bert.model import BertForPretraining, block_attention_mask
from prolepsis.text.bert.objective import Measure, Measures
from prolepsis.text.bert.packing import PackedRows, pack_best_fit
from prolepsis.text.bert.segment_pairs import SegmentPairs, SentenceTable, plan_segment_pairs
from prolepsis.text.token_shards import TokenSplit
from prolepsis.text.tokenizers import Tokenizer

_VALIDATION_PROBABILITY = 0.15
# Streams of random numbers that must not repeat one another.
_ROW_ORDER, _MASKS = 0, 1


@dataclass(frozen=True)
class MaskedPairsBatch:
    """Rows of packed segment pairs with hidden tokens.

    The rows have one fixed shape; how many tokens are hidden in them differs a little from batch to batch,
    and the heads see exactly those.

    Attributes:
        token_ids, token_types, positions: int64 [rows, length].
        example_numbers: int64 [rows, length], from 0 in each row; -1 on padding.
        masked_positions: int64 [M], where tokens were hidden, counted through all rows.
        masked_targets: int64 [M], the tokens that stood there.
        first_positions: int64 [N], where the examples' [CLS] stand, counted through all rows.
        is_random_next: int64 [N], 1 where B does not follow A.
    """

    token_ids: Tensor
    token_types: Tensor
    positions: Tensor
    example_numbers: Tensor
    masked_positions: Tensor
    masked_targets: Tensor
    first_positions: Tensor
    is_random_next: Tensor

    def to(self, device: torch.device) -> Self:
        return type(self)(
            **{field.name: getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)}
        )

    @property
    def num_real_tokens(self) -> int:
        return int((self.example_numbers >= 0).sum())


class MaskedLanguageModelNextSentence:
    """Hide 15 % of the tokens and predict them; predict whether segment B follows A."""

    class Config(BaseModel):
        """BERT's values for sequences of 128."""

        model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

        max_length: int = Field(128, ge=5)
        """Tokens in a row, and the most in an example."""
        max_predictions: int = Field(20, ge=1)
        """The most tokens hidden in one example (BERT: 20 at 128, 80 at 512)."""
        masked_lm_probability: float = Field(0.15, gt=0, lt=1)
        """Share of an example's tokens that are hidden."""
        short_sequence_probability: float = Field(0.1, ge=0, le=1)
        """Share of documents cut into shorter examples than would fit."""
        output_bias: Literal["zeros", "token_frequencies"] = "zeros"
        """Where the output's bias starts: at zeros, as BERT's, or so that tokens are guessed by frequency."""

    def __init__(self, config: Config, tokenizer: Tokenizer) -> None:
        missing = [part for part in ("pad", "cls", "sep", "mask") if part not in tokenizer.special_ids]
        if missing:
            raise ProlepsisError(
                f"The objective mlm_nsp needs special tokens that the tokenizer lacks: {', '.join(missing)}.",
                where=f"tokenizer {tokenizer.plugin} ({tokenizer.hash})",
                remedy="Train a tokenizer that has them, such as wordpiece.",
            )
        self.config = config
        self.tokenizer = tokenizer

    @property
    def max_length(self) -> int:
        return self.config.max_length

    def build_model(self, config: BertConfig, token_counts: NDArray[np.int64]) -> BertForPretraining:
        if config.type_vocab_size < 2:
            raise ProlepsisError(
                "Segment pairs need two token types.", where="model.type_vocab_size", remedy="Set it to 2."
            )
        config.check_fits(self.tokenizer.vocabulary_size, self.max_length)
        model = BertForPretraining(config)
        if self.config.output_bias == "token_frequencies":
            model.start_from_counts(token_counts)
        return model

    def plan(self, split: TokenSplit, seed: int, pass_index: int) -> "MaskedPairsPlan":
        pairs = plan_segment_pairs(
            SentenceTable.of(split),
            max_length=self.config.max_length,
            short_sequence_probability=self.config.short_sequence_probability,
            seed=seed,
            pass_index=pass_index,
        )
        rows = pack_best_fit(pairs.lengths, self.config.max_length)
        order = np.random.default_rng((seed, pass_index, _ROW_ORDER)).permutation(len(rows))
        return MaskedPairsPlan(self, split, pairs, rows, order, seed, pass_index)

    def measure(self, model: BertForPretraining, batch: MaskedPairsBatch) -> Measures:
        hidden = model.encoder(
            batch.token_ids,
            batch.token_types,
            batch.positions,
            block_attention_mask(batch.example_numbers),
        ).flatten(0, 1)
        masked = model.masked_logits(hidden[batch.masked_positions])
        following = model.next_sentence_logits(hidden[batch.first_positions])
        return Measures(
            losses={
                "masked_loss": _cross_entropy(masked, batch.masked_targets),
                "next_sentence_loss": _cross_entropy(following, batch.is_random_next),
            },
            others={
                "masked_accuracy": _accuracy(masked, batch.masked_targets),
                "next_sentence_accuracy": _accuracy(following, batch.is_random_next),
                # What always answering "random" would score: more than half, since a single sentence at the
                # end of a document can have no true successor.
                "random_next_share": Measure(batch.is_random_next.sum(), len(batch.is_random_next)),
            },
        )

    def for_validation(self) -> "MaskedLanguageModelNextSentence":
        config = self.config.model_copy(update={"masked_lm_probability": _VALIDATION_PROBABILITY})
        return type(self)(config, self.tokenizer)  # a subclass stays one


@dataclass(frozen=True)
class MaskedPairsPlan:
    """One pass over a split as rows of segment pairs; `order` is the order in which the rows are used."""

    objective: MaskedLanguageModelNextSentence
    split: TokenSplit
    pairs: SegmentPairs
    packed: PackedRows
    order: NDArray[np.int64]
    seed: int
    pass_index: int

    def __len__(self) -> int:
        return len(self.packed)

    @property
    def num_real_tokens(self) -> int:
        return int(self.pairs.lengths.sum())

    def batch(self, rows: NDArray[np.int64]) -> MaskedPairsBatch:
        length = self.objective.max_length
        special = self.objective.tokenizer.special_ids
        token_ids = np.full((len(rows), length), special["pad"], np.int64)
        token_types = np.zeros((len(rows), length), np.int64)
        positions = np.zeros((len(rows), length), np.int64)
        example_numbers = np.full((len(rows), length), -1, np.int64)
        masked_positions, masked_targets = [], []
        first_positions: list[int] = []
        examples: list[int] = []
        for row, planned_row in enumerate(self.order[rows]):
            start = 0
            for number, example in enumerate(self.packed.row(planned_row)):
                tokens, types = self.example(int(example))
                masked = self._mask(tokens, int(example))
                place = slice(start, start + len(tokens))
                token_ids[row, place] = masked.token_ids
                token_types[row, place] = types
                positions[row, place] = np.arange(len(tokens))
                example_numbers[row, place] = number
                masked_positions.append(masked.positions + (row * length + start))
                masked_targets.append(masked.targets)
                first_positions.append(row * length + start)
                examples.append(int(example))
                start += len(tokens)
        return MaskedPairsBatch(
            token_ids=torch.from_numpy(token_ids),
            token_types=torch.from_numpy(token_types),
            positions=torch.from_numpy(positions),
            example_numbers=torch.from_numpy(example_numbers),
            masked_positions=torch.from_numpy(np.concatenate(masked_positions)),
            masked_targets=torch.from_numpy(np.concatenate(masked_targets)),
            first_positions=torch.tensor(first_positions),
            is_random_next=torch.from_numpy(self.pairs.is_random_next[examples].astype(np.int64)),
        )

    def example(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """An example before masking, [CLS] A [SEP] B [SEP], and its types, 0 up to the first [SEP]."""
        pairs, special = self.pairs, self.objective.tokenizer.special_ids
        a = self.split.document(int(pairs.document_a[number]))[pairs.start_a[number] : pairs.stop_a[number]]
        b = self.split.document(int(pairs.document_b[number]))[pairs.start_b[number] : pairs.stop_b[number]]
        separator = (special["sep"],)
        tokens = np.concatenate([(special["cls"],), a, separator, b, separator]).astype(np.int64)
        types = np.zeros(len(tokens), np.int64)
        types[len(a) + 2 :] = 1
        return tokens, types

    def _mask(self, tokens: NDArray[np.int64], number: int) -> MaskedTokens:
        config, special = self.objective.config, self.objective.tokenizer.special_ids
        is_candidate = (tokens != special["cls"]) & (tokens != special["sep"])
        return mask_tokens(
            tokens,
            np.flatnonzero(is_candidate),
            num_predictions(len(tokens), config.masked_lm_probability, config.max_predictions),
            mask_id=special["mask"],
            vocabulary_size=self.objective.tokenizer.vocabulary_size,
            random=np.random.default_rng((self.seed, self.pass_index, _MASKS, number)),
        )


def _cross_entropy(logits: Tensor, targets: Tensor) -> Measure:
    return Measure(functional.cross_entropy(logits.float(), targets, reduction="sum"), len(targets))


def _accuracy(logits: Tensor, targets: Tensor) -> Measure:
    # The largest logit is the target's: several times as fast on a CPU as looking for where the largest is.
    of_targets = logits.detach().gather(-1, targets[:, None]).squeeze(-1)
    return Measure((of_targets == logits.detach().amax(dim=-1)).sum(), len(targets))
