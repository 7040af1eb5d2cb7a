"""Trained tokenizers and encoded corpora."""

from typing import TYPE_CHECKING

import polars as pl
from kedro_datasets._typing import TablePreview

from prolepsis.io import previews
from prolepsis.io.local import LocalDataset

if TYPE_CHECKING:
    from prolepsis.text.token_shards import TokenShards, TokenStream
    from prolepsis.text.tokenizers import Tokenizer

_PREVIEW_TOKENS = 200


class TokenizerDataset(LocalDataset["Tokenizer", "Tokenizer"]):
    """A `prolepsis.text.tokenizers.Tokenizer` in a folder that Hugging Face's libraries also read.

    ```yaml
    "{variant}.tokenizer":
      type: prolepsis.io.TokenizerDataset
      filepath: data/06_models/tokenizers/{variant}
    ```
    """

    def save(self, data: "Tokenizer") -> None:
        data.save(self._path)

    def load(self) -> "Tokenizer":
        from prolepsis.text.tokenizers import Tokenizer

        return Tokenizer.load(self._path)

    def preview(self) -> TablePreview:
        """The first tokens of more than one character, as a person reads them: in BPE, the most frequent."""
        tokenizer = self.load()
        vocabulary = tokenizer.profile().with_columns(name=pl.Series(tokenizer.words(), dtype=pl.String))
        several = pl.col("token").str.strip_prefix("##").str.len_chars() > 1
        learned = vocabulary.filter(several & ~pl.col("special")).head(_PREVIEW_TOKENS)
        return previews.table(learned.select("id", pl.col("name").alias("token")))


class TokenShardsDataset(LocalDataset["TokenStream", "TokenShards"]):
    """An encoded corpus: written from a stream, a batch of documents at a time, and read by memory mapping.

    ```yaml
    "{variant}.tokens":
      type: prolepsis.io.TokenShardsDataset
      filepath: data/05_model_input/tokens/{variant}
    ```
    """

    def save(self, data: "TokenStream") -> None:
        from prolepsis.text.token_shards import write_token_shards

        write_token_shards(self._path, data)

    def load(self) -> "TokenShards":
        from prolepsis.text.token_shards import TokenShards

        return TokenShards.open(self._path)

    def preview(self) -> TablePreview:
        """What each shard holds."""
        return previews.table(self.load().profile())
