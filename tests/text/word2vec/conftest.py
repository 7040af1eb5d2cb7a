"""A small language in which words of one theme appear together, and its tokens as shards."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from prolepsis.text.token_shards import (
    TokenizedDocuments,
    TokenizedPart,
    TokenShards,
    TokenStream,
    write_token_shards,
)
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
    directory: Path, tokenizer: Tokenizer, count: int = 120, documents_per_shard: int = 10_000
) -> TokenShards:
    parts = []
    for split, seed, share in (("train", 3, count), ("val", 4, count // 4)):
        for language in THEMES:
            tokens = tokenizer.encode_batch(documents(language, share, seed))
            for start in range(0, share, documents_per_shard):
                of_part = tokens[start : start + documents_per_shard]
                ids = [f"{split}-{language}-{start + i}" for i in range(len(of_part))]
                starts = [np.zeros(1, np.int32)] * len(of_part)
                batch = TokenizedDocuments(split, ids, [language] * len(of_part), of_part, starts)
                parts.append(TokenizedPart(ids[0], partial(list, [batch])))
    stream = TokenStream(parts, tokenizer.vocabulary_size, tokenizer.hash, tokenizer.special_ids)
    write_token_shards(directory, stream)
    return TokenShards.open(directory)


@pytest.fixture(scope="session")
def shards(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> TokenShards:
    """Several shards of the training split, so that nothing depends on there being one."""
    return write(tmp_path_factory.mktemp("shards") / "tokens", tokenizer, documents_per_shard=80)
