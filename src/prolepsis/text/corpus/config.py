"""What a user may say about the making of a corpus, checked before anything is read."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from prolepsis.plugins import PluginChoice, configure

READERS = "prolepsis.corpus_readers"
FILTERS = "prolepsis.corpus_filters"


class FilterChoice(PluginChoice):
    """A filter and its thresholds."""

    group: ClassVar[str] = FILTERS


class IngestionConfig(BaseModel):
    """How a corpus is made from files."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    readers: dict[str, dict[str, Any]] = {}
    """Settings of readers by name. Every installed reader takes the files with its suffixes, set or not."""
    filters: list[FilterChoice]
    """In the order in which they are applied."""
    max_bad_share: float = Field(default=0.2, ge=0, le=1)
    """Bad files are set aside; where more than this share is bad, nothing is made."""
    max_document_megabytes: float = Field(default=16, gt=0)
    """A file with a larger document (or line) is a bad one: what any file can ask of memory is bounded."""
    validation_share: float = Field(default=0.05, ge=0, lt=1)
    """The share of documents, by a hash of their text, that is for validation."""
    shard_megabytes: float = Field(default=64, gt=0)
    """How much text goes into one shard of the result."""

    @model_validator(mode="after")
    def _check_readers(self) -> "IngestionConfig":
        for name, values in self.readers.items():
            configure(READERS, name, values)
        return self
