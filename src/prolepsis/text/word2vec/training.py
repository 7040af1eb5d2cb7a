"""From token shards to word vectors."""

import logging
import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from prolepsis.errors import ProlepsisError
from prolepsis.files import fingerprint
from prolepsis.text.token_shards import TokenShards, TokenSplit
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.text.word2vec.blocks import Blocks, Engine, Rates, Tally, initial_tables
from prolepsis.text.word2vec.config import Word2VecConfig
from prolepsis.text.word2vec.vectors import WordVectors, unique_names
from prolepsis.text.word2vec.vocabulary import Vocabulary
from prolepsis.training.checkpoint import CheckpointStore
from prolepsis.training.device import resolve_device
from prolepsis.training.progress import Bar, progress

_BLOCKS_AHEAD = 4  # of each thread, so that none waits for work
_TRAINING, _VALIDATION = 0, 1  # which random numbers are meant
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedWordVectors:
    """The vectors, and a row per epoch: `epoch`, `learning_rate`, `train_loss`, `validation_loss`, `pairs`.

    Losses are means per prediction in nats; that of an epoch of training is measured while it learns. The
    validation loss is None if the validation split has no pair of known words.
    """

    vectors: WordVectors
    curves: list[dict[str, float | None]]


def train_word_vectors(
    tokenizer: Tokenizer, tokens: TokenShards, config: Word2VecConfig
) -> TrainedWordVectors:
    """Trains on the split `train` and measures the same loss on `val` after every epoch.

    A run that is killed goes on from its last whole epoch; with one thread it ends with the same vectors, bit
    for bit, as one never interrupted. `clear_checkpoints` removes the last one when the vectors are written.

    Raises:
        ProlepsisError: the shards are another tokenizer's, a split is missing, too few tokens are left, or
            the loss stops being a number.
    """
    tokens.require_tokenizer(tokenizer.hash)
    train, validation = tokens.split("train"), tokens.split("val")
    vocabulary = Vocabulary.count(
        train, tokens.vocabulary_size, config.min_count, sorted(tokens.special_ids.values())
    )
    run = _Run(train, validation, vocabulary, config)
    run.resume(_fingerprint(tokens, config))
    total = config.epochs * train.num_tokens
    with progress("Training word vectors", total, "tokens") as bar, run.executor() as executor:
        bar.advance(run.epoch * train.num_tokens)
        while run.epoch < config.epochs:
            run.train_epoch(bar, executor)
    return TrainedWordVectors(run.vectors(tokenizer), run.curves)


