"""Documents to tokens: a tokenizer, its token shards and its report, for each variant."""

from prolepsis.pipelines.tokenization.pipeline import create_pipeline

__all__ = ["create_pipeline"]
