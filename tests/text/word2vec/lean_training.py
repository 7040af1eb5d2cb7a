"""A training of word vectors that prints the packages it has loaded.

`lean_training.py TOKENS CHECKPOINTS CONFIG`, the last in JSON
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from prolepsis.text.token_shards import TokenShards
from prolepsis.text.word2vec.config import Word2VecConfig
from prolepsis.text.word2vec.training import train_word_vectors


@dataclass(frozen=True)
class Names:
    """What training asks of a tokenizer, whose own packages are not those of training."""

    hash: str
    vocabulary_size: int

    def words(self) -> list[str]:
        return [f"word{number}" for number in range(self.vocabulary_size)]


if __name__ == "__main__":
    tokens, checkpoints, values = sys.argv[1:]
    config = Word2VecConfig(**json.loads(values), checkpoint_directory=Path(checkpoints))
    shards = TokenShards.open(Path(tokens))
    names = Names(shards.tokenizer_hash, shards.vocabulary_size)
    train_word_vectors(names, shards, config)
    sys.stdout.write(" ".join(name for name in sys.modules if "." not in name))
