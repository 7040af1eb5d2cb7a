"""What stands on the encoder while it is pretrained, and is taken away afterwards."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.model import ACTIVATIONS, BertEncoder, initialise
from prolepsis.text.bert.packed import MaskedBatch


class MaskedTokenHead(nn.Module):
    """Scores of every token of the vocabulary; the embeddings of the tokens are the output's weights too.

    Args:
        input_size: numbers in a vector that comes in; by default the encoder's `hidden_size`.
    """

    def __init__(self, config: BertConfig, input_size: int | None = None) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[config.hidden_act]
        self.transform = nn.Linear(input_size or config.hidden_size, config.embedding_width)
        self.norm = nn.LayerNorm(config.embedding_width, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, vectors: Tensor, token_embeddings: Tensor) -> Tensor:
        """Returns [n, vocab_size], from [n, input_size] and embeddings [vocab_size, embedding_width]."""
        transformed = self.norm(self.activation(self.transform(vectors)))
        return functional.linear(transformed, token_embeddings, self.bias)

    def start_from_counts(self, token_counts: NDArray[np.int64]) -> None:
        """Makes the untrained head predict every token by its frequency, whatever the context.

        From zeros, the embeddings, which are the output's weights too, all learn the frequencies first; they
        become so alike that a small model then sees no context for thousands of steps.

        Args:
            token_counts: how often each token of the tokenizer occurs in the training text.
        """
        with torch.no_grad():
            self.bias.copy_(log_frequencies(token_counts, len(self.bias)))


class SentencePairHead(nn.Module):
    """BERT's pooler and a decision between two: (B follows A, it does not)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.pooler = nn.Linear(config.hidden_size, config.hidden_size)
        self.classifier = nn.Linear(config.hidden_size, 2)

    def forward(self, first_vectors: Tensor) -> Tensor:
        """Returns [n, 2] for the encoder's outputs of [CLS], [n, hidden_size]."""
        logits: Tensor = self.classifier(torch.tanh(self.pooler(first_vectors)))
        return logits


def log_frequencies(token_counts: NDArray[np.int64], vocab_size: int) -> Tensor:
    """The logarithm of each token's frequency, float64 [vocab_size]; a count of one is added to each.

    Args:
        token_counts: how often each token of the tokenizer occurs, int64, at most `vocab_size` of them.
    """
    counts = torch.ones(vocab_size, dtype=torch.float64)
    counts[: len(token_counts)] += torch.from_numpy(token_counts)
    return torch.log(counts / counts.sum())


class BertForPretraining(nn.Module):
    """The encoder with the head for hidden tokens and, unless it is left out, the one for sentence pairs."""

    def __init__(self, config: BertConfig, *, with_sentence_pairs: bool = True) -> None:
        super().__init__()
        self.config = config
        self.encoder = BertEncoder(config)
        self.masked_tokens = MaskedTokenHead(config)
        self.sentence_pairs = SentencePairHead(config) if with_sentence_pairs else None
        initialise(self, config.initializer_range)

    def masked_logits(self, vectors: Tensor) -> Tensor:
        """Scores of every token of the vocabulary, [n, vocab_size], for encoder outputs [n, hidden_size]."""
        logits: Tensor = self.masked_tokens(vectors, self.encoder.embeddings.tokens.weight)
        return logits

    def encode(self, batch: MaskedBatch) -> Tensor:
        """The encoder's outputs for a batch, row after row, [rows x length, hidden_size]."""
        mask = self.encoder.mask(batch.example_numbers)
        hidden: Tensor = self.encoder(batch.token_ids, batch.token_types, batch.positions, mask)
        return hidden.flatten(0, 1)

    def predict_masked(self, batch: MaskedBatch) -> Tensor:
        """Scores of every token of the vocabulary for the hidden tokens of a batch, [M, vocab_size]."""
        return self.masked_logits(self.encode(batch)[batch.masked_positions])
