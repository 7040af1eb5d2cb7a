"""ALBERT's objective: masked n-grams, and whether two segments are in order (Lan et al. 2020).

Follows google-research/albert (create_pretraining_data.py). What else makes an ALBERT is the encoder's
shape, which is chosen with the model: `embedding_size: 128` for factorised embeddings, `num_hidden_groups: 1`
for layers that share their weights, `hidden_act: gelu_new`, and in version 2 no dropout.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from prolepsis.text.bert.masking import MaskedTokens, continues_word, group_words
from prolepsis.text.bert.masking_spans import mask_ngrams, ngram_probabilities
from prolepsis.text.bert.objective import Measure, Measures
from prolepsis.text.bert.objectives.masked import accuracy, cross_entropy, measure_masked_tokens
from prolepsis.text.bert.objectives.mlm_nsp import MaskedLanguageModelNextSentence
from prolepsis.text.bert.packed import MaskedBatch
from prolepsis.text.tokenizers import Tokenizer


class AlbertSentenceOrder(MaskedLanguageModelNextSentence):
    """Hide n-grams of whole words and predict them; predict whether the two segments changed places.

    A chunk of a single sentence has nothing to swap: its B comes from a random document, and the label is the
    swapped pairs' 1, as in the original. Each hidden token meets its own 80/10/10.
    """

    name = "albert_sop"
    swapped = True

    class Config(MaskedLanguageModelNextSentence.Config):
        """ALBERT's values for sequences of 512."""

        max_length: int = Field(512, ge=5)
        """Tokens in a row, and the most in an example."""
        max_predictions: int = Field(20, ge=1)
        """The most tokens hidden in one example: at 512, ALBERT's 20 leave 4 % of them hidden, not 15."""
        dupe_factor: int | None = Field(40, ge=1)
        """So many fixed copies of the corpus, each cut and masked its own way, are taken in turn; null: no
        pass repeats another."""
        max_ngram: int = Field(3, ge=1)
        """The most words in an n-gram."""
        favor_shorter_ngram: bool = True
        """n-grams of n words are drawn in proportion to 1 / n; false: with these shares in reverse."""

    def __init__(self, config: Config, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        self._continues = continues_word(tokenizer)
        self._probabilities = ngram_probabilities(config.max_ngram, favor_shorter=config.favor_shorter_ngram)

    def corrupt(self, token_ids: NDArray[np.int64], random: np.random.Generator) -> MaskedTokens:
        return mask_ngrams(
            token_ids,
            group_words(token_ids, self.is_candidate(token_ids), self._continues),
            self.num_predictions(len(token_ids)),
            self._probabilities,
            mask_id=self.tokenizer.special_ids["mask"],
            vocabulary_size=self.tokenizer.vocabulary_size,
            random=random,
        )

    def measure(self, model: Any, batch: MaskedBatch) -> Measures:
        hidden = model.encode(batch)
        masked = measure_masked_tokens(model.masked_logits(hidden[batch.masked_positions]), batch)
        order = model.sentence_pairs(hidden[batch.first_positions])
        return Measures(
            losses={**masked.losses, "sentence_order_loss": cross_entropy(order, batch.labels)},
            others={
                **masked.others,
                "sentence_order_accuracy": accuracy(order, batch.labels),
                # What always answering "not in order" would score: more than half, see above.
                "out_of_order_share": Measure(batch.labels.sum(), len(batch.labels)),
            },
        )

    def num_targets(self, batch: MaskedBatch) -> dict[str, int]:
        return {"masked_loss": len(batch.masked_targets), "sentence_order_loss": len(batch.labels)}
