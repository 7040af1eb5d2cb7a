"""Training and encoding here and in the libraries that do the same, in CPU seconds, one run.

    python benchmarks/tokenization.py TEXTS.parquet [--megabytes 20] [--vocabulary 16384] [--column text]

Texts are cut into paragraphs. CPU time is that of all threads of the process; compiled code is compiled, and
each tokenizer loaded, before the clock starts. `tokenizers` trains all but Unigram from the same words, and
encodes from the same `tokenizer.json`, offsets included, as its `encode_batch` does. "first" is a tokenizer
that has not seen a text yet, "again" one that remembers its words, as it does of a larger corpus.
"""

import argparse
import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import rustbpe
import sentencepiece
import tiktoken
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from prolepsis import plugins
from prolepsis.text.tokenizers import Tokenizer, byte_level
from prolepsis.text.tokenizers.trainer import WordTrainer

GROUP = "prolepsis.tokenizers"
NAMES = ("byte_bpe", "wordpiece", "bpe", "unigram", "word_level")
DOCUMENTS_AT_ONCE = 8_192


@dataclass
class Clock:
    megabytes: float

    def __call__(self, name: str, work: Callable[[], Any], *, peer: float | None = None) -> tuple[Any, float]:
        start = time.process_time()
        result = work()
        seconds = time.process_time() - start
        ratio = "" if peer is None else f"{peer / seconds:7.2f} x tokenizers"
        print(f"  {name:44}{seconds:8.2f} CPU s{self.megabytes / seconds:8.2f} MB/CPU s{ratio}", flush=True)
        return result, seconds


def paragraphs(file: Path, column: str, megabytes: float) -> list[str]:
    texts = pl.read_parquet(file, columns=[column])[column].str.replace_all("\r\n", "\n")
    found = texts.str.split("\n\n").explode()
    found = found.filter(found != "")
    return found.filter(found.str.len_bytes().cum_sum() <= megabytes * 1e6).to_list()


def trainer_of(name: str, size: int) -> WordTrainer:
    trainer: WordTrainer = plugins.load(GROUP, name)(
        plugins.configure(GROUP, name, {"vocabulary_size": size})
    )
    return trainer


def train_with_tokenizers(
    name: str, tokenizer: Tokenizer, texts: list[str], size: int
) -> tokenizers.Tokenizer:
    """The same algorithm with the same preparation of text."""
    engine = tokenizers.Tokenizer.from_str(tokenizer.definition)
    special = list(tokenizer.special_tokens.values())
    common = {"vocab_size": size, "special_tokens": special, "show_progress": False}
    if name == "unigram":
        engine.model = models.Unigram()
        trainer = trainers.UnigramTrainer(unk_token=tokenizer.special_tokens["unk"], **common)
    elif name == "wordpiece":
        engine.model = models.WordPiece(unk_token=tokenizer.special_tokens["unk"])
        trainer = trainers.WordPieceTrainer(min_frequency=2, limit_alphabet=1_000, **common)
    elif name == "word_level":
        engine.model = models.WordLevel(unk_token=tokenizer.special_tokens["unk"])
        trainer = trainers.WordLevelTrainer(min_frequency=2, **common)
    else:
        alphabet = pre_tokenizers.ByteLevel.alphabet() if name == "byte_bpe" else []
        engine.model = models.BPE()
        trainer = trainers.BpeTrainer(min_frequency=2, initial_alphabet=alphabet, **common)
    engine.train_from_iterator(texts, trainer)
    return engine


def encode(tokenizer: Tokenizer, texts: list[str], *, offsets: bool = False) -> list[Any]:
    work = tokenizer.encode_batch_with_offsets if offsets else tokenizer.encode_batch
    batches = [texts[i : i + DOCUMENTS_AT_ONCE] for i in range(0, len(texts), DOCUMENTS_AT_ONCE)]
    return [encoding for batch in batches for encoding in work(batch)]


