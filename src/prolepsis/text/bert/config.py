"""The shape of an encoder, under the names that Hugging Face's `config.json` uses."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from prolepsis.errors import ProlepsisError


class BertConfig(BaseModel):
    """Sizes, form and regularisation of the encoder; by default BERT-base, uncased (Devlin et al. 2019).

    Attributes:
        hidden_act: `gelu` (exact), `gelu_new` (its tanh approximation, ALBERT's) or `silu`.
        gated_feed_forward: the activation of one projection multiplies another: GEGLU, or SwiGLU with `silu`
            (Shazeer 2020). A third more weights in the feed-forward network at the same `intermediate_size`.
        norm_first: normalise what enters a sublayer, and once more at the end (pre-norm, Xiong et al. 2020);
            BERT normalises what leaves it.
        position_embedding_type: `absolute`, learned and added to the input, or `rotary` (Su et al. 2021).
        embedding_size: of the token embeddings where it differs from `hidden_size`, which they are then
            projected to (ALBERT's and ELECTRA's factorisation); null: the same.
        num_hidden_groups: layers in a row that share their weights form a group (ALBERT: one group); null:
            each layer has its own.
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
    hidden_act: Literal["gelu", "gelu_new", "silu"] = "gelu"
    gated_feed_forward: bool = False
    norm_first: bool = False
    position_embedding_type: Literal["absolute", "rotary"] = "absolute"
    rotary_base: float = Field(10_000.0, gt=1)
    embedding_size: int | None = Field(None, ge=1)
    num_hidden_groups: int | None = Field(None, ge=1)

    @property
    def embedding_width(self) -> int:
        """Numbers in a token's embedding."""
        return self.embedding_size or self.hidden_size

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_attention_heads

    @property
    def num_layer_groups(self) -> int:
        """Layers with weights of their own."""
        return self.num_hidden_groups or self.num_hidden_layers

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size ({self.hidden_size}) must be a multiple of "
                f"num_attention_heads ({self.num_attention_heads})"
            )
        if self.position_embedding_type == "rotary" and self.head_size % 2:
            raise ValueError(
                f"rotary positions turn pairs of numbers, so hidden_size / num_attention_heads "
                f"({self.head_size}) must be even"
            )
        if self.num_hidden_layers % self.num_layer_groups:
            raise ValueError(
                f"num_hidden_layers ({self.num_hidden_layers}) must be a multiple of "
                f"num_hidden_groups ({self.num_hidden_groups})"
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
        if max_length > self.max_position_embeddings and self.position_embedding_type == "absolute":
            raise ProlepsisError(
                f"Rows of {max_length} tokens do not fit {self.max_position_embeddings} position embeddings.",
                where="model.max_position_embeddings",
                remedy=f"Set it to at least {max_length}, or choose a smaller max_length for the objective.",
            )


class LengthWarmup(BaseModel):
    """Shorter rows at first, as BERT has 128 tokens for 90 % of its steps and then 512.

    Attributes:
        max_length: tokens in a row of the first part.
        share: of all optimizer steps.
        batch_size: rows of a batch in the first part; null: as many more as are needed for the same number of
            tokens, `batch_size * (the objective's max_length // max_length)`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_length: int = Field(ge=5)
    share: float = Field(gt=0, lt=1)
    batch_size: int | None = Field(None, ge=1)
