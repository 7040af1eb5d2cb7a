"""A whole corpus to tokens, on its way to disk."""

from collections.abc import Iterator

import polars as pl

from prolepsis.text.token_shards import TokenizedDocuments, TokenStream
from prolepsis.text.tokenizers.sentences import sentence_starts
from prolepsis.text.tokenizers.texts import document_batches
from prolepsis.text.tokenizers.tokenizer import Tokenizer
from prolepsis.training.progress import progress


def encode(documents: pl.LazyFrame, tokenizer: Tokenizer) -> TokenStream:
    """The documents as tokens with their sentence starts; nothing is read before the stream is.

    Args:
        documents: with `id`, `text`, `language`, `split` and `num_bytes`.
        tokenizer: what encodes them.
    """
    return TokenStream(
        _batches(documents, tokenizer),
        vocabulary_size=tokenizer.vocabulary_size,
        tokenizer_hash=tokenizer.hash,
        special_ids=tokenizer.special_ids,
    )


def _batches(documents: pl.LazyFrame, tokenizer: Tokenizer) -> Iterator[TokenizedDocuments]:
    total = documents.select(pl.len()).collect().item()
    with progress("Encoding", total, "documents") as bar:
        for frame in document_batches(documents, ["id", "text", "language", "split"]):
            for (split,), part in frame.group_by("split", maintain_order=True):
                yield _encode(str(split), part, tokenizer)
            bar.advance(frame.height)


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
    )