def same(found: list[Any], expected: list[Any]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def loaded(tokenizer: Tokenizer) -> Tokenizer:
    """A tokenizer that has not met a word."""
    fresh = Tokenizer(tokenizer.definition, tokenizer.plugin, tokenizer.config, tokenizer.special_tokens)
    fresh.encode_batch([""])
    return fresh


def train_peers(name: str, texts: list[str], size: int, clock: Clock, peer: float | None) -> Any:
    if name == "byte_bpe":
        rust = rustbpe.Tokenizer()
        pattern = byte_level.PATTERNS["gpt4"]
        clock("rustbpe", lambda: rust.train_from_iterator(iter(texts), size - 4, pattern=pattern), peer=peer)
    if name in ("bpe", "unigram"):
        model = io.BytesIO()
        lines = [" ".join(text.split()) for text in texts]
        clock(
            "sentencepiece, from text",
            lambda: sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(lines),
                model_writer=model,
                model_type=name,
                vocab_size=size,
                character_coverage=1.0,
                num_threads=1,
                minloglevel=2,
            ),
            peer=peer,
        )
        return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return None


def encode_with_peers(
    name: str, tokenizer: Tokenizer, peer: Any, texts: list[str], clock: Clock, hf: float
) -> None:
    if name == "byte_bpe":
        vocabulary = json.loads(tokenizer.definition)["model"]["vocab"]
        special = set(tokenizer.special_tokens.values())
        library = tiktoken.Encoding(
            name,
            pat_str=byte_level.PATTERNS["gpt4"],
            mergeable_ranks={
                bytes(byte_level.BYTES[sign] for sign in token): number
                for token, number in vocabulary.items()
                if token not in special
            },
            special_tokens={},
        )
        ids, _ = clock(
            "tiktoken (ids only)", lambda: [library.encode_ordinary(text) for text in texts], peer=hf
        )
        print(f"  its ids are the same: {same(ids, tokenizer.encode_batch(texts))}")
    if peer is not None:
        clock("sentencepiece, its own model (ids only)", lambda: peer.encode(texts, num_threads=1), peer=hf)


def measure(name: str, texts: list[str], size: int, clock: Clock, *, compare_training: bool) -> None:
    print(f"{name}, vocabulary {size:,}: training")
    trainer = trainer_of(name, size)
    small: Tokenizer = trainer.train([texts[:2_000]])  # compiles
    hf_train = None
    if compare_training:
        _, hf_train = clock("tokenizers", lambda: train_with_tokenizers(name, small, texts, size))
    tokenizer, _ = clock("prolepsis", lambda: trainer.train([texts]), peer=hf_train)
    counts = trainer.count([texts])
    sizes = [size // 4, size // 2, size, size * 2]
    clock("prolepsis, 4 sizes from counted words", lambda: trainer.train_many(counts, sizes))
    peer = train_peers(name, texts, size, clock, hf_train)

    print(f"{name}: encoding")
    library = tokenizers.Tokenizer.from_str(tokenizer.definition)
    library.encode_special_tokens = True
    expected, hf = clock("tokenizers", lambda: library.encode_batch(texts, add_special_tokens=False))
    fresh = loaded(tokenizer)
    found, _ = clock("prolepsis, first", lambda: encode(fresh, texts), peer=hf)
    clock("prolepsis, again", lambda: encode(fresh, texts), peer=hf)
    other = loaded(tokenizer)
    offsets, _ = clock("prolepsis with offsets", lambda: encode(other, texts, offsets=True), peer=hf)
    print(f"  ids are the same: {same(found, [encoding.ids for encoding in expected])}")
    expected_offsets = [np.array(encoding.offsets).reshape(-1, 2) for encoding in expected]
    print(f"  offsets are the same: {same([own.offsets for own in offsets], expected_offsets)}")
    print(f"  bytes per token: {clock.megabytes * 1e6 / sum(map(len, found)):.3f}")
    encode_with_peers(name, tokenizer, peer, texts, clock, hf)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--column", default="text")
    parser.add_argument("--megabytes", type=float, default=20.0)
    parser.add_argument("--vocabulary", type=int, default=16_384)
    parser.add_argument("--only", nargs="*", default=NAMES, choices=NAMES)
    parser.add_argument("--train-unigram-with-tokenizers", action="store_true", help="takes minutes")
    arguments = parser.parse_args()

    texts = paragraphs(arguments.texts, arguments.column, arguments.megabytes)
    clock = Clock(sum(len(text.encode()) for text in texts) / 1e6)
    print(f"{len(texts):,} paragraphs, {clock.megabytes:.1f} MB; tokenizers {tokenizers.__version__}")
    for name in arguments.only:
        compare_training = name != "unigram" or arguments.train_unigram_with_tokenizers
        measure(name, texts, arguments.vocabulary, clock, compare_training=compare_training)


if __name__ == "__main__":
    main()
