"""A Transformer decoder over `BertEncoder`: what reconstructs a text from its corrupted form.

It has the encoder's form (`BertConfig`: norm before or after, positions, activation and gate), but weights of
its own for every layer, and shares the encoder's embeddings of tokens, as BART and T5 do.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from prolepsis.text.bert.attention import Attention, rotary_phases
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.heads import log_frequencies
from prolepsis.text.bert.model import FeedForward
from prolepsis.training.dropout import Dropout


class Decoder(nn.Module):
    """Target tokens, and the encoder's vectors of the source, to a vector for each next target token."""

    def __init__(self, config: BertConfig, num_layers: int) -> None:
        super().__init__()
        self.config = config
        width = config.embedding_width
        self.positions = (
            nn.Embedding(config.max_position_embeddings, width)
            if config.position_embedding_type == "absolute"
            else None
        )
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.projection = nn.Linear(width, config.hidden_size) if config.embedding_size else None
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(num_layers))
        self.final_norm = (
            nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps) if config.norm_first else None
        )

    def forward(
        self,
        token_ids: Tensor,
        positions: Tensor,
        source: Tensor,
        masks: tuple[Tensor, Tensor],
        token_embeddings: Tensor,
    ) -> Tensor:
        """Returns the last layer's vectors, [rows, length, hidden_size].

        Args:
            token_ids, positions: integers [rows, length], of the tokens before those to be predicted.
            source: the encoder's vectors, [rows, source length, hidden_size].
            masks: boolean, true where a token may look: at target tokens, [rows, 1, length, length], none of
                them later, and at the source, [rows, 1, length, source length].
            token_embeddings: of the encoder, [vocab_size, embedding_width].
        """
        config = self.config
        embedded = functional.embedding(token_ids, token_embeddings)
        if self.positions is not None:
            embedded = embedded + self.positions(positions)
        hidden: Tensor = self.dropout(self.norm(embedded))
        if self.projection is not None:
            hidden = self.projection(hidden)
        rotation = None
        if config.position_embedding_type == "rotary":
            rotation = rotary_phases(positions, config.head_size, config.rotary_base)
        for layer in self.layers:
            hidden = layer(hidden, source, masks, rotation)
        return hidden if self.final_norm is None else self.final_norm(hidden)


class DecoderLayer(nn.Module):
    """Causal self-attention, attention to the source, and a feed-forward network.

    Rotary positions turn self-attention only: how far apart a target and a source token are says little.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.norm_first = config.norm_first
        width, heads = config.hidden_size, config.num_attention_heads
        self.attention = Attention(width, heads, config.attention_probs_dropout_prob)
        self.attention_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.source_attention = SourceAttention(width, heads, config.attention_probs_dropout_prob)
        self.source_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.feed_forward = FeedForward(config)
        self.output_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        hidden: Tensor,
        source: Tensor,
        masks: tuple[Tensor, Tensor],
        rotation: Tensor | None,
    ) -> Tensor:
        own_mask, source_mask = masks
        if self.norm_first:
            hidden = hidden + self.dropout(self.attention(self.attention_norm(hidden), own_mask, rotation))
            looked_up = self.source_attention(self.source_norm(hidden), source, source_mask)
            hidden = hidden + self.dropout(looked_up)
            fed = self.feed_forward(self.output_norm(hidden))
            return torch.add(hidden, self.dropout(fed))
        hidden = self.attention_norm(hidden + self.dropout(self.attention(hidden, own_mask, rotation)))
        looked_up = self.source_attention(hidden, source, source_mask)
        hidden = self.source_norm(hidden + self.dropout(looked_up))
        output: Tensor = self.output_norm(hidden + self.dropout(self.feed_forward(hidden)))
        return output


class SourceAttention(nn.Module):
    """Multi-head attention of a sequence to another one ("cross-attention")."""

    def __init__(self, hidden_size: int, num_heads: int, dropout_probability: float) -> None:
        super().__init__()
        self.attention = Attention(hidden_size, num_heads, dropout_probability)

    def forward(self, hidden: Tensor, source: Tensor, mask: Tensor) -> Tensor:
        """Returns [rows, length, hidden_size]; `mask` is boolean [rows, 1, length, source length]."""
        weight, bias = self.attention.query_key_value.weight, self.attention.query_key_value.bias
        width = hidden.shape[-1]
        query = functional.linear(hidden, weight[:width], bias[:width])
        key, value = functional.linear(source, weight[width:], bias[width:]).chunk(2, dim=-1)
        heads = self._heads(query), self._heads(key), self._heads(value)
        return self.attention.attend(*heads, mask)

    def _heads(self, vectors: Tensor) -> Tensor:
        rows, length, width = vectors.shape
        heads = self.attention.num_heads
        return vectors.view(rows, length, heads, width // heads).transpose(1, 2)


class TiedOutput(nn.Module):
    """Scores of every token of the vocabulary: products with the tokens' embeddings and no more.

    BART, T5 and MASS have no further layer here, as BERT's head has; only MASS has a bias. Where the
    embeddings are factorised, a projection brings the vectors down to their width.
    """

    def __init__(self, config: BertConfig, *, with_bias: bool) -> None:
        super().__init__()
        width = config.embedding_width
        self.projection = nn.Linear(config.hidden_size, width) if config.embedding_size else None
        self.bias = nn.Parameter(torch.zeros(config.vocab_size)) if with_bias else None

    def forward(self, vectors: Tensor, token_embeddings: Tensor) -> Tensor:
        """Returns [n, vocab_size] for vectors [n, hidden_size], embeddings [vocab_size, embedding_width]."""
        projected = vectors if self.projection is None else self.projection(vectors)
        return functional.linear(projected, token_embeddings, self.bias)

    def start_from_counts(self, token_counts: NDArray[np.int64]) -> None:
        """Makes the untrained output begin with the tokens' frequencies (`MaskedTokenHead` says why).

        Args:
            token_counts: how often each token of the tokenizer occurs in the training text.
        """
        if self.bias is None:
            raise ValueError("an output without a bias cannot start from counts")
        with torch.no_grad():
            self.bias.copy_(log_frequencies(token_counts, len(self.bias)))
