"""From raw files in many formats to clean, distinct documents."""

from prolepsis.pipelines.corpus_ingestion.pipeline import create_pipeline

__all__ = ["create_pipeline"]
