"""ELECTRA's objective: find the tokens that a small generator has replaced (Clark et al. 2020).

Follows google-research/electra (run_pretraining.py, pretrain_helpers.py). A generator, a quarter as wide, is
trained on masked tokens; what it draws for them goes to the discriminator, the encoder that is pretrained,
which says of every token whether it is the original. Two accidents of the original are left out: it puts the
mean of two draws' ids where a position was drawn twice, and caps the hidden tokens of very short rows.
"""

import zlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn
from torch.nn import functional

from prolepsis.errors import ProlepsisError
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.contiguous_segments import ContiguousSegmentExamples, plan_contiguous_segments
from prolepsis.text.bert.heads import MaskedTokenHead
from prolepsis.text.bert.masking import MaskedTokens
from prolepsis.text.bert.model import ACTIVATIONS, BertEncoder, initialise
from prolepsis.text.bert.objective import Measure, Measures
from prolepsis.text.bert.objectives.masked import MaskedTokenObjective, measure_masked_tokens
from prolepsis.text.bert.packed import MaskedBatch, PackedPlan
from prolepsis.text.bert.segment_pairs import SentenceTable
from prolepsis.text.token_shards import TokenSplit

_MASK_SHARE = 0.85


@dataclass(frozen=True)
class ElectraBatch(MaskedBatch):
    """Rows with hidden tokens, some of them several times.

    Attributes:
        real_positions: int64 [R], where tokens are that are not padding, counted through all rows.
    """

    real_positions: Tensor


@dataclass(frozen=True)
class ElectraPlan(PackedPlan):
    """A pass over a split whose batches say which of their tokens are real."""

    def batch(self, rows: NDArray[np.int64]) -> ElectraBatch:
        tensors, _ = self._fill(rows)
        real = torch.nonzero(tensors["example_numbers"].flatten() >= 0).squeeze(1)
        return ElectraBatch(**tensors, real_positions=real)


class ReplacedTokenHead(nn.Module):
    """How likely a token was replaced, as a logit."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[config.hidden_act]
        self.transform = nn.Linear(config.hidden_size, config.hidden_size)
        self.output = nn.Linear(config.hidden_size, 1)

    def forward(self, vectors: Tensor) -> Tensor:
        """Returns [n] for vectors [n, hidden_size]."""
        logits: Tensor = self.output(self.activation(self.transform(vectors)))
        return logits.squeeze(-1)


class ElectraForPretraining(nn.Module):
    """A discriminator, whose encoder is the one that is pretrained, and a generator on the same embeddings.

    Args:
        config: the discriminator's.
        generator_config: of `generator_config`.
    """

    def __init__(self, config: BertConfig, generator_config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = BertEncoder(config)
        self.discriminator = ReplacedTokenHead(config)
        self.generator = BertEncoder(generator_config, embeddings=self.encoder.embeddings)
        self.masked_tokens = MaskedTokenHead(generator_config)
        initialise(self, config.initializer_range)

    def masked_logits(self, vectors: Tensor) -> Tensor:
        """Scores of every token of the vocabulary, [n, vocab_size], for the generator's outputs."""
        logits: Tensor = self.masked_tokens(vectors, self.encoder.embeddings.tokens.weight)
        return logits

    def predict_masked(self, batch: MaskedBatch) -> Tensor:
        """The generator's scores of every token for the hidden tokens of a batch, [M, vocab_size]."""
        mask = self.generator.mask(batch.example_numbers)
        hidden: Tensor = self.generator(batch.token_ids, batch.token_types, batch.positions, mask)
        return self.masked_logits(hidden.flatten(0, 1)[batch.masked_positions])

    def detect(self, token_ids: Tensor, batch: ElectraBatch) -> Tensor:
        """Logits of having been replaced, [R], for the real tokens of rows with other tokens in them.

        Args:
            token_ids: int64 [rows, length].
        """
        mask = self.encoder.mask(batch.example_numbers)
        hidden: Tensor = self.encoder(token_ids, batch.token_types, batch.positions, mask)
        logits: Tensor = self.discriminator(hidden.flatten(0, 1)[batch.real_positions])
        return logits


