"""Raw videos and annotations to a manifest, action instances and per-step labels."""

from prolepsis.pipelines.video_ingestion.pipeline import create_pipeline

__all__ = ["create_pipeline"]
