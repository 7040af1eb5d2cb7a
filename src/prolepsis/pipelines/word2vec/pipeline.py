"""The graph of word2vec."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from prolepsis.pipelines.word2vec.nodes import (
    draw_word_map,
    evaluate_word_vectors,
    find_neighbours,
    train_word_vectors,
)


def create_pipeline(**kwargs: Any) -> Pipeline:
    """From the words of the corpus to `word_vectors`, their scores, neighbours and picture."""
    return Pipeline(
        [
            Node(
                train_word_vectors,
                inputs=["word_level.tokenizer", "word_level.tokens", "params:word2vec"],
                outputs=["word_vectors", "word2vec_curves"],
                name="train_word_vectors",
                tags="resumable",
            ),
            Node(
                evaluate_word_vectors,
                inputs=["word_vectors", "params:word2vec"],
                outputs="word2vec_metrics",
                name="evaluate_word_vectors",
            ),
            Node(
                find_neighbours,
                inputs=["word_vectors", "params:word2vec"],
                outputs="word_neighbours",
                name="find_neighbours",
            ),
            Node(
                draw_word_map,
                inputs=["word_vectors", "params:word2vec"],
                outputs="word_map",
                name="draw_word_map",
            ),
        ]
    )
