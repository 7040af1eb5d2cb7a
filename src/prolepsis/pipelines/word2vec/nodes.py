"""The nodes of word2vec."""

from typing import Any

import polars as pl

from prolepsis.pipelines.word2vec.params import Word2VecParams


def train_word_vectors(
    tokenizer: Any, tokens: Any, parameters: Word2VecParams
) -> tuple[Any, list[dict[str, Any]]]:
    """Trains on the split `train`.

    Returns:
        A `prolepsis.text.word2vec.vectors.WordVectors`, and a row per epoch with the losses on both splits.
    """
    from prolepsis.text.word2vec import training

    trained = training.train_word_vectors(tokenizer, tokens, parameters.training)
    return trained.vectors, trained.curves


def evaluate_word_vectors(word_vectors: Any, parameters: Word2VecParams) -> dict[str, Any]:
    """The losses of training, and the scores on published sets with their coverage."""
    from prolepsis.text.word2vec.evaluation import (
        locate_evaluation_set,
        score_analogies,
        score_outliers,
        score_similarity,
    )

    sets = parameters.evaluation
    metrics: dict[str, Any] = {
        "num_words": len(word_vectors),
        "dimension": word_vectors.dimension,
        "train_loss": word_vectors.metadata["train_loss"],
        "validation_loss": word_vectors.metadata["validation_loss"],
        "similarity": {
            name: score_similarity(word_vectors, locate_evaluation_set(reference))
            for name, reference in sets.similarity.items()
            if reference is not None
        },
    }
    if sets.analogies is not None:
        file = locate_evaluation_set(sets.analogies)
        metrics["analogies"] = score_analogies(word_vectors, file, sets.restrict_to)
    if sets.outliers is not None:
        metrics["outliers"] = score_outliers(word_vectors, locate_evaluation_set(sets.outliers, folder=True))
    return metrics


def find_neighbours(word_vectors: Any, parameters: Word2VecParams) -> pl.DataFrame:
    """The nearest words of the words that were asked for and of the most frequent ones."""
    from prolepsis.text.word2vec.evaluation import frequent_words, neighbour_table

    asked = parameters.neighbours
    frequent = frequent_words(word_vectors, asked.per_language, asked.min_letters)
    words = list(dict.fromkeys([*asked.words, *frequent]))
    return neighbour_table(word_vectors, words, asked.count)


def draw_word_map(word_vectors: Any, parameters: Word2VecParams) -> Any:
    """A matplotlib figure of the most frequent words of each language."""
    from prolepsis.text.word2vec.evaluation import frequent_words
    from prolepsis.text.word2vec.picture import draw_words

    shown = parameters.picture
    return draw_words(word_vectors, frequent_words(word_vectors, shown.per_language, shown.min_letters))
