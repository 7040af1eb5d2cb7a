"""Pretrain a BERT on the encoded corpus."""

from prolepsis.pipelines.bert.pipeline import create_pipeline

__all__ = ["create_pipeline"]
