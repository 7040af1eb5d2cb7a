"""From token shards to word vectors."""

import ctypes
import logging
import math
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from prolepsis.errors import ProlepsisError
from prolepsis.files import fingerprint
from prolepsis.text.word2vec.blocks import Block, Blocks, Engine, Rates, Tally, initial_tables
from prolepsis.text.word2vec.checkpoint import EpochStore, Tables
from prolepsis.text.word2vec.config import Word2VecConfig
from prolepsis.text.word2vec.vectors import WordVectors, unique_names
from prolepsis.text.word2vec.vocabulary import Vocabulary
from prolepsis.training.progress import Bar, progress

if TYPE_CHECKING:
    from prolepsis.text.token_shards import TokenShards, TokenSplit

_BLOCKS_AHEAD = 4  # of each thread, so that none waits for work
_TRAINING, _VALIDATION = 0, 1  # which random numbers are meant
_logger = logging.getLogger(__name__)


class TokenNames(Protocol):
    """What training asks of a tokenizer: which one it is, and the word of each id."""

    @property
    def hash(self) -> str: ...

    def words(self) -> list[str]: ...


@dataclass(frozen=True)
class TrainedWordVectors:
    """The vectors, and a row per epoch: `epoch`, `learning_rate`, `train_loss`, `validation_loss`, `pairs`.

    Losses are means per prediction in nats; that of an epoch of training is measured while it learns. The
    validation loss is None if the validation split has no pair of known words.
    """

    vectors: WordVectors
    curves: list[dict[str, float | None]]


def train_word_vectors(
    tokenizer: TokenNames, tokens: "TokenShards", config: Word2VecConfig
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
    if train.num_tokens == 0:
        raise ProlepsisError(
            "The training split has no token: all its documents are empty.",
            where=tokens.directory,
            remedy="look at the corpus report: which filter dropped the text?",
        )
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
        self, train: "TokenSplit", validation: "TokenSplit", vocabulary: Vocabulary, config: Word2VecConfig
    ) -> None:
        self.num_tokens = train.num_tokens
        self.blocks = {_TRAINING: Blocks(train), _VALIDATION: Blocks(validation)}
        self.vocabulary = vocabulary
        self.config = config
        self.device = resolve_device(config.device)  # "cpu", or what PyTorch calls another
        self.epoch = 0
        self.curves: list[dict[str, float | None]] = []

    def resume(self, run_fingerprint: str) -> None:
        """Builds the engine, from the last checkpoint if there is one of this run."""
        self.store = EpochStore(self.config.checkpoint_directory, run_fingerprint)
        last = self.store.latest()
        if last is None:
            tables = initial_tables(len(self.vocabulary.ids), self.config.dimension, self.config.seed)
        else:
            self.epoch, tables, self.curves = last
            _logger.info("Continuing after epoch %d of %d.", self.epoch, self.config.epochs)
        self.engine = _engine(self.vocabulary, self.config, tables, self.device)

    def executor(self) -> Any:
        """Threads for the CPU engine, or nothing where blocks are to be worked on one by one."""
        if self.config.threads == 1 or _is_gpu(self.device):
            return nullcontext()
        return ThreadPoolExecutor(self.config.threads)

    def train_epoch(self, bar: Bar, executor: Executor | None) -> None:
        """One pass over the training split, one over the validation split, and a checkpoint."""
        trained = Tally()
        for num_tokens, tally in self._work(executor, _TRAINING, self.epoch):
            trained += tally
            self._require_a_number("training", trained.loss)
            bar.advance(num_tokens)
            bar.note(f"epoch {self.epoch + 1}/{self.config.epochs}, loss {trained.mean or math.nan:.4f}")
        if trained.pairs == 0:
            raise ProlepsisError(
                "The training split has no two known words beside each other.",
                where="word2vec",
                remedy="lower min_count, raise subsample, or train on more text",
            )
        measured = Tally()
        for _, tally in self._work(executor, _VALIDATION, 0):
            measured += tally
            # The last updates of an epoch overflow after their own losses have been summed.
            self._require_a_number("validation", measured.loss)
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
        self.store.save(self.epoch, self.engine.tables(), self.curves)

    def vectors(self, tokenizer: TokenNames) -> WordVectors:
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
                "device": self.device,
                "train_tokens": self.num_tokens,
                "known_train_tokens": self.vocabulary.num_tokens,
                "train_loss": self.curves[-1]["train_loss"],
                "validation_loss": self.curves[-1]["validation_loss"],
            },
        )

    def _work(self, executor: Executor | None, purpose: int, epoch: int) -> Iterator[tuple[int, Tally]]:
        """Runs the engine on every block of a split; gives the tokens and the tally of each."""
        waiting: deque[tuple[int, Future[Tally]]] = deque()
        for task in self._tasks(purpose, epoch):
            num_tokens = len(task[0].tokens)
            if executor is None:
                yield num_tokens, self.engine.run(*task)
                continue
            waiting.append((num_tokens, executor.submit(self.engine.run, *task)))
            if len(waiting) > _BLOCKS_AHEAD * self.config.threads:
                num_tokens, future = waiting.popleft()
                yield num_tokens, future.result()
        for num_tokens, future in waiting:
            yield num_tokens, future.result()

    def _tasks(self, purpose: int, epoch: int) -> Iterator[tuple[Block, Rates, int]]:
        if purpose == _TRAINING:
            return training_tasks(self.blocks[purpose], self.config, self.num_tokens, epoch)
        tasks = _blocks_and_seeds(self.blocks[purpose], self.config.seed, purpose, epoch)
        return ((block, Rates(), seed) for block, seed in tasks)

    def _rates(self, position: int) -> Rates:
        return _rates_from(position, self.config, self.num_tokens)

    def _require_a_number(self, split: str, loss: float) -> None:
        if not math.isfinite(loss):
            raise ProlepsisError(
                f"The {split} loss became {loss}.",
                where=f"epoch {self.epoch + 1}",
                remedy="lower learning_rate",
            )


