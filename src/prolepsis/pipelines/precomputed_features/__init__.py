"""Features and labels that others computed, in the place of video ingestion and feature extraction."""

from prolepsis.pipelines.precomputed_features.pipeline import create_pipeline

__all__ = ["create_pipeline"]
