"""The BERT encoder and its pretraining heads in plain torch.

Three things differ from the usual implementation, none of them in the results: query, key and value come
from one matrix product; several examples may share a row, kept apart by a block mask; and the vocabulary-wide
output is computed only for the masked tokens, about 15 % of all.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from prolepsis.text.bert.config import BertConfig


class BertEncoder(nn.Module):
    """Token ids to contextual vectors: post-norm Transformer encoder with learned positions."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.layers = nn.ModuleList(BertLayer(config) for _ in range(config.num_hidden_layers))

    def forward(
        self, token_ids: Tensor, token_types: Tensor, positions: Tensor, attention_mask: Tensor | None = None
    ) -> Tensor:
        """Returns the last layer's vectors, [rows, length, hidden_size].

        Args:
            token_ids, token_types, positions: integers [rows, length]; positions restart in each example.
            attention_mask: boolean [rows, 1, length, length], true where a token (third axis) may look at
                another (fourth); None lets every token see its whole row.
        """
        embedded = (
            self.token_embeddings(token_ids)
            + self.token_type_embeddings(token_types)
            + self.position_embeddings(positions)
        )
        hidden: Tensor = self.dropout(self.norm(embedded))
        for layer in self.layers:
            hidden = layer(hidden, attention_mask)
        return hidden


class BertLayer(nn.Module):
    """Self-attention and a feed-forward network, each followed by dropout, the residual sum and LayerNorm."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = SelfAttention(config)
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.expand = nn.Linear(config.hidden_size, config.intermediate_size)
        self.contract = nn.Linear(config.intermediate_size, config.hidden_size)
        self.output_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, hidden: Tensor, attention_mask: Tensor | None) -> Tensor:
        hidden = self.attention_norm(hidden + self.dropout(self.attention(hidden, attention_mask)))
        transformed = self.contract(functional.gelu(self.expand(hidden)))
        output: Tensor = self.output_norm(hidden + self.dropout(transformed))
        return output


class SelfAttention(nn.Module):
    """Multi-head scaled dot-product attention."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.dropout_probability = config.attention_probs_dropout_prob
        self.query_key_value = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden: Tensor, attention_mask: Tensor | None) -> Tensor:
        rows, length, width = hidden.shape
        heads = self.query_key_value(hidden).view(rows, length, 3, self.num_heads, width // self.num_heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=attention_mask,
            dropout_p=self.dropout_probability if self.training else 0.0,
        )
        output: Tensor = self.output(attended.transpose(1, 2).reshape(rows, length, width))
        return output


class BertForPretraining(nn.Module):
    """The encoder with BERT's two heads: masked tokens (tied to the embeddings) and next sentence."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = BertEncoder(config)
        self.pooler = nn.Linear(config.hidden_size, config.hidden_size)
        self.next_sentence = nn.Linear(config.hidden_size, 2)
        self.masked_transform = nn.Linear(config.hidden_size, config.hidden_size)
        self.masked_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.masked_bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.apply(self._initialise)

    def masked_logits(self, vectors: Tensor) -> Tensor:
        """Scores of every token of the vocabulary, [n, vocab_size], for encoder outputs [n, hidden_size]."""
        transformed = self.masked_norm(functional.gelu(self.masked_transform(vectors)))
        return functional.linear(transformed, self.encoder.token_embeddings.weight, self.masked_bias)

    def next_sentence_logits(self, first_vectors: Tensor) -> Tensor:
        """Scores of (B follows A, B is random), [n, 2], from encoder outputs of [CLS], [n, hidden_size]."""
        logits: Tensor = self.next_sentence(torch.tanh(self.pooler(first_vectors)))
        return logits

    def start_from_counts(self, token_counts: NDArray[np.int64]) -> None:
        """Makes the untrained model predict every token by its frequency, whatever the context.

        From zeros, the embeddings, which are the output's weights too, all learn the frequencies first; they
        become so alike that a small model then sees no context for thousands of steps.

        Args:
            token_counts: how often each token of the tokenizer occurs in the training text.
        """
        counts = torch.ones(self.config.vocab_size, dtype=torch.float64)
        counts[: len(token_counts)] += torch.from_numpy(token_counts)
        with torch.no_grad():
            self.masked_bias.copy_(torch.log(counts / counts.sum()))

    def _initialise(self, module: nn.Module) -> None:
        # google-research/bert, modeling.py: a normal distribution truncated at two standard deviations.
        deviation = self.config.initializer_range
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.trunc_normal_(module.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)


def block_attention_mask(example_numbers: Tensor) -> Tensor:
    """Boolean [rows, 1, length, length]: true where two tokens of a row belong to the same example.

    Args:
        example_numbers: integers [rows, length]; padding carries a number of its own, so that it sees itself
            (a token that may see nothing at all would turn its attention into NaN).
    """
    return (example_numbers[:, :, None] == example_numbers[:, None, :])[:, None]
