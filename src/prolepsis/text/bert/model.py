"""The encoder in plain torch: BERT's, and the forms that its successors gave it.

Three things differ from the usual implementation, none of them in the results: query, key and value come
from one matrix product; several examples may share a row, kept apart by a mask; and what is computed for the
whole vocabulary is computed for the hidden tokens only, about 15 % of all (`heads.py`).
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from prolepsis.text.bert.attention import Attention, AttentionMask, example_mask, rotary_phases
from prolepsis.text.bert.config import BertConfig
from prolepsis.training.dropout import Dropout

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_new": lambda values: functional.gelu(values, approximate="tanh"),
    "silu": functional.silu,
}


class Embeddings(nn.Module):
    """Tokens, types and, unless they are rotary, positions: summed, normalised, dropped out."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.embedding_width
        self.tokens = nn.Embedding(config.vocab_size, width)
        self.types = nn.Embedding(config.type_vocab_size, width)
        self.positions = (
            nn.Embedding(config.max_position_embeddings, width)
            if config.position_embedding_type == "absolute"
            else None
        )
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, token_ids: Tensor, token_types: Tensor, positions: Tensor) -> Tensor:
        embedded = self.tokens(token_ids) + self.types(token_types)
        if self.positions is not None:
            embedded = embedded + self.positions(positions)
        output: Tensor = self.dropout(self.norm(embedded))
        return output


class BertEncoder(nn.Module):
    """Token ids to contextual vectors.

    Args:
        embeddings: shared with another model; by default the encoder's own.
    """

    def __init__(self, config: BertConfig, embeddings: Embeddings | None = None) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config) if embeddings is None else embeddings
        self.projection = (
            nn.Linear(config.embedding_width, config.hidden_size) if config.embedding_size else None
        )
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_layer_groups))
        self.final_norm = (
            nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps) if config.norm_first else None
        )

    def forward(
        self,
        token_ids: Tensor,
        token_types: Tensor,
        positions: Tensor,
        attention_mask: AttentionMask | None = None,
    ) -> Tensor:
        """Returns the last layer's vectors, [rows, length, hidden_size].

        Args:
            token_ids, token_types, positions: integers [rows, length]; positions restart in each example.
            attention_mask: boolean [rows, 1, length, length], true where a token (third axis) may look at
                another (fourth), or what `mask` gives; None lets every token see its whole row.
        """
        config = self.config
        hidden: Tensor = self.embeddings(token_ids, token_types, positions)
        if self.projection is not None:
            hidden = self.projection(hidden)
        rotation = None
        if config.position_embedding_type == "rotary":
            rotation = rotary_phases(positions, config.head_size, config.rotary_base)
        repeats = config.num_hidden_layers // config.num_layer_groups
        for layer in self.layers:
            for _ in range(repeats):
                hidden = layer(hidden, attention_mask, rotation)
        output: Tensor = hidden if self.final_norm is None else self.final_norm(hidden)
        return output

    def mask(self, example_numbers: Tensor) -> AttentionMask:
        """Keeps the examples of a row apart, in the form that is fastest for this model where it lies."""
        probability = self.config.attention_probs_dropout_prob if self.training else 0.0
        return example_mask(example_numbers, probability)


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward network, each with dropout, a residual sum and a LayerNorm."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.norm_first = config.norm_first
        self.attention = Attention(
            config.hidden_size, config.num_attention_heads, config.attention_probs_dropout_prob
        )
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.feed_forward = FeedForward(config)
        self.output_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, hidden: Tensor, mask: AttentionMask | None, rotation: Tensor | None) -> Tensor:
        output: Tensor
        if self.norm_first:
            hidden = hidden + self.dropout(self.attention(self.attention_norm(hidden), mask, rotation))
            output = hidden + self.dropout(self.feed_forward(self.output_norm(hidden)))
        else:
            hidden = self.attention_norm(hidden + self.dropout(self.attention(hidden, mask, rotation)))
            output = self.output_norm(hidden + self.dropout(self.feed_forward(hidden)))
        return output


class FeedForward(nn.Module):
    """Two projections with an activation between them, which with a gate multiplies a third one."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[config.hidden_act]
        self.gated = config.gated_feed_forward
        self.expand = nn.Linear(config.hidden_size, config.intermediate_size * (2 if self.gated else 1))
        self.contract = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden: Tensor) -> Tensor:
        expanded = self.expand(hidden)
        if self.gated:
            values, gate = expanded.chunk(2, dim=-1)
            activated = values * self.activation(gate)
        else:
            activated = self.activation(expanded)
        output: Tensor = self.contract(activated)
        return output


def initialise(module: nn.Module, deviation: float) -> None:
    """Weights from a normal distribution truncated at two standard deviations, biases zero.

    As in google-research/bert, modeling.py. LayerNorms stay as torch makes them.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Embedding):
            nn.init.trunc_normal_(part.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
        if isinstance(part, nn.Linear):
            nn.init.zeros_(part.bias)
