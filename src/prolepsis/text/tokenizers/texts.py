"""A corpus on disk as lists of texts, a few megabytes at a time."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

_BATCH_BYTES = 4 << 20
_MAX_BATCH_ROWS = 8_192


def document_batches(documents: pl.LazyFrame, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    """The columns of all documents, in order, in frames of about 4 MB of text.

    Args:
        documents: with at least `text` and `num_bytes`.
        columns: which columns the frames have.
    """
    mean_bytes = documents.select(pl.col("num_bytes").mean()).collect().item()
    if mean_bytes is None:  # no documents
        return
    rows = min(max(1, int(_BATCH_BYTES / max(mean_bytes, 1.0))), _MAX_BATCH_ROWS)
    yield from documents.select(columns).collect_batches(chunk_size=rows, maintain_order=True)


@dataclass(frozen=True)
class TrainingTexts:
    """The texts that a tokenizer is trained on, readable any number of times.

    Attributes:
        documents: with at least `id`, `text`, `split` and `num_bytes`; only the split `train` is read.
        sample_bytes: about how many bytes of text to take; None takes all.
        seed: another seed takes other documents. Which are taken depends on their ids, not on their order.
    """

    documents: pl.LazyFrame
    sample_bytes: int | None = None
    seed: int = 0

    def __iter__(self) -> Iterator[Sequence[str]]:
        train = self.documents.filter(pl.col("split") == "train")
        share = self._share(train)
        for frame in document_batches(train, ["id", "text"]):
            texts = frame["text"].to_list()
            if share < 1.0:
                texts = [
                    text for name, text in zip(frame["id"], texts, strict=True) if self._takes(name, share)
                ]
            yield texts

    def _share(self, train: pl.LazyFrame) -> float:
        if self.sample_bytes is None:
            return 1.0
        total = train.select(pl.col("num_bytes").cast(pl.Int64).sum()).collect().item()
        return self.sample_bytes / total if total else 1.0

    def _takes(self, name: str, share: float) -> bool:
        digest = hashlib.blake2b(
            name.encode(), digest_size=8, key=self.seed.to_bytes(8, "little", signed=True)
        )
        return int.from_bytes(digest.digest(), "little") < share * 2**64
