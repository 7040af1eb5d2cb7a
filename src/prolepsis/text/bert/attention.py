"""Attention within the examples of a row.

Several examples share a row, and none sees another: `example_mask` says which tokens may look at which. On a
GPU FlexAttention skips the blocks of the row that no example fills; where attention weights are dropped out,
which it cannot do, and on a CPU it is torch's scaled dot-product attention. On a CPU that is slow in two
cases, with dropout and backward in bfloat16, and there the products are taken one by one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from prolepsis.training.attention import additive, attention_in_steps

AttentionMask = Tensor | BlockMask

_without_flex_attention = ContextVar("_without_flex_attention", default=False)


def block_attention_mask(
    example_numbers: Tensor, other_numbers: Tensor | None = None, *, causal: bool = False
) -> Tensor:
    """Boolean [rows, 1, length, other length]: true where two tokens belong to the same example.

    Args:
        example_numbers: integers [rows, length], of those that look; padding carries a number of its own, so
            that it sees itself (a token that may see nothing at all would turn its attention into NaN).
        other_numbers: integers [rows, other length], of those that are looked at; by default the same.
        causal: only tokens that do not come later in the row are seen.
    """
    others = example_numbers if other_numbers is None else other_numbers
    mask = example_numbers[:, :, None] == others[:, None, :]
    if causal:
        mask = mask & torch.ones(mask.shape[1:], dtype=torch.bool, device=mask.device).tril()
    return mask[:, None]


def example_mask(example_numbers: Tensor, dropout_probability: float) -> AttentionMask:
    """The mask of `block_attention_mask` in the form that is fastest where the numbers lie.

    Without FlexAttention: 0 where a token may look and minus infinity elsewhere, to be added to the scores.
    """
    takes_flex_attention = _runs_flex_attention_fast(example_numbers.device) and not dropout_probability
    if takes_flex_attention and not _without_flex_attention.get():
        return flex_mask(example_numbers)
    return additive(block_attention_mask(example_numbers))


def _runs_flex_attention_fast(device: torch.device) -> bool:
    return device.type == "cuda"


@contextmanager
def without_flex_attention() -> Iterator[None]:
    """Within it `example_mask` gives what is added to the scores, wherever the numbers lie.

    torch's counter of products does not know FlexAttention's operator.
    """
    token = _without_flex_attention.set(True)
    try:
        yield
    finally:
        _without_flex_attention.reset(token)


def flex_mask(example_numbers: Tensor) -> BlockMask:
    """The mask of `block_attention_mask` for FlexAttention."""
    rows, length = example_numbers.shape

    def same_example(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return example_numbers[row, query] == example_numbers[row, key]

    return create_block_mask(
        same_example, rows, None, length, length, device=example_numbers.device, BLOCK_SIZE=128
    )


class Attention(nn.Module):
    """Multi-head scaled dot-product attention, of a sequence to itself or to another."""

    def __init__(self, hidden_size: int, num_heads: int, dropout_probability: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout_probability = dropout_probability
        self.query_key_value = nn.Linear(hidden_size, 3 * hidden_size)
        self.output = nn.Linear(hidden_size, hidden_size)

    def forward(self, hidden: Tensor, mask: AttentionMask | None, rotation: Tensor | None = None) -> Tensor:
        """Returns [rows, length, hidden_size].

        Args:
            mask: boolean, or what is added to the scores, broadcast to [rows, heads, length, length]; or a
                `BlockMask`. None lets every token see its whole row.
            rotation: of `rotary_phases`, for rotary positions.
        """
        rows, length, width = hidden.shape
        heads = self.query_key_value(hidden).view(rows, length, 3, self.num_heads, width // self.num_heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        if rotation is not None:
            query, key = rotate(query, rotation), rotate(key, rotation)
        return self.attend(query, key, value, mask)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, mask: AttentionMask | None) -> Tensor:
        """The output projection of what is attended to; all three [rows, heads, length, head size]."""
        if isinstance(mask, BlockMask):
            attended = _flex_attention(query.device.type)(query, key, value, block_mask=mask)
        elif self.training and query.device.type == "cpu" and self._is_slow(query.dtype):
            attended = attention_in_steps(query, key, value, mask, self.dropout_probability)
        else:
            probability = self.dropout_probability if self.training else 0.0
            attended = functional.scaled_dot_product_attention(
                query, key, value, attn_mask=_like(query, mask), dropout_p=probability
            )
        output: Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return output

    def _is_slow(self, dtype: torch.dtype) -> bool:
        # torch's fused attention takes ten times as long backward in bfloat16 as in float32.
        return bool(self.dropout_probability) or dtype == torch.bfloat16


def rotary_phases(positions: Tensor, head_size: int, base: float) -> Tensor:
    """Unit complex numbers at each position's angles, [rows, 1, length, head_size / 2] (Su et al. 2021).

    Args:
        positions: integers [rows, length].
        base: the angle of pair `i` falls by `base ** (-2 i / head_size)` per position.
    """
    exponents = torch.arange(0, head_size, 2, device=positions.device, dtype=torch.float32) / head_size
    angles = positions[:, None, :, None] * base**-exponents
    return torch.polar(torch.ones_like(angles), angles)


def rotate(heads: Tensor, phases: Tensor) -> Tensor:
    """Turns each pair of neighbouring numbers, `2 i` and `2 i + 1`, by its angle, as RoFormer does."""
    pairs = torch.view_as_complex(heads.float().reshape(*heads.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * phases).flatten(-2).to(heads.dtype)


def _like(query: Tensor, mask: Tensor | None) -> Tensor | None:
    """An additive mask in the query's precision, which scaled dot-product attention asks for."""
    return mask if mask is None or mask.dtype == torch.bool else mask.to(query.dtype)


def _flex_attention(device: str) -> Any:
    # Uncompiled it writes out all scores: right, and only good for a test. What is being compiled takes it
    # into its own graph.
    if device != "cuda" or torch.compiler.is_compiling():
        return flex_attention
    return _compiled_flex_attention()


@cache
def _compiled_flex_attention() -> Any:
    return torch.compile(flex_attention)
