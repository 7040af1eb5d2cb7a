"""A corpus on disk as lists of texts, a few megabytes at a time."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from prolepsis.errors import ProlepsisError
from prolepsis.training.progress import progress

_BATCH_BYTES = 4 << 20
_MAX_BATCH_ROWS = 8_192
_SIZE = "__size"


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
    sized = documents.select(*columns, pl.col("num_bytes").cast(pl.Int64).alias(_SIZE))
    for batch in sized.collect_batches(chunk_size=rows, maintain_order=True):
        yield from (part.drop(_SIZE) for part in _of_bounded_size(batch))


def _of_bounded_size(batch: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The rows in parts of at most twice `_BATCH_BYTES`, or of one: long documents may lie together."""
    sizes = batch[_SIZE].to_list()
    start = total = 0
    for row, size in enumerate(sizes):
        if row > start and total + size > 2 * _BATCH_BYTES:
            yield batch[start:row]
            start, total = row, 0
        total += size
    yield batch[start:]


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
        total = train.select(pl.col("num_bytes").cast(pl.Int64).sum()).collect().item()
        share = 1.0 if self.sample_bytes is None else self.sample_bytes / max(total, 1)
        taken = 0
        with progress("Reading the training text", total / 1e6, "MB") as bar:
            for frame in document_batches(train, ["id", "text", "num_bytes"]):
                texts = self._sample(frame, share)
                taken += len(texts)
                yield texts
                bar.advance(float(frame["num_bytes"].sum()) / 1e6)
        if taken == 0:
            raise ProlepsisError(
                "There is no document to train a tokenizer on.",
                where="documents, split train",
                remedy="Look at the corpus report for what was dropped, or raise 'sample_bytes'.",
            )

    def _sample(self, frame: pl.DataFrame, share: float) -> list[str]:
        texts = frame["text"].to_list()
        if share >= 1.0:
            return texts
        names = frame["id"].to_list()
        return [text for name, text in zip(names, texts, strict=True) if self._takes(name, share)]

    def _takes(self, name: str, share: float) -> bool:
        digest = hashlib.blake2b(f"{self.seed} {name}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little") < share * 2**64
