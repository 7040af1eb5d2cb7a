"""BERT's own objective: masked tokens, and whether the second segment follows the first.

Follows google-research/bert (create_pretraining_data.py, run_pretraining.py), but several examples share a
row; and unless `dupe_factor` says otherwise, tokens are hidden anew in every pass.
"""

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from prolepsis.errors import ProlepsisError
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.examples import SegmentPairExamples
from prolepsis.text.bert.heads import BertForPretraining
from prolepsis.text.bert.masking import num_predictions
from prolepsis.text.bert.objective import Measure, Measures
from prolepsis.text.bert.objectives.masked import (
    MaskedTokenObjective,
    accuracy,
    cross_entropy,
    measure_masked_tokens,
)
from prolepsis.text.bert.packed import MaskedBatch, PackedPlan
from prolepsis.text.bert.segment_pairs import SentenceTable, plan_segment_pairs
from prolepsis.text.token_shards import TokenSplit


class MaskedLanguageModelNextSentence(MaskedTokenObjective):
    """Hide 15 % of the tokens and predict them; predict whether segment B follows A."""

    name = "mlm_nsp"

    class Config(BaseModel):
        """BERT's values for sequences of 128."""

        model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

        max_length: int = Field(128, ge=5)
        """Tokens in a row, and the most in an example."""
        max_predictions: int = Field(20, ge=1)
        """The most tokens hidden in one example (BERT: 20 at 128, 80 at 512)."""
        mlm_probability: float = Field(0.15, gt=0, lt=1)
        """Share of an example's tokens that are hidden."""
        short_sequence_probability: float = Field(0.1, ge=0, le=1)
        """Share of documents cut into shorter examples than would fit."""
        dupe_factor: int | None = Field(None, ge=1)
        """So many fixed copies of the corpus, each cut and masked its own way, are taken in turn (BERT: 10);
        null: no pass repeats another."""
        output_bias: Literal["zeros", "token_frequencies"] = "zeros"
        """Where the output's bias starts: at zeros, as BERT's, or so that tokens are guessed by frequency."""

    def examples(self, split: TokenSplit, seed: int, pass_index: int) -> SegmentPairExamples:
        pairs = plan_segment_pairs(
            SentenceTable.of(split),
            max_length=self.max_length,
            short_sequence_probability=self.config.short_sequence_probability,
            seed=seed,
            pass_index=pass_index,
            swapped=self.swapped,
        )
        return SegmentPairExamples(split, pairs, self.tokenizer)

    swapped = False
    """Whether pairs that do not follow each other are neighbours in the wrong order."""

    def plan(self, split: TokenSplit, seed: int, pass_index: int) -> PackedPlan:
        copies = self.config.dupe_factor
        return super().plan(split, seed, pass_index if copies is None else pass_index % copies)

    def build_model(self, config: BertConfig, token_counts: NDArray[np.int64]) -> BertForPretraining:
        if config.type_vocab_size < 2:
            raise ProlepsisError(
                "Segment pairs need two token types.", where="model.type_vocab_size", remedy="Set it to 2."
            )
        config.check_fits(self.tokenizer.vocabulary_size, self.max_length)
        model = BertForPretraining(config)
        if self.config.output_bias == "token_frequencies":
            model.masked_tokens.start_from_counts(token_counts)
        return model

    def num_predictions(self, length: int) -> int:
        return num_predictions(length, self.config.mlm_probability, self.config.max_predictions)

    def measure(self, model: Any, batch: MaskedBatch) -> Measures:
        hidden = model.encode(batch)
        masked = measure_masked_tokens(model.masked_logits(hidden[batch.masked_positions]), batch)
        pairs = model.sentence_pairs(hidden[batch.first_positions])
        return Measures(
            losses={**masked.losses, "next_sentence_loss": cross_entropy(pairs, batch.labels)},
            others={
                **masked.others,
                "next_sentence_accuracy": accuracy(pairs, batch.labels),
                # What always answering "random" would score: more than half, since a single sentence at the
                # end of a document can have no true successor.
                "random_next_share": Measure(batch.labels.sum(), len(batch.labels)),
            },
        )

    def num_targets(self, batch: MaskedBatch) -> dict[str, int]:
        return {**super().num_targets(batch), "next_sentence_loss": len(batch.labels)}

    def for_validation(self) -> Self:
        # A limit on the predictions would hide fewer than the share by which models are compared.
        validation = super().for_validation()
        config = validation.config.model_copy(update={"max_predictions": self.max_length})
        return type(self)(config, self.tokenizer)

    def shortened(self, max_length: int) -> Self:
        update = {
            "max_length": max_length,
            "max_predictions": max(1, round(self.config.max_predictions * max_length / self.max_length)),
        }
        return type(self)(self.config.model_copy(update=update), self.tokenizer)
