"""SpanBERT's objective: masked spans, predicted in place and from their boundary (Joshi et al. 2020).

Follows facebookresearch/SpanBERT (pretraining/fairseq: data/masking.py, models/pair_bert.py) with the paper's
values where the code's defaults are others (`geometric_p` .3, `replacement_method` word_piece, no boundary
loss). An example is one segment of full sentences, and no question is asked about pairs.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.heads import BertForPretraining, MaskedTokenHead
from prolepsis.text.bert.masking import MaskedTokens, continues_word, group_words
from prolepsis.text.bert.masking_spans import (
    choose_spans,
    geometric_probabilities,
    hide_spans,
    run_numbers,
)
from prolepsis.text.bert.model import ACTIVATIONS, initialise
from prolepsis.text.bert.objective import Measures
from prolepsis.text.bert.objectives.masked import accuracy, cross_entropy, measure_masked_tokens
from prolepsis.text.bert.objectives.roberta import RobertaObjective
from prolepsis.text.bert.packed import MaskedBatch, PackedPlan, joined
from prolepsis.text.token_shards import TokenSplit
from prolepsis.text.tokenizers import Tokenizer


@dataclass(frozen=True)
class BoundaryTargets:
    """Hidden tokens to be predicted from the tokens around their span, int64 [P] each.

    Attributes:
        left, right: where the tokens before and behind the span stand.
        places: the tokens' places in their span, from 0.
        targets: the tokens.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    places: NDArray[np.int64]
    targets: NDArray[np.int64]


def boundary_targets(masked: MaskedTokens, max_pair_targets: int) -> BoundaryTargets:
    """The first `max_pair_targets` tokens of each span in `[CLS] text [SEP]` that has text on both sides."""
    positions = masked.positions
    spans = run_numbers(positions)
    left = positions[np.diff(spans, prepend=-1) > 0][spans] - 1
    right = positions[np.diff(spans, append=-1) != 0][spans] + 1
    places = positions - left - 1
    asked = (left > 0) & (right < len(masked.token_ids) - 1) & (places < max_pair_targets)
    return BoundaryTargets(left[asked], right[asked], places[asked], masked.targets[asked])


@dataclass(frozen=True)
class SpanBatch(MaskedBatch):
    """Rows with hidden spans.

    Attributes:
        boundary_left, boundary_right: int64 [P], where the tokens around a span stand, counted through all
            rows.
        boundary_places: int64 [P], a hidden token's place in its span, from 0.
        boundary_targets: int64 [P], the token.
    """

    boundary_left: Tensor
    boundary_right: Tensor
    boundary_places: Tensor
    boundary_targets: Tensor


@dataclass(frozen=True)
class SpanPlan(PackedPlan):
    """A pass over a split whose batches also ask for the tokens of a span by its boundary."""

    max_pair_targets: int = 20

    def batch(self, rows: NDArray[np.int64]) -> SpanBatch:
        tensors, placed = self._fill(rows)
        asked = [(one.start, boundary_targets(one.masked, self.max_pair_targets)) for one in placed]
        boundaries = {
            "boundary_left": joined([of.left + start for start, of in asked]),
            "boundary_right": joined([of.right + start for start, of in asked]),
            "boundary_places": joined([of.places for _, of in asked]),
            "boundary_targets": joined([of.targets for _, of in asked]),
        }
        return SpanBatch(**tensors, **{name: torch.from_numpy(values) for name, values in boundaries.items()})