class _Run:
    """A training run in progress."""

    def __init__(
        self, train: TokenSplit, validation: TokenSplit, vocabulary: Vocabulary, config: Word2VecConfig
    ) -> None:
        self.num_tokens = train.num_tokens
        self.blocks = {_TRAINING: Blocks(train), _VALIDATION: Blocks(validation)}
        self.vocabulary = vocabulary
        self.config = config
        self.device = resolve_device(config.device)
        self.epoch = 0
        self.curves: list[dict[str, float | None]] = []

    def resume(self, run_fingerprint: str) -> None:
        """Builds the engine, from the last checkpoint if there is one of this run."""
        self.store = CheckpointStore(self.config.checkpoint_directory, run_fingerprint)
        tables = initial_tables(len(self.vocabulary.ids), self.config.dimension, self.config.seed)
        checkpoint = self.store.latest()
        if checkpoint is not None:
            tables = checkpoint.tensors["inputs"].numpy(), checkpoint.tensors["outputs"].numpy()
            self.epoch, self.curves = checkpoint.step, checkpoint.state["curves"]
            _logger.info("Continuing after epoch %d of %d.", self.epoch, self.config.epochs)
        self.engine = _engine(self.vocabulary, self.config, tables, self.device)

    def executor(self) -> Any:
        """Threads for the CPU engine, or nothing where blocks are to be worked on one by one."""
        if self.config.threads == 1 or self.device.type == "cuda":
            return nullcontext()
        return ThreadPoolExecutor(self.config.threads)

    def train_epoch(self, bar: Bar, executor: Executor | None) -> None:
        """One pass over the training split, one over the validation split, and a checkpoint."""
        trained = Tally()
        for num_tokens, tally in self._work(executor, _TRAINING, self.epoch):
            trained += tally
            bar.advance(num_tokens)
            bar.note(f"epoch {self.epoch + 1}/{self.config.epochs}, loss {trained.mean or math.nan:.4f}")
        self._require_numbers(trained)
        measured = Tally()
        for _, tally in self._work(executor, _VALIDATION, 0):
            measured += tally
        self.epoch += 1
        self.curves.append(
            {
                "epoch": self.epoch,
                "learning_rate": self._rates(self.epoch * self.num_tokens).first,
                "train_loss": trained.mean,
                "validation_loss": measured.mean,
                "pairs": trained.pairs,
            }
        )
        inputs, outputs = self.engine.tables()
        tensors = {"inputs": torch.from_numpy(inputs), "outputs": torch.from_numpy(outputs)}
        self.store.save(self.epoch, tensors, {"curves": self.curves})

    def vectors(self, tokenizer: Tokenizer) -> WordVectors:
        names = tokenizer.words()
        ids = self.vocabulary.ids.tolist()
        return WordVectors(
            words=unique_names([names[i] for i in ids], ids),
            counts=self.vocabulary.counts,
            languages=self.vocabulary.languages,
            vectors=self.engine.tables()[0],
            metadata={
                "tokenizer_hash": tokenizer.hash,
                "config": self.config.model_dump(mode="json", exclude={"checkpoint_directory"}),
                "device": self.device.type,
                "train_tokens": self.num_tokens,
                "known_train_tokens": self.vocabulary.num_tokens,
                "train_loss": self.curves[-1]["train_loss"],
                "validation_loss": self.curves[-1]["validation_loss"],
            },
        )

    def _work(self, executor: Executor | None, purpose: int, epoch: int) -> Iterator[tuple[int, Tally]]:
        """Runs the engine on every block of a split; gives the tokens and the tally of each."""
        seed = self.config.seed
        position = epoch * self.num_tokens
        waiting: deque[tuple[int, Future[Tally]]] = deque()
        for block in self.blocks[purpose].shuffled(_seed(seed, purpose, epoch)):
            rates = self._rates(position) if purpose == _TRAINING else Rates()
            task = (block, rates, _seed(seed, purpose, epoch, block.number))
            position += len(block.tokens)
            if executor is None:
                yield len(block.tokens), self.engine.run(*task)
                continue
            waiting.append((len(block.tokens), executor.submit(self.engine.run, *task)))
            if len(waiting) > _BLOCKS_AHEAD * self.config.threads:
                num_tokens, future = waiting.popleft()
                yield num_tokens, future.result()
        for num_tokens, future in waiting:
            yield num_tokens, future.result()

    def _rates(self, position: int) -> Rates:
        """The learning rate from a token on, counted over all epochs (word2vec.c)."""
        rate = self.config.first_rate
        total = self.config.epochs * self.num_tokens + 1
        floor = rate * self.config.lowest_rate
        return Rates(max(rate * (1.0 - position / total), floor), rate / total, floor)

    def _require_numbers(self, trained: Tally) -> None:
        if trained.pairs == 0:
            raise ProlepsisError(
                "The training split has no two known words beside each other.",
                where="word2vec",
                remedy="lower min_count, raise subsample, or train on more text",
            )
        if not math.isfinite(trained.loss):
            raise ProlepsisError(
                f"The training loss became {trained.loss}.",
                where=f"epoch {self.epoch + 1}",
                remedy="lower learning_rate",
            )


def _engine(
    vocabulary: Vocabulary,
    config: Word2VecConfig,
    tables: tuple[NDArray[np.float32], NDArray[np.float32]],
    device: torch.device,
) -> Engine:
    if device.type == "cuda":
        from prolepsis.text.word2vec.gpu_engine import GpuEngine

        return GpuEngine(vocabulary, config, tables, device)
    from prolepsis.text.word2vec.cpu_engine import CpuEngine

    return CpuEngine(vocabulary, config, tables)


def _fingerprint(tokens: TokenShards, config: Word2VecConfig) -> str:
    values = config.model_dump(mode="json", exclude={"checkpoint_directory", "threads", "device"})
    return fingerprint({"tokens": tokens.meta, "config": values})


def _seed(*place: int) -> int:
    """A 63-bit seed that depends on all the given numbers."""
    return int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0] >> np.uint64(1))
