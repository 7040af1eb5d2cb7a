"""Fine-tune the encoder on labelled tasks, and compare it with simple methods and with no pretraining."""

from prolepsis.pipelines.downstream.pipeline import create_pipeline

__all__ = ["create_pipeline"]
