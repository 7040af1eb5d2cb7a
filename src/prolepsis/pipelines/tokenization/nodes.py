"""Train a tokenizer, encode the corpus with it, and measure it."""

from collections.abc import Iterator
from typing import Any

import polars as pl

from prolepsis.pipelines.tokenization.params import TokenizerParams


def train_tokenizer(documents: pl.LazyFrame, parameters: TokenizerParams) -> Any:
    """Trains the chosen tokenizer on the train split.

    Returns:
        A `prolepsis.text.tokenizers.Tokenizer`.
    """
    from prolepsis.text.tokenizers.texts import TrainingTexts

    texts = TrainingTexts(documents, parameters.sample_bytes, parameters.seed)
    return parameters.load()(parameters.configuration()).train(texts)


def encode_documents(documents: pl.LazyFrame, tokenizer: Any) -> Any:
    """Encodes every document, whatever its split, while it is written.

    Returns:
        A `prolepsis.text.token_shards.TokenStream`.
    """
    from prolepsis.text.tokenizers.encoding import encode

    return encode(documents, tokenizer)


def evaluate_tokenizer(documents: pl.LazyFrame, tokenizer: Any) -> tuple[dict[str, Any], pl.DataFrame]:
    """Measures the tokenizer on the validation split, which it has not seen.

    Returns:
        The figures for all languages together (parity is one between languages), and the table with a row for
        each language.
    """
    from prolepsis.text.tokenizers.evaluation import evaluate

    table = evaluate(tokenizer, _validation_batches(documents))
    overall = table.row(0, named=True)
    metrics = {"vocabulary_size": tokenizer.vocabulary_size} | {
        name: value for name, value in overall.items() if name not in ("language", "parity")
    }
    return metrics, table


def sweep_vocabulary_sizes(documents: pl.LazyFrame, parameters: TokenizerParams) -> pl.DataFrame:
    """Trains the chosen tokenizer at several vocabulary sizes and measures each on the validation split.

    Returns:
        The figures, a row for each size and language.
    """
    from prolepsis.text.tokenizers.sweep import sweep
    from prolepsis.text.tokenizers.texts import TrainingTexts

    trainer = parameters.load()(parameters.configuration())
    texts = TrainingTexts(documents, parameters.sample_bytes, parameters.seed)
    return sweep(
        {parameters.plugin: trainer}, texts, _validation_batches(documents), parameters.vocabulary_sizes
    )


def compare_tokenizers(**vocabulary_sweeps: pl.DataFrame) -> Any:
    """A picture of all variants, at all vocabulary sizes.

    Returns:
        A matplotlib `Figure`.
    """
    from prolepsis.text.tokenizers.sweep import draw_sweep

    named = [table.with_columns(pl.lit(name).alias("tokenizer")) for name, table in vocabulary_sweeps.items()]
    return draw_sweep(pl.concat(named))


def _validation_batches(documents: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """The validation split, which no tokenizer has seen.

    Raises:
        ProlepsisError: it is empty.
    """
    from prolepsis.errors import ProlepsisError
    from prolepsis.text.tokenizers.texts import document_batches
    from prolepsis.training.progress import track

    validation = documents.filter(pl.col("split") == "val")
    batches = document_batches(validation, ["text", "language"])
    empty = True
    for batch in track(batches, "Measuring on the validation split", unit="batches"):
        empty = False
        yield batch
    if empty:
        raise ProlepsisError(
            "The validation split has no documents to evaluate a tokenizer on.",
            where="documents, split val",
            remedy="Give the corpus more documents, or a larger validation share.",
        )
