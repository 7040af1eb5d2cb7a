"""Batches of packed rows with hidden tokens: what all objectives that ask the encoder alone train on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prolepsis.text.bert.examples import Examples
from prolepsis.text.bert.masking import MaskedTokens
from prolepsis.text.bert.packing import PackedRows, pack_best_fit

# Streams of random numbers that must not repeat one another.
_ROW_ORDER, _MASKS = 0, 1

Corrupt = Callable[[NDArray[np.int64], np.random.Generator], MaskedTokens]
"""Hides tokens of an example, int64 [length], special tokens included."""


@dataclass(frozen=True)
class MaskedBatch:
    """Rows of packed examples with hidden tokens.

    The rows have one fixed shape; how many tokens are hidden in them differs a little from batch to batch,
    and the heads see exactly those.

    Attributes:
        token_ids, token_types, positions: int64 [rows, length].
        example_numbers: int64 [rows, length], from 0 in each row; -1 on padding.
        masked_positions: int64 [M], where tokens were hidden, counted through all rows.
        masked_targets: int64 [M], the tokens that stood there.
        first_positions: int64 [N], where the examples begin, counted through all rows.
        labels: int64 [N], the examples' labels.
    """

    token_ids: Tensor
    token_types: Tensor
    positions: Tensor
    example_numbers: Tensor
    masked_positions: Tensor
    masked_targets: Tensor
    first_positions: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Self:
        return type(self)(
            **{field.name: getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)}
        )

    @property
    def num_real_tokens(self) -> int:
        return int((self.example_numbers >= 0).sum())


class Placed(NamedTuple):
    """An example in a batch: where its first token stands, counted through all rows, and what was hidden."""

    start: int
    masked: MaskedTokens
    label: int


@dataclass(frozen=True)
class PackedPlan:
    """One pass over a split: examples packed into rows, and the order in which the rows are used.

    What is hidden in an example depends on (seed, pass, the example's number) alone, so a batch can be made
    anywhere at any time.
    """

    examples: Examples
    corrupt: Corrupt
    packed: PackedRows
    order: NDArray[np.int64]
    max_length: int
    pad_id: int
    seed: int
    pass_index: int

    @classmethod
    def of(
        cls, examples: Examples, corrupt: Corrupt, max_length: int, pad_id: int, seed: int, pass_index: int
    ) -> Self:
        packed = pack_best_fit(examples.lengths, max_length)
        order = np.random.default_rng((seed, pass_index, _ROW_ORDER)).permutation(len(packed))
        return cls(examples, corrupt, packed, order, max_length, pad_id, seed, pass_index)

    def __len__(self) -> int:
        return len(self.packed)

    @property
    def num_real_tokens(self) -> int:
        return int(self.examples.lengths.sum())

    def batch(self, rows: NDArray[np.int64]) -> MaskedBatch:
        return MaskedBatch(**self._fill(rows)[0])

    def _fill(self, rows: NDArray[np.int64]) -> tuple[dict[str, Tensor], list[Placed]]:
        """The fields of a batch, and its examples in order."""
        shape = (len(rows), self.max_length)
        token_ids = np.full(shape, self.pad_id, np.int64)
        token_types, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        example_numbers = np.full(shape, -1, np.int64)
        placed: list[Placed] = []
        for row, planned_row in enumerate(self.order[rows]):
            start = 0
            for number, example_number in enumerate(self.packed.row(planned_row)):
                example = self.examples[int(example_number)]
                masked = self.corrupt(example.token_ids, self._random(int(example_number)))
                place = slice(start, start + len(example.token_ids))
                token_ids[row, place] = masked.token_ids
                token_types[row, place] = example.token_types
                positions[row, place] = np.arange(len(example.token_ids))
                example_numbers[row, place] = number
                placed.append(Placed(row * self.max_length + start, masked, example.label))
                start = place.stop
        tensors = {
            "token_ids": token_ids,
            "token_types": token_types,
            "positions": positions,
            "example_numbers": example_numbers,
            "masked_positions": joined([one.masked.positions + one.start for one in placed]),
            "masked_targets": joined([one.masked.targets for one in placed]),
            "first_positions": np.array([one.start for one in placed], np.int64),
            "labels": np.array([one.label for one in placed], np.int64),
        }
        return {name: torch.from_numpy(values) for name, values in tensors.items()}, placed

    def _random(self, example_number: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, self.pass_index, _MASKS, example_number))


def joined(arrays: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    """The arrays one after the other as int64; none give an empty one."""
    return np.concatenate([np.zeros(0, np.int64), *arrays]).astype(np.int64)