def training_tasks(
    blocks: Blocks, config: Word2VecConfig, num_tokens: int, epoch: int
) -> Iterator[tuple[Block, Rates, int]]:
    """What `Engine.run` is given for each block of a pass over the training split, in their order.

    Args:
        num_tokens: of the whole split.
        epoch: from 0; each has an order and random numbers of its own.
    """
    position = epoch * num_tokens
    for block, seed in _blocks_and_seeds(blocks, config.seed, _TRAINING, epoch):
        yield block, _rates_from(position, config, num_tokens), seed
        position += len(block.tokens)


def _blocks_and_seeds(blocks: Blocks, seed: int, purpose: int, epoch: int) -> Iterator[tuple[Block, int]]:
    for block in blocks.shuffled(_seed(seed, purpose, epoch)):
        yield block, _seed(seed, purpose, epoch, block.number)


def _rates_from(position: int, config: Word2VecConfig, num_tokens: int) -> Rates:
    """The learning rate from a token on, counted over all epochs (word2vec.c)."""
    rate = config.first_rate
    total = config.epochs * num_tokens + 1
    floor = rate * config.lowest_rate
    return Rates(max(rate * (1.0 - position / total), floor), rate / total, floor)


def _engine(vocabulary: Vocabulary, config: Word2VecConfig, tables: Tables, device: str) -> Engine:
    if _is_gpu(device):
        import torch

        from prolepsis.text.word2vec.gpu_engine import GpuEngine

        return GpuEngine(vocabulary, config, tables, torch.device(device))
    from prolepsis.text.word2vec.cpu_engine import CpuEngine

    return CpuEngine(vocabulary, config, tables)


def _is_gpu(device: str) -> bool:
    return device.partition(":")[0] == "cuda"


def resolve_device(name: str) -> str:
    """The device by its name in PyTorch, which is loaded only where the answer may be another than `cpu`.

    Raises:
        ProlepsisError: there is no such device.
    """
    if name == "cpu" or (name == "auto" and not _has_gpu_driver()):
        return "cpu"
    from prolepsis.training import device

    found = str(device.resolve_device(name))
    # Apple's GPUs have no engine of their own here; `auto` need not know that, who names one should.
    if found.startswith("mps") and name != "auto":
        raise ProlepsisError(
            "word2vec does not train on the device 'mps'.",
            where="word2vec.training.device",
            remedy="write auto, cpu or cuda",
        )
    return "cpu" if found.startswith("mps") else found


def _has_gpu_driver() -> bool:
    """Whether NVIDIA's or AMD's driver is here, without which PyTorch has no `cuda`."""
    if Path("/dev/kfd").exists():
        return True
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _fingerprint(tokens: "TokenShards", config: Word2VecConfig) -> str:
    values = config.model_dump(mode="json", exclude={"checkpoint_directory", "threads", "device"})
    return fingerprint({"tokens": tokens.meta, "config": values})


def _seed(*place: int) -> int:
    """A 63-bit seed that depends on all the given numbers."""
    return int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0] >> np.uint64(1))
