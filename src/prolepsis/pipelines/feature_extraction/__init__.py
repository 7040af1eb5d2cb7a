"""Videos to a feature store: decoded once, encoded in batches that span videos."""

from prolepsis.pipelines.feature_extraction.pipeline import create_pipeline

__all__ = ["create_pipeline"]
