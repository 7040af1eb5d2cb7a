"""Features to scores: a trained detector and what it says of the other videos, for each variant."""

from prolepsis.pipelines.action_detection.pipeline import create_pipeline

__all__ = ["create_pipeline"]