class ElectraObjective(MaskedTokenObjective):
    """Let a generator replace 15 % of the tokens; say of every token whether it was replaced.

    Positions are drawn with replacement; of the draws, 85 % make theirs a [MASK] in the generator's input and
    15 % leave it as it is. A token counts as replaced only if it is another one than before.
    """

    name = "electra"

    class Config(BaseModel):
        """The values of ELECTRA-small, whose encoder has `embedding_size: 128`."""

        model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

        max_length: int = Field(128, ge=5)
        """Tokens in a row, and the most in an example."""
        mlm_probability: float = Field(0.15, gt=0, lt=1)
        """Share of an example's tokens that are drawn to be replaced (ELECTRA-large: .25)."""
        single_segment_probability: float = Field(0.1, ge=0, le=1)
        """Share of examples that are not divided in two."""
        random_length_probability: float = Field(0.05, ge=0, le=1)
        """Share of examples that are cut shorter than would fit."""
        generator_size: float = Field(0.25, gt=0, le=1)
        """The generator's width over the encoder's (ELECTRA-base: .33333)."""
        generator_layers: float = Field(1.0, gt=0, le=1)
        """The generator's layers over the encoder's."""
        discriminator_weight: float = Field(50.0, ge=0)
        """What the loss of finding replaced tokens is multiplied by."""
        output_bias: Literal["zeros", "token_frequencies"] = "zeros"
        """Where the bias of the generator's output starts: at zeros, or so that tokens are guessed by
        frequency."""

    def examples(self, split: TokenSplit, seed: int, pass_index: int) -> ContiguousSegmentExamples:
        segments = plan_contiguous_segments(
            SentenceTable.of(split),
            max_length=self.max_length,
            single_segment_probability=self.config.single_segment_probability,
            random_length_probability=self.config.random_length_probability,
            seed=seed,
            pass_index=pass_index,
        )
        return ContiguousSegmentExamples(split, segments, self.tokenizer)

    def build_model(self, config: BertConfig, token_counts: NDArray[np.int64]) -> ElectraForPretraining:
        if config.type_vocab_size < 2:
            raise ProlepsisError(
                "Two segments need two token types.", where="model.type_vocab_size", remedy="Set it to 2."
            )
        config.check_fits(self.tokenizer.vocabulary_size, self.max_length)
        generator = generator_config(config, self.config.generator_size, self.config.generator_layers)
        model = ElectraForPretraining(config, generator)
        if self.config.output_bias == "token_frequencies":
            model.masked_tokens.start_from_counts(token_counts)
        return model

    def plan(self, split: TokenSplit, seed: int, pass_index: int) -> ElectraPlan:
        examples = self.examples(split, seed, pass_index)
        pad_id = self.tokenizer.special_ids["pad"]
        return ElectraPlan.of(examples, self.corrupt, self.max_length, pad_id, seed, pass_index)

    def corrupt(self, token_ids: NDArray[np.int64], random: np.random.Generator) -> MaskedTokens:
        """What the generator sees; a position is as often among those to predict as it was drawn."""
        candidates = np.flatnonzero(self.is_candidate(token_ids))
        positions = np.sort(random.choice(candidates, self.num_predictions(len(token_ids))))
        becomes_mask = random.random(len(positions)) < _MASK_SHARE
        masked = token_ids.copy()
        masked[positions[becomes_mask]] = self.tokenizer.special_ids["mask"]
        return MaskedTokens(masked, positions, token_ids[positions])

    def measure(self, model: Any, batch: ElectraBatch) -> Measures:
        """In evaluation mode, the same batch and weights give the same replacements."""
        generated = model.predict_masked(batch)
        masked = measure_masked_tokens(generated, batch)
        random = None if model.training else _generator_of(batch)
        token_ids, is_replaced = replace_tokens(batch, sample_tokens(generated.detach(), random))
        truth = is_replaced.flatten()[batch.real_positions]
        detection = measure_detection(model.detect(token_ids, batch), truth, complete=not model.training)
        loss = detection["replaced_token_loss"]
        weighted = Measure(self.config.discriminator_weight * loss.total, loss.count)
        return Measures(
            losses={**masked.losses, "weighted_replaced_token_loss": weighted},
            others={**masked.others, **detection},
        )

    def num_targets(self, batch: ElectraBatch) -> dict[str, int]:
        return {**super().num_targets(batch), "weighted_replaced_token_loss": len(batch.real_positions)}


