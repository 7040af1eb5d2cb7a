"""A small language in which words of one theme appear together, and its tokens as shards."""

from pathlib import Path

import numpy as np
import pytest

from prolepsis.text.token_shards import TokenizedDocuments, TokenShards, TokenStream, write_token_shards
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.text.tokenizers.byte_bpe import ByteLevelBytePairTrainer

THEMES = {
    "en": [["river", "water", "boat", "bridge"], ["king", "queen", "crown", "palace"]],
    "fr": [["roi", "reine", "couronne", "palais"]],
}


def documents(language: str, count: int, seed: int) -> list[str]:
    """Documents of one theme each, between words that say nothing."""
    rng = np.random.default_rng(seed)
    texts = []
    for _ in range(count):
        theme = THEMES[language][rng.integers(len(THEMES[language]))]
        words = [str(rng.choice(theme)) if rng.random() < 0.7 else "the" for _ in range(20)]
        texts.append(" " + " ".join(words))
    return texts


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    trainer = ByteLevelBytePairTrainer(ByteLevelBytePairTrainer.Config(vocabulary_size=400))
    return trainer.train([documents("en", 400, 1) + documents("fr", 400, 2)])


def write(
    directory: Path, tokenizer: Tokenizer, count: int = 120, shard_tokens: int = 1 << 28
) -> TokenShards:
    batches = []
    for split, seed, share in (("train", 3, count), ("val", 4, count // 4)):
        for language in THEMES:
            tokens = tokenizer.encode_batch(documents(language, share, seed))
            ids = [f"{split}-{language}-{i}" for i in range(share)]
            starts = [np.zeros(1, np.int32)] * share
            batches.append(TokenizedDocuments(split, ids, [language] * share, tokens, starts))
    stream = TokenStream(batches, tokenizer.vocabulary_size, tokenizer.hash, tokenizer.special_ids)
    write_token_shards(directory, stream, shard_tokens=shard_tokens)
    return TokenShards.open(directory)


@pytest.fixture(scope="session")
def shards(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> TokenShards:
    """Three shards of the training split, so that nothing depends on there being one."""
    return write(tmp_path_factory.mktemp("shards") / "tokens", tokenizer, shard_tokens=2000)
