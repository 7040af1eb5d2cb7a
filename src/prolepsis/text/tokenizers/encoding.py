"""A whole corpus to tokens, on its way to disk."""

import hashlib
from collections.abc import Iterator, Sequence

import polars as pl

from prolepsis.text.token_shards import TokenizedDocuments, TokenizedPart, TokenStream
from prolepsis.text.tokenizers.sentences import sentence_starts
from prolepsis.text.tokenizers.texts import document_batches
from prolepsis.text.tokenizers.tokenizer import Tokenizer
from prolepsis.training.progress import progress

PART_BYTES = 64_000_000
"""How much text becomes one shard: what a killed run has to encode again at most."""


def encode(documents: pl.LazyFrame, tokenizer: Tokenizer) -> TokenStream:
    """The documents as tokens with their sentence starts; nothing is read before the stream is.

    Args:
        documents: with `id`, `text`, `language`, `split` and `num_bytes`.
        tokenizer: what encodes them.
    """
    return TokenStream(
        _parts(documents, tokenizer),
        vocabulary_size=tokenizer.vocabulary_size,
        tokenizer_hash=tokenizer.hash,
        special_ids=tokenizer.special_ids,
    )


def _parts(documents: pl.LazyFrame, tokenizer: Tokenizer) -> Iterator[TokenizedPart]:
    """Consecutive documents of about `PART_BYTES` of text."""
    total = documents.select(pl.len()).collect().item()
    with progress("Encoding", total, "documents") as bar:
        frames: list[pl.DataFrame] = []
        size = 0
        for frame in document_batches(documents, ["id", "text", "language", "split"]):
            frames.append(frame)
            size += int(frame["text"].str.len_bytes().cast(pl.Int64).sum())
            if size >= PART_BYTES:
                yield _part(frames, tokenizer)
                bar.advance(sum(frame.height for frame in frames))
                frames, size = [], 0
        if frames:
            yield _part(frames, tokenizer)
            bar.advance(sum(frame.height for frame in frames))


def _part(frames: Sequence[pl.DataFrame], tokenizer: Tokenizer) -> TokenizedPart:
    digest = hashlib.blake2b(digest_size=16)
    for frame in frames:
        digest.update(frame.hash_rows(seed=0).to_numpy().tobytes())

    def batches() -> Iterator[TokenizedDocuments]:
        for frame in frames:
            for (split,), part in frame.group_by("split", maintain_order=True):
                yield _encode(str(split), part, tokenizer)

    return TokenizedPart(digest.hexdigest(), batches)


def _encode(split: str, frame: pl.DataFrame, tokenizer: Tokenizer) -> TokenizedDocuments:
    texts = frame["text"].to_list()
    encodings = tokenizer.encode_batch_with_offsets(texts)
    return TokenizedDocuments(
        split=split,
        ids=frame["id"].to_list(),
        languages=frame["language"].to_list(),
        tokens=[encoding.ids for encoding in encodings],
        sentence_starts=[
            sentence_starts(text, encoding.offsets) for text, encoding in zip(texts, encodings, strict=True)
        ],
        num_bytes=int(frame["text"].str.len_bytes().cast(pl.Int64).sum()),
    )
