"""The nodes of word2vec."""

from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from prolepsis.pipelines.word2vec.params import EvaluationParams, Word2VecParams


def train_word_vectors(
    tokenizer: Any, tokens: Any, parameters: Word2VecParams
) -> tuple[Any, list[dict[str, Any]]]:
    """Trains on the split `train`.

    Returns:
        A `prolepsis.text.word2vec.vectors.WordVectors`, and a row per epoch with the losses on both splits.

    Raises:
        ProlepsisError: an evaluation set is missing, which is better known before a long training; or what
            `prolepsis.text.word2vec.training` raises.
    """
    from prolepsis.text.word2vec import training

    _locate(parameters.evaluation)
    trained = training.train_word_vectors(tokenizer, tokens, parameters.training)
    return trained.vectors, trained.curves


def evaluate_word_vectors(word_vectors: Any, parameters: Word2VecParams) -> dict[str, Any]:
    """What was trained, the losses of training, and the scores on published sets with their coverage."""
    from prolepsis.text.word2vec.evaluation import score_analogies, score_outliers, score_similarity

    sets = _locate(parameters.evaluation)
    made_by = word_vectors.metadata["config"]
    metrics: dict[str, Any] = {
        "model": made_by["model"],
        "output": made_by["output"],
        "num_words": len(word_vectors),
        "dimension": word_vectors.dimension,
        "train_loss": word_vectors.metadata["train_loss"],
        "validation_loss": word_vectors.metadata["validation_loss"],
        "similarity": {name: score_similarity(word_vectors, file) for name, file in sets.similarity.items()},
    }
    if sets.analogies is not None:
        restrict_to = parameters.evaluation.restrict_to
        metrics["analogies"] = score_analogies(word_vectors, sets.analogies, restrict_to)
    if sets.outliers is not None:
        metrics["outliers"] = score_outliers(word_vectors, sets.outliers)
    return metrics


def find_neighbours(word_vectors: Any, parameters: Word2VecParams) -> pl.DataFrame:
    """The nearest words of the words that were asked for and of the most frequent ones."""
    from prolepsis.text.word2vec.evaluation import frequent_words, neighbour_table

    asked = parameters.neighbours
    frequent = frequent_words(word_vectors, asked.per_language, asked.min_letters)
    words = list(dict.fromkeys([*asked.words, *frequent]))
    return neighbour_table(word_vectors, words, asked.count)


def draw_word_map(word_vectors: Any, parameters: Word2VecParams) -> Any:
    """A matplotlib figure of the words that were asked for, or of the most frequent ones of each language.

    Raises:
        ProlepsisError: fewer than two of the words asked for have a vector.
    """
    from prolepsis.text.word2vec.evaluation import frequent_words
    from prolepsis.text.word2vec.picture import draw_words, require_vectors

    shown = parameters.picture
    if shown.words is None:
        words = frequent_words(word_vectors, shown.per_language, shown.min_letters)
    else:
        words = require_vectors(word_vectors, shown.words)
    return draw_words(word_vectors, words)


class _Sets(NamedTuple):
    """Where the evaluation sets lie."""

    similarity: dict[str, Path]
    analogies: Path | None
    outliers: Path | None


def _locate(evaluation: EvaluationParams) -> _Sets:
    """The files of the sets that are to be used; raises ProlepsisError where one is missing."""
    from prolepsis.text.word2vec.evaluation import locate_evaluation_set

    references = {name: reference for name, reference in evaluation.similarity.items() if reference}
    analogies, outliers = evaluation.analogies, evaluation.outliers
    return _Sets(
        {name: locate_evaluation_set(reference) for name, reference in references.items()},
        locate_evaluation_set(analogies) if analogies else None,
        locate_evaluation_set(outliers, may_be_folder=True) if outliers else None,
    )
