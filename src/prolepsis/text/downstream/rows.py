"""Rows of tokens with targets, and batches of them: dynamic padding, rows of like length together.

Batches are cut from an endless sequence of rows, in which every row comes once before any comes twice. They
depend on the seed and their number alone, so that an interrupted training sees the same ones again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_BATCHES_SORTED_TOGETHER = 32  # at most
# Streams of random numbers that must not repeat one another.
_ROWS, _BATCHES = 0, 1


@dataclass(frozen=True)
class Row:
    """One row of tokens.

    Attributes:
        example: which of the split's examples it is of.
        token_ids: with [CLS] and [SEP].
        second_start: where the second segment begins; the length where there is none.
        places: the tokens that something is said of, rising.
        targets: what is to be said, in the way of the task's head.
        origin: what the head needs to know to go back from tokens to the text.
    """

    example: int
    token_ids: NDArray[np.int64]
    second_start: int
    places: NDArray[np.int64]
    targets: NDArray[np.int64]
    origin: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.token_ids)


@dataclass(frozen=True)
class Batch:
    """Rows padded to the longest of them.

    Attributes:
        token_ids, token_types, positions: int64 [rows, length].
        is_token: boolean [rows, length], false on padding.
        place_rows, places: int64 [N], the row and the position of each token that something is said of.
        targets: int64 [N], or [rows, 2] for answers, as the head has it.
        has_padding: whether any row is shorter than the longest.
        num_targets: how many targets the mean of the loss is taken over. Where an optimizer step's batch
            comes in parts, it is an equal share of the whole step's, so that the mean over the parts is the
            mean over the step.
    """

    token_ids: Tensor
    token_types: Tensor
    positions: Tensor
    is_token: Tensor
    place_rows: Tensor
    places: Tensor
    targets: Tensor
    has_padding: bool
    num_targets: float

    def to(self, device: torch.device) -> Self:
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        moved: dict[str, Any] = {
            name: value.to(device, non_blocking=True) for name, value in values if isinstance(value, Tensor)
        }
        return replace(self, **moved)

    @property
    def attention_mask(self) -> Tensor | None:
        """What is added to attention scores, [rows, 1, 1, length]: no token looks at padding.

        None where there is none.
        """
        if not self.has_padding:
            return None
        scores = torch.zeros(self.is_token.shape, device=self.is_token.device)
        return scores.masked_fill_(~self.is_token, float("-inf"))[:, None, None, :]


def collate(rows: Sequence[Row], pad_id: int, num_targets: float | None = None) -> Batch:
    """Rows as one batch; `num_targets` where the rows are only a part of an optimizer step's batch."""
    length = max(map(len, rows))
    token_ids = np.full((len(rows), length), pad_id, np.int64)
    token_types = np.zeros((len(rows), length), np.int64)
    is_token = np.zeros((len(rows), length), np.bool_)
    for number, row in enumerate(rows):
        token_ids[number, : len(row)] = row.token_ids
        token_types[number, row.second_start : len(row)] = 1
        is_token[number, : len(row)] = True
    places = [row.places for row in rows]
    targets = np.concatenate([row.targets for row in rows])
    return Batch(
        token_ids=torch.from_numpy(token_ids),
        token_types=torch.from_numpy(token_types),
        positions=torch.arange(length).expand(len(rows), length),
        is_token=torch.from_numpy(is_token),
        place_rows=torch.from_numpy(np.repeat(np.arange(len(rows)), [len(one) for one in places])),
        places=torch.from_numpy(np.concatenate(places)),
        targets=torch.from_numpy(targets),
        has_padding=not is_token.all(),
        num_targets=max(1, len(targets)) if num_targets is None else num_targets,
    )


class BatchSequence:
    """An endless sequence of batches of `batch_size` rows, any of which can be had by its number."""

    def __init__(self, lengths: NDArray[np.int64], batch_size: int, seed: int) -> None:
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        # A pool is never more than a pass, or like lengths would bring a row and itself into one batch.
        self._pool_batches = max(1, min(_BATCHES_SORTED_TOGETHER, len(lengths) // batch_size))
        self._pools: dict[int, list[NDArray[np.int64]]] = {}
        self._orders: dict[int, NDArray[np.int64]] = {}

    def __getitem__(self, number: int) -> NDArray[np.int64]:
        """The rows of batch `number`, longest first."""
        pool, place = divmod(number, self._pool_batches)
        if pool not in self._pools:
            self._pools = {pool: self._pool(pool)}
        return self._pools[pool][place]

    def _pool(self, pool: int) -> list[NDArray[np.int64]]:
        """Consecutive rows of the sequence, sorted by length, cut in batches, and these shuffled."""
        count = self._pool_batches * self._batch_size
        rows = self._rows(pool * count, count)
        by_length = rows[np.argsort(-self._lengths[rows], kind="stable")]
        batches = by_length.reshape(self._pool_batches, self._batch_size)
        order = np.random.default_rng((self._seed, pool, _BATCHES)).permutation(self._pool_batches)
        return list(batches[order])

    def _rows(self, first: int, count: int) -> NDArray[np.int64]:
        total = len(self._lengths)
        passes = range(first // total, (first + count - 1) // total + 1)
        self._orders = {one: self._orders.get(one, self._order(one)) for one in passes}
        start = first - passes[0] * total
        return np.concatenate([self._orders[one] for one in passes])[start : start + count]

    def _order(self, pass_index: int) -> NDArray[np.int64]:
        random = np.random.default_rng((self._seed, pass_index, _ROWS))
        return random.permutation(len(self._lengths))


def inference_batches(rows: Sequence[Row], batch_size: int, pad_id: int) -> Iterator[tuple[list[int], Batch]]:
    """All rows once, longest first, with their numbers."""
    order = sorted(range(len(rows)), key=lambda number: -len(rows[number]))
    for start in range(0, len(order), batch_size):
        numbers = order[start : start + batch_size]
        yield numbers, collate([rows[number] for number in numbers], pad_id)
