"""What a user writes under `corpus_ingestion`."""

from prolepsis.text.corpus.config import IngestionConfig


class CorpusIngestionParams(IngestionConfig):
    """See `prolepsis.text.corpus.config.IngestionConfig`."""
