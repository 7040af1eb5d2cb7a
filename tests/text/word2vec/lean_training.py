"""A training of word vectors that prints the packages it has loaded.

`lean_training.py TOKENIZER TOKENS CHECKPOINTS CONFIG`, the last in JSON
"""

import json
import sys
from pathlib import Path

from prolepsis.text.token_shards import TokenShards
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.text.word2vec.config import Word2VecConfig
from prolepsis.text.word2vec.training import train_word_vectors

if __name__ == "__main__":
    tokenizer, tokens, checkpoints, values = sys.argv[1:]
    config = Word2VecConfig(**json.loads(values), checkpoint_directory=Path(checkpoints))
    train_word_vectors(Tokenizer.load(Path(tokenizer)), TokenShards.open(Path(tokens)), config)
    sys.stdout.write(" ".join(name for name in sys.modules if "." not in name))
