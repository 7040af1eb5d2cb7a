"""A split's documents in blocks: the unit of work, of the progress bar and of a thread."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from prolepsis.text.token_shards import TokenShard, TokenSplit

CACHE_LINE = 64  # bytes
BLOCK_TOKENS = 1 << 13


@dataclass(frozen=True)
class Block:
    """Some documents of one shard, whole but for those that are longer than a block.

    Attributes:
        number: from 0 within the split.
        tokens: ids `[N]`.
        offsets: where each document, or what the block has of it, begins in `tokens`, and the last ends,
            int64 `[documents + 1]`.
    """

    number: int
    tokens: NDArray[Any]
    offsets: NDArray[np.int64]


class Rates(NamedTuple):
    """The learning rate of a block: `first` at its first token, `fall` less with each, at least `floor`."""

    first: float = 0.0
    fall: float = 0.0
    floor: float = 0.0


@dataclass(frozen=True)
class Tally:
    """Predictions made (skip-gram's pairs, CBOW's windows), and the sum of their losses in nats."""

    loss: float = 0.0
    pairs: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.loss + other.loss, self.pairs + other.pairs)

    @property
    def mean(self) -> float | None:
        """The mean loss of a prediction, or None if there was none."""
        return self.loss / self.pairs if self.pairs else None


class Engine(Protocol):
    """Holds the two tables of word2vec and trains them, block by block.

    A prediction scores output vectors `o` against a vector `x`: in skip-gram the input vector of a context
    word, in CBOW the mean of a window's. Its loss is `-sum log s(±x·o)`, `s` the logistic function. In
    negative sampling the centre's output vector has the sign +, those of its noise words -; a noise word that
    is the centre itself is left out. In hierarchical softmax the signs are the branches to the centre.
    """

    def run(self, block: Block, rates: Rates, seed: int) -> Tally:
        """Trains on a block; its losses are those before each update. A rate of zero only measures."""
        ...

    def tables(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Input and output vectors, float32 `[V, dimension]` each: views, where training goes on in them."""
        ...


class Blocks:
    """All documents of a split in blocks of `block_tokens` at most.

    A document that fits into a block is never divided. A longer one is cut after every `block_tokens`, or the
    learning rate would stay the same in all of it, and a corpus of one file would be the work of one thread.
    The cut bounds a window, as the end of a document does. It falls between any two tokens: windows run over
    the ends of sentences anyway, and to know those, training would have to read Parquet.

    A block can be taken in any order: a corpus often comes sorted, by language or source, and training in
    that order forgets the first while it learns the last. Each is read from its file when it is taken, so
    that memory holds no more of the corpus than is being worked on.
    """

    def __init__(self, split: "TokenSplit", block_tokens: int = BLOCK_TOKENS) -> None:
        self._split = split
        bounds = [_block_bounds(shard.offsets, block_tokens) for shard in split.shards]
        self._shards = np.repeat(np.arange(len(bounds)), [len(part) - 1 for part in bounds])
        self._start = np.concatenate([part[:-1] for part in bounds])
        self._stop = np.concatenate([part[1:] for part in bounds])

    def __len__(self) -> int:
        return len(self._shards)

    def __getitem__(self, number: int) -> Block:
        shard = self._split.shards[self._shards[number]]
        start, stop = int(self._start[number]), int(self._stop[number])
        first = np.searchsorted(shard.offsets, start, side="right")
        last = np.searchsorted(shard.offsets, stop, side="left")
        offsets = np.concatenate([[start], shard.offsets[first:last], [stop]]) - start
        return Block(number, _read(shard, start, stop), offsets)

    def shuffled(self, seed: int) -> Iterator[Block]:
        """Every block once, in an order that depends on the seed."""
        for number in np.random.default_rng(seed).permutation(len(self)):
            yield self[int(number)]


def _read(shard: "TokenShard", start: int, stop: int) -> NDArray[Any]:
    """The shard's ids from `start` to `stop`. A mapped file would stay in memory with all its pages."""
    return np.fromfile(shard.tokens_path, shard.dtype, stop - start, offset=start * shard.dtype.itemsize)


def _block_bounds(offsets: NDArray[np.int64], block_tokens: int) -> NDArray[np.int64]:
    """Where each block begins in the tokens of a shard, and the last one ends, int64 `[blocks + 1]`."""
    bounds = [0]
    while bounds[-1] < offsets[-1]:
        furthest = bounds[-1] + block_tokens
        end = int(offsets[np.searchsorted(offsets, furthest, side="right") - 1])
        bounds.append(end if end > bounds[-1] else furthest)
    return np.array(bounds, dtype=np.int64)


def initial_tables(rows: int, dimension: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Input vectors uniform in ±0.5 / dimension, output vectors zero, as in word2vec.c."""
    inputs, outputs = (aligned_zeros((rows, dimension), np.dtype(np.float32)) for _ in range(2))
    np.random.default_rng(seed).random(dtype=np.float32, out=inputs)
    inputs -= np.float32(0.5)
    inputs /= np.float32(dimension)
    return inputs, outputs


def aligned_zeros(shape: tuple[int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Zeros that begin with a cache line: rows of whole lines then share none with their neighbours."""
    memory = np.zeros(math.prod(shape) * dtype.itemsize + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : len(memory) - CACHE_LINE + start].view(dtype).reshape(shape)
