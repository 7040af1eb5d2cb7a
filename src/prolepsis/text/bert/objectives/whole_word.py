"""BERT's objective with whole words hidden (google-research/bert, `do_whole_word_mask`).

A word ends with its segment; there it goes on behind the [SEP] if the next segment begins with a `##` piece.
"""

import numpy as np
from numpy.typing import NDArray

from prolepsis.text.bert.masking import MaskedTokens, continues_word, group_words, mask_words
from prolepsis.text.bert.objectives.mlm_nsp import MaskedLanguageModelNextSentence
from prolepsis.text.tokenizers import Tokenizer


class WholeWordMasking(MaskedLanguageModelNextSentence):
    """If one piece of a word is hidden, so are the others; each meets its own 80/10/10."""

    name = "whole_word"

    class Config(MaskedLanguageModelNextSentence.Config):
        """BERT's values for sequences of 128."""

    def __init__(self, config: Config, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        self._continues = continues_word(tokenizer)

    def corrupt(self, token_ids: NDArray[np.int64], random: np.random.Generator) -> MaskedTokens:
        return mask_words(
            token_ids,
            group_words(token_ids, self.is_candidate(token_ids), self._continues),
            self.num_predictions(len(token_ids)),
            mask_id=self.tokenizer.special_ids["mask"],
            vocabulary_size=self.tokenizer.vocabulary_size,
            random=random,
        )
