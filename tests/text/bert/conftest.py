"""A small tokenizer, and token shards of documents made at random, for the tests of BERT."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from prolepsis.text.bert.config import BertConfig
from prolepsis.text.token_shards import (
    TokenizedDocuments,
    TokenizedPart,
    TokenShards,
    TokenStream,
    write_token_shards,
)
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.text.tokenizers.wordpiece import WordPieceTrainer

Documents = Sequence[Sequence[Sequence[int]]]
WriteShards = Callable[..., TokenShards]

DOCUMENTS_PER_SHARD = 4

_WORDS = (
    "the", "cat", "sat", "on", "a", "mat", "while", "seven", "large", "dogs",
    "barked", "at", "our", "old", "moon", "above", "cold", "rivers",
)  # fmt: skip


@pytest.fixture(autouse=True)
def in_one_thread(one_thread: None) -> None:
    """Every test here."""


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    texts = [" ".join(np.random.default_rng(i).permutation(_WORDS)) for i in range(20)]
    return WordPieceTrainer(WordPieceTrainer.Config(vocabulary_size=120)).train([texts])


@pytest.fixture(scope="session")
def random_documents(tokenizer: Tokenizer) -> Callable[[int, int], Documents]:
    """`random_documents(seed, n)`: documents as lists of sentences as lists of ids, none of them special.

    A document keeps to a quarter of the vocabulary, so what surrounds a hidden token tells of it.
    """
    quarters = np.array_split(np.random.default_rng(99).permutation(range(5, tokenizer.vocabulary_size)), 4)

    def document(random: np.random.Generator) -> list[list[int]]:
        words = quarters[random.integers(4)]
        lengths = random.integers(3, 13, size=random.integers(1, 9))
        return [random.choice(words, size=length).tolist() for length in lengths]

    def make(seed: int, num_documents: int) -> Documents:
        random = np.random.default_rng(seed)
        return [document(random) for _ in range(num_documents)]

    return make


@pytest.fixture
def write_shards(tmp_path: Path, tokenizer: Tokenizer) -> WriteShards:
    """`write_shards(train=documents, val=documents)`: shards of these documents, several to a split."""

    def write(**splits: Documents) -> TokenShards:
        parts = [
            TokenizedPart("", lambda batch=batch: [batch])
            for split, documents in splits.items()
            for batch in _encoded(split, documents)
        ]
        stream = TokenStream(parts, tokenizer.vocabulary_size, tokenizer.hash, tokenizer.special_ids)
        write_token_shards(tmp_path / "tokens", stream)
        return TokenShards.open(tmp_path / "tokens")

    return write


@pytest.fixture(scope="session")
def small_config(tokenizer: Tokenizer) -> BertConfig:
    return BertConfig(
        vocab_size=tokenizer.vocabulary_size,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=40,
        initializer_range=0.3,  # large, so that outputs differ where they should
    )


def _encoded(split: str, documents: Documents) -> Iterator[TokenizedDocuments]:
    for start in range(0, len(documents), DOCUMENTS_PER_SHARD):
        part = documents[start : start + DOCUMENTS_PER_SHARD]
        lengths = [[len(sentence) for sentence in sentences] for sentences in part]
        yield TokenizedDocuments(
            split=split,
            ids=[f"{split}-{start + number}" for number in range(len(part))],
            languages=[None] * len(part),
            tokens=[np.array([t for s in sentences for t in s], np.int32) for sentences in part],
            sentence_starts=[np.cumsum([0, *of])[: len(of)].astype(np.int32) for of in lengths],
        )
