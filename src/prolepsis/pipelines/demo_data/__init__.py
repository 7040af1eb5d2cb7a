"""Real words and rendered people for a first run, from installed packages alone."""

from prolepsis.pipelines.demo_data.pipeline import create_pipeline

__all__ = ["create_pipeline"]
