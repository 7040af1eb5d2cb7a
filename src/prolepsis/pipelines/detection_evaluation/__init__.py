"""Scores and labels to figures, tables and a picture: every detector on the same frames."""

from prolepsis.pipelines.detection_evaluation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
