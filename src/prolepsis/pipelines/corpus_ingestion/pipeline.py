"""The graph of corpus ingestion."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from prolepsis.pipelines.corpus_ingestion.nodes import ingest_corpus


def create_pipeline(**_: Any) -> Pipeline:
    """From `raw_corpus` to `documents` and the report of how they came to be."""
    return Pipeline(
        [
            Node(
                ingest_corpus,
                ["raw_corpus", "params:corpus_ingestion"],
                [
                    "documents",
                    "dropped_documents",
                    "corpus_waterfall",
                    "corpus_waterfall_by_group",
                    "dropped_examples",
                    "corpus_files",
                    "set_aside_files",
                    "corpus_metrics",
                ],
                name="ingest_corpus",
                tags="resumable",
            )
        ]
    )
