"""Tokenizers: four ways to train one, and one `Tokenizer` that results.

A plugin of the group `prolepsis.tokenizers` is a class with a pydantic `Config`, built as `Trainer(config)`,
and a method `train(batches) -> Tokenizer`, where `batches` are lists of texts that may be read twice.
"""

from prolepsis.text.tokenizers.tokenizer import Encoding, Tokenizer

__all__ = ["Encoding", "Tokenizer"]
