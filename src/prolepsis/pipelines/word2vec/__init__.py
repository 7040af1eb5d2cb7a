"""Tokens to word vectors, and what the vectors know."""

from prolepsis.pipelines.word2vec.pipeline import create_pipeline

__all__ = ["create_pipeline"]
