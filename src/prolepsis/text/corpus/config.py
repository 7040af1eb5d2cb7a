"""What a user may say about the making of a corpus, checked before anything is read."""

from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from prolepsis.plugins import PluginChoice, configure
from prolepsis.text.corpus.files import Decoding
from prolepsis.text.corpus.normalisation import NormalisationConfig
from prolepsis.text.corpus.presets import PRESETS

READERS = "prolepsis.corpus_readers"
FILTERS = "prolepsis.corpus_filters"


class FilterChoice(PluginChoice):
    """A filter and its thresholds."""

    group: ClassVar[str] = FILTERS


class IngestionConfig(BaseModel):
    """How a corpus is made from files."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    include: list[str] = Field(default=["**/*"], min_length=1)
    """Which files to read: patterns of paths inside the folder."""
    exclude: list[str] = []
    """Which of them to leave alone."""
    readers: dict[str, dict[str, Any]] = {}
    """Settings of readers by name. Every installed reader takes the files with its suffixes, set or not."""
    decoding: Decoding = Decoding()
    """How bytes become characters."""
    normalisation: NormalisationConfig = NormalisationConfig()
    """How characters are written."""
    filters: list[FilterChoice]
    """In the order in which they are applied; or the name of a preset, `fineweb` or `books`."""
    max_bad_share: float = Field(default=0.2, ge=0, le=1)
    """Bad files are set aside; where more than this share is bad, nothing is made."""
    max_document_megabytes: float = Field(default=16, gt=0, le=1000)
    """A file with a larger document (or line) is a bad one: what any file can ask of memory is bounded."""
    validation_share: float = Field(default=0.05, ge=0, lt=1)
    """The share of documents, by a hash of their text, that is for validation."""
    shard_megabytes: float = Field(default=64, gt=0, le=10_000)
    """How much text goes into one shard of the result."""
    num_processes: int | None = Field(default=None, ge=1)
    """How many processes share the work; null takes one for each processor. The result is the same."""
    checkpoint_directory: Path | None = None
    """Where finished shards of work lie until the corpus is written, so that a killed run can go on. Null
    takes a temporary folder, and a killed run starts again."""

    @field_validator("filters", mode="before")
    @classmethod
    def _name_of_preset(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value not in PRESETS:
            raise ValueError(f"there is no preset {value!r}; there are {', '.join(sorted(PRESETS))}")
        return PRESETS[value]

    @model_validator(mode="after")
    def _check_readers(self) -> "IngestionConfig":
        for name, values in self.readers.items():
            configure(READERS, name, values)
        return self
