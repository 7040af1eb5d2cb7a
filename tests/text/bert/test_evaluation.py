import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from prolepsis.errors import ProlepsisError
from prolepsis.text.bert.evaluation import predict_hidden_tokens
from prolepsis.text.bert.packed import MaskedBatch
from prolepsis.text.token_shards import (
    TokenizedDocuments,
    TokenizedPart,
    TokenShards,
    TokenSplit,
    TokenStream,
    write_token_shards,
)
from prolepsis.text.tokenizers import Tokenizer


class Guess(nn.Module):
    """Gives the right token a fixed probability, and the others the rest."""

    def __init__(self, size: int, probability: float) -> None:
        super().__init__()
        self.register_parameter("unused", nn.Parameter(torch.zeros(1)))
        self.size, self.probability = size, probability
        self.seen: list[MaskedBatch] = []

    def predict_masked(self, batch: MaskedBatch) -> Tensor:
        self.seen.append(batch)
        others = (1 - self.probability) / (self.size - 1)
        logits = torch.full((len(batch.masked_targets), self.size), math.log(others))
        logits[torch.arange(len(logits)), batch.masked_targets] = math.log(self.probability)
        return logits


@pytest.fixture
def split(tmp_path: Any, tokenizer: Tokenizer) -> TokenSplit:
    texts = ["the cat sat on a mat while seven large dogs barked"] * 30
    ids = tokenizer.encode_batch(texts)
    documents = TokenizedDocuments(
        "val", [str(i) for i in range(30)], [None] * 30, ids, [np.zeros(1, np.int32)] * 30, 30 * len(texts[0])
    )
    parts = [TokenizedPart("", lambda: [documents])]
    stream = TokenStream(parts, tokenizer.vocabulary_size, tokenizer.hash, tokenizer.special_ids)
    write_token_shards(tmp_path / "tokens", stream)
    return TokenShards.open(tmp_path / "tokens").split("val")


def test_the_figures_are_those_of_the_models_probabilities(split: TokenSplit, tokenizer: Tokenizer) -> None:
    model = Guess(tokenizer.vocabulary_size, 0.25)
    figures = predict_hidden_tokens(model, tokenizer, split, max_length=40, max_rows=100, batch_size=3)
    assert figures["pseudo_perplexity"] == pytest.approx(4)
    num_bytes = 30 * len("the cat sat on a mat while seven large dogs barked")
    assert split.num_bytes == num_bytes
    assert figures["bits_per_byte"] == pytest.approx(2 * split.num_tokens / num_bytes)


def test_15_percent_are_hidden_always_the_same_ones(split: TokenSplit, tokenizer: Tokenizer) -> None:
    first, second = Guess(tokenizer.vocabulary_size, 0.5), Guess(tokenizer.vocabulary_size, 0.5)
    for model, batch_size in ((first, 4), (second, 100)):
        predict_hidden_tokens(model, tokenizer, split, max_length=40, max_rows=100, batch_size=batch_size)
    counts = [sum(len(batch.masked_targets) for batch in model.seen) for model in (first, second)]
    assert counts[0] == counts[1]
    assert counts[0] / sum(batch.num_real_tokens for batch in first.seen) == pytest.approx(0.15, abs=0.03)
    targets = [torch.cat([batch.masked_targets for batch in model.seen]) for model in (first, second)]
    assert torch.equal(targets[0], targets[1])


def test_only_so_many_rows_are_measured(split: TokenSplit, tokenizer: Tokenizer) -> None:
    model = Guess(tokenizer.vocabulary_size, 0.5)
    predict_hidden_tokens(model, tokenizer, split, max_length=40, max_rows=5, batch_size=3)
    assert [len(batch.token_ids) for batch in model.seen] == [3, 2]


def test_without_the_bytes_there_are_no_bits_per_byte(
    write_shards: Callable[..., Any], random_documents: Callable[..., Any], tokenizer: Tokenizer
) -> None:
    split = write_shards(val=random_documents(1, 20)).split("val")
    model = Guess(tokenizer.vocabulary_size, 0.5)
    figures = predict_hidden_tokens(model, tokenizer, split, max_length=40, max_rows=5, batch_size=3)
    assert figures.keys() == {"pseudo_perplexity"}


def test_a_split_without_tokens_is_refused(write_shards: Callable[..., Any], tokenizer: Tokenizer) -> None:
    split = write_shards(val=[[]]).split("val")
    model = Guess(tokenizer.vocabulary_size, 0.5)
    with pytest.raises(ProlepsisError, match="nothing to predict"):
        predict_hidden_tokens(model, tokenizer, split, max_length=40, max_rows=5, batch_size=3)
