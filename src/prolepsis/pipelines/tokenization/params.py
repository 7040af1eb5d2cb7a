"""What a user writes under `tokenization.<variant>`."""

from typing import ClassVar

from pydantic import Field

from prolepsis.plugins import PluginChoice


class TokenizerParams(PluginChoice):
    """A tokenizer plugin, its configuration, and the text that it is trained on.

    Attributes:
        sample_bytes: about how many bytes of the train split to train on; all of it where it is null.
        seed: which documents are sampled.
        vocabulary_sizes: what is trained and measured too, to compare sizes.
    """

    group: ClassVar[str] = "prolepsis.tokenizers"

    sample_bytes: int | None = Field(default=None, gt=0)
    seed: int = Field(default=0, ge=0)
    vocabulary_sizes: list[int] = Field(default=[4_000, 8_000, 16_000, 32_000], min_length=1)
