"""A training of word vectors that kills its own process after some blocks.

`killed_training.py TOKENIZER TOKENS CHECKPOINTS BLOCKS CONFIG`, the last in JSON
"""

import itertools
import json
import os
import signal
import sys
from pathlib import Path

from prolepsis.text.token_shards import TokenShards
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.text.word2vec.blocks import Block, Rates, Tally
from prolepsis.text.word2vec.config import Word2VecConfig
from prolepsis.text.word2vec.cpu_engine import CpuEngine
from prolepsis.text.word2vec.training import train_word_vectors

if __name__ == "__main__":
    tokenizer, tokens, checkpoints, num_blocks, values = sys.argv[1:]
    numbers = itertools.count()
    run = CpuEngine.run

    def run_and_die(engine: CpuEngine, block: Block, rates: Rates, seed: int) -> Tally:
        if next(numbers) == int(num_blocks):
            os.kill(os.getpid(), signal.SIGKILL)
        return run(engine, block, rates, seed)

    setattr(CpuEngine, "run", run_and_die)  # noqa: B010 (a plain assignment to a method is no valid type)
    config = Word2VecConfig(**json.loads(values), checkpoint_directory=Path(checkpoints))
    train_word_vectors(Tokenizer.load(Path(tokenizer)), TokenShards.open(Path(tokens)), config)