class SpanBoundaryHead(nn.Module):
    """Scores of every token, from the two vectors around a span and a place in it.

    Twice a linear map, the activation and a LayerNorm; then, as for masked tokens, the embeddings of the
    tokens.
    """

    def __init__(self, config: BertConfig, num_places: int, place_size: int) -> None:
        super().__init__()
        self.places = nn.Embedding(num_places, place_size)
        self.activation = ACTIVATIONS[config.hidden_act]
        self.combine = nn.Linear(2 * config.hidden_size + place_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.tokens = MaskedTokenHead(config)

    def forward(self, left: Tensor, right: Tensor, places: Tensor, token_embeddings: Tensor) -> Tensor:
        """Returns [n, vocab_size] for vectors [n, hidden_size] and places int64 [n]."""
        known = torch.cat([left, right, self.places(places)], dim=-1)
        combined = self.norm(self.activation(self.combine(known)))
        logits: Tensor = self.tokens(combined, token_embeddings)
        return logits


class SpanBertForPretraining(BertForPretraining):
    """The encoder with two heads for hidden tokens: by their own vectors, and by their span's boundary."""

    def __init__(self, config: BertConfig, num_places: int, place_size: int) -> None:
        super().__init__(config, with_sentence_pairs=False)
        self.span_boundary = SpanBoundaryHead(config, num_places, place_size)
        initialise(self.span_boundary, config.initializer_range)

    def boundary_logits(self, vectors: Tensor, batch: SpanBatch) -> Tensor:
        """Scores of every token for the tokens asked for by their boundary, [P, vocab_size].

        Args:
            vectors: of `encode`.
        """
        logits: Tensor = self.span_boundary(
            vectors[batch.boundary_left],
            vectors[batch.boundary_right],
            batch.boundary_places,
            self.encoder.embeddings.tokens.weight,
        )
        return logits


class SpanBertObjective(RobertaObjective):
    """Hide 15 % of the tokens in spans of words; predict them in place and from what stands around the span.

    A span is hidden as a whole: 80 % become [MASK], 10 % stay, 10 % become random tokens of the corpus, drawn
    by frequency. Spans at the beginning or the end of an example are predicted in place only.
    """

    name = "spanbert"

    class Config(RobertaObjective.Config):
        """SpanBERT's values; its rows have 512 tokens."""

        geometric_p: float = Field(0.2, gt=0, lt=1)
        """The chance of a span to end with any of its words; the longest are drawn again."""
        max_span_length: int = Field(10, ge=1)
        """The most words in a span before it is merged with others."""
        replacement_method: Literal["span", "word_piece"] = "span"
        """What shares one fate of the 80/10/10: a whole span, or every token by itself."""
        max_pair_targets: int = Field(20, ge=1)
        """Tokens of a span, from its first on, that are predicted from its boundary."""
        pair_positional_embedding_size: int = Field(200, ge=1)
        """Numbers that stand for a token's place in its span."""

    def __init__(self, config: Config, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        self._continues = continues_word(tokenizer)
        self._probabilities = geometric_probabilities(config.geometric_p, config.max_span_length)

    def build_model(self, config: BertConfig, token_counts: NDArray[np.int64]) -> SpanBertForPretraining:
        config.check_fits(self.tokenizer.vocabulary_size, self.max_length)
        model = SpanBertForPretraining(
            config, self.config.max_pair_targets, self.config.pair_positional_embedding_size
        )
        if self.config.output_bias == "token_frequencies":
            model.masked_tokens.start_from_counts(token_counts)
            model.span_boundary.tokens.start_from_counts(token_counts)
        return model

    def plan(self, split: TokenSplit, seed: int, pass_index: int) -> SpanPlan:
        examples = self.examples(split, seed, pass_index)
        pad_id = self.tokenizer.special_ids["pad"]
        corrupt = partial(self._hide_spans, split)
        plan = SpanPlan.of(examples, corrupt, self.max_length, pad_id, seed, pass_index)
        return replace(plan, max_pair_targets=self.config.max_pair_targets)

    def num_predictions(self, length: int) -> int:
        """Of the text without [CLS] and [SEP], rounded up."""
        return int(np.ceil((length - 2) * self.config.mlm_probability))

    def measure(self, model: Any, batch: SpanBatch) -> Measures:
        vectors = model.encode(batch)
        masked = measure_masked_tokens(model.masked_logits(vectors[batch.masked_positions]), batch)
        boundary = model.boundary_logits(vectors, batch)
        return Measures(
            losses={**masked.losses, "span_boundary_loss": cross_entropy(boundary, batch.boundary_targets)},
            others={
                **masked.others,
                "span_boundary_accuracy": accuracy(boundary, batch.boundary_targets),
            },
        )

    def num_targets(self, batch: SpanBatch) -> dict[str, int]:
        return {**super().num_targets(batch), "span_boundary_loss": len(batch.boundary_targets)}

    def _hide_spans(
        self, split: TokenSplit, token_ids: NDArray[np.int64], random: np.random.Generator
    ) -> MaskedTokens:
        words = group_words(token_ids, self.is_candidate(token_ids), self._continues)
        sizes = [len(word) for word in words]
        chosen = choose_spans(sizes, self.num_predictions(len(token_ids)), self._probabilities, random)
        return hide_spans(
            token_ids,
            joined(words)[chosen],
            mask_id=self.tokenizer.special_ids["mask"],
            draw_tokens=partial(draw_from_corpus, split),
            whole_spans=self.config.replacement_method == "span",
            random=random,
        )


def draw_from_corpus(split: TokenSplit, count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Tokens at random places of the split, int64 [count]: draws from the distribution of its tokens."""
    places = random.integers(split.num_tokens, size=count)
    documents = np.searchsorted(split.offsets, places, side="right") - 1
    within = places - split.offsets[documents]
    drawn = [split.document(int(number))[place] for number, place in zip(documents, within, strict=True)]
    return np.array(drawn, np.int64)