def generator_config(config: BertConfig, size: float, layers: float) -> BertConfig:
    """The shape of the generator for an encoder: narrower layers, the same embeddings.

    Args:
        size: what width, heads and the feed-forward network's width are multiplied by.
        layers: what the number of layers is multiplied by.

    Raises:
        ProlepsisError: there is no such encoder, for example since the heads do not divide the width.
    """

    def scaled(number: int, factor: float) -> int:
        return max(1, round(number * factor))

    width = scaled(config.hidden_size, size)
    update = {
        "hidden_size": width,
        "num_attention_heads": scaled(config.num_attention_heads, size),
        "intermediate_size": scaled(config.intermediate_size, size),
        "num_hidden_layers": scaled(config.num_hidden_layers, layers),
        "embedding_size": None if config.embedding_width == width else config.embedding_width,
    }
    try:
        return BertConfig(**{**config.model_dump(), **update})
    except ValidationError as error:
        raise ProlepsisError(
            f"The generator's shape would be impossible: {error.errors()[0]['msg']}.",
            where="objective.config.generator_size",
            remedy="Choose another generator_size or generator_layers, or a model that they divide evenly.",
        ) from error


def sample_tokens(logits: Tensor, random: torch.Generator | None) -> Tensor:
    """A token for each row of logits [M, vocab_size], drawn by its probability, int64 [M].

    The original takes the largest of the logits with Gumbel noise: the same draw, for a random number per
    logit instead of one per row, which on a CPU takes six times as long.

    Args:
        random: None takes torch's own generator, whose state a checkpoint holds.
    """
    cumulative = logits.float().softmax(dim=-1).cumsum(dim=-1)
    drawn = torch.rand(len(logits), 1, device=logits.device, generator=random) * cumulative[:, -1:]
    # Of logits that are no numbers nothing can be drawn; the loss must live to say so.
    return torch.searchsorted(cumulative, drawn).squeeze(1).clamp(max=logits.shape[-1] - 1)


def replace_tokens(batch: MaskedBatch, sampled: Tensor) -> tuple[Tensor, Tensor]:
    """Puts tokens where some were hidden: the new token ids, and where they differ from the original ones.

    Both are [rows, length]. Of the tokens for a position drawn several times, the first is taken.
    """
    positions = batch.masked_positions
    original = batch.token_ids.flatten().index_copy(0, positions, batch.masked_targets)
    firsts = torch.searchsorted(positions, positions)
    replaced = original.index_copy(0, positions, sampled[firsts])
    shape = batch.token_ids.shape
    return replaced.view(shape), (replaced != original).view(shape)


def measure_detection(logits: Tensor, truth: Tensor, *, complete: bool) -> dict[str, Measure]:
    """The loss of finding replaced tokens, how many answers are right, and what always saying no would score.

    Args:
        logits, truth: of every real token, [R].
        complete: precision and recall too. How many tokens were replaced only the device knows, and a
            training step need not wait to hear it.
    """
    loss = functional.binary_cross_entropy_with_logits(logits.float(), truth.float(), reduction="sum")
    found = logits.detach() > 0
    measures = {
        "replaced_token_loss": Measure(loss, len(truth)),
        "replaced_token_accuracy": Measure((found == truth).sum(), len(truth)),
        "original_share": Measure((~truth).sum(), len(truth)),
    }
    if complete:
        right = (found & truth).sum()
        measures["replaced_token_precision"] = Measure(right, int(found.sum()))
        measures["replaced_token_recall"] = Measure(right, int(truth.sum()))
    return measures


def _generator_of(batch: MaskedBatch) -> torch.Generator:
    """A generator that depends on nothing but what is hidden in the batch."""
    content = batch.masked_targets.cpu().numpy().tobytes()
    return torch.Generator(batch.masked_targets.device).manual_seed(zlib.crc32(content))
