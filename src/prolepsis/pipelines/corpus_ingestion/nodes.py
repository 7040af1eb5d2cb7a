"""The node that makes a corpus."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from prolepsis.pipelines.corpus_ingestion.params import CorpusIngestionParams


def ingest_corpus(
    raw_corpus: Path, parameters: CorpusIngestionParams
) -> tuple[
    Iterable[pl.DataFrame],
    Iterable[pl.DataFrame],
    pl.DataFrame,
    pl.DataFrame,
    pl.DataFrame,
    pl.DataFrame,
    pl.DataFrame,
    dict[str, Any],
]:
    """Reads, cleans, filters and deduplicates the files of a folder.

    Returns:
        The documents and the dropped ones as shards; the waterfall of the filters, the same by language and
        source, and examples of what was dropped; the files that were read, those that were set aside, and the
        metrics.
    """
    from prolepsis.text.corpus.ingestion import ingest_corpus as ingest

    corpus = ingest(raw_corpus, parameters)
    return (
        corpus.documents,
        corpus.dropped,
        corpus.waterfall,
        corpus.waterfall_by_group,
        corpus.examples,
        corpus.files,
        corpus.set_aside,
        corpus.metrics,
    )
