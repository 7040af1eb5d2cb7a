"""One's own videos to an image encoder by momentum contrast, and what its features are worth."""

from prolepsis.pipelines.moco_pretraining.pipeline import create_pipeline

__all__ = ["create_pipeline"]
