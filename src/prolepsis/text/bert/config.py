"""The shape of a BERT, under the names that Hugging Face's `config.json` uses."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from prolepsis.errors import ProlepsisError


class BertConfig(BaseModel):
    """Sizes and regularisation of the encoder; the defaults are BERT-base, uncased (Devlin et al. 2019).

    The activation is GELU (exact), the positions are learned, the normalisation follows each sublayer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    vocab_size: int = Field(30522, ge=1)
    hidden_size: int = Field(768, ge=1)
    num_hidden_layers: int = Field(12, ge=1)
    num_attention_heads: int = Field(12, ge=1)
    intermediate_size: int = Field(3072, ge=1)
    max_position_embeddings: int = Field(512, ge=1)
    type_vocab_size: int = Field(2, ge=1)
    hidden_dropout_prob: float = Field(0.1, ge=0, lt=1)
    attention_probs_dropout_prob: float = Field(0.1, ge=0, lt=1)
    initializer_range: float = Field(0.02, gt=0)
    layer_norm_eps: float = Field(1e-12, gt=0)

    @model_validator(mode="after")
    def _check_heads(self) -> Self:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size ({self.hidden_size}) must be a multiple of "
                f"num_attention_heads ({self.num_attention_heads})"
            )
        return self

    def check_fits(self, vocabulary_size: int, max_length: int) -> None:
        """Refuses a vocabulary or a row length that this model has no embeddings for.

        Raises:
            ProlepsisError: the message names the key to change.
        """
        if vocabulary_size > self.vocab_size:
            raise ProlepsisError(
                f"The tokenizer has {vocabulary_size} tokens, the model embeds only {self.vocab_size}.",
                where="model.vocab_size",
                remedy=f"Set model.vocab_size to at least {vocabulary_size}, or train a smaller tokenizer.",
            )
        if max_length > self.max_position_embeddings:
            raise ProlepsisError(
                f"Rows of {max_length} tokens do not fit {self.max_position_embeddings} position embeddings.",
                where="model.max_position_embeddings",
                remedy=f"Set it to at least {max_length}, or choose a smaller max_length for the objective.",
            )
