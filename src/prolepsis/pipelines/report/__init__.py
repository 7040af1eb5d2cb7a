"""One page that shows what a run made of its words and frames."""

from prolepsis.pipelines.report.pipeline import create_pipeline

__all__ = ["create_pipeline"]
