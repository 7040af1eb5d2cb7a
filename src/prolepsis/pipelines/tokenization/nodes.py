"""Train a tokenizer, encode the corpus with it, and measure it."""

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
        The figures for all languages together, and the table with a row for each language.
    """
    from prolepsis.errors import ProlepsisError
    from prolepsis.text.tokenizers.evaluation import evaluate
    from prolepsis.text.tokenizers.texts import document_batches
    from prolepsis.training.progress import track

    validation = documents.filter(pl.col("split") == "val")
    batches = document_batches(validation, ["text", "language"])
    table = evaluate(tokenizer, track(batches, "Evaluating the tokenizer", unit="batches"))
    overall = table.row(0, named=True)
    if overall["num_documents"] == 0:
        raise ProlepsisError(
            "The validation split has no documents to evaluate a tokenizer on.",
            where="documents, split val",
            remedy="Give the corpus more documents, or a larger validation share.",
        )
    metrics = {"vocabulary_size": tokenizer.vocabulary_size} | {
        name: value for name, value in overall.items() if name != "language"
    }
    return metrics, table
