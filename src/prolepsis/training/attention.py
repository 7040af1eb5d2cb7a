"""Attention by products one by one, where torch's own is slow: on a CPU, with dropout, or in bfloat16."""

import torch
from torch import Tensor

from prolepsis.training.dropout import dropout


def attention_in_steps(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout_probability: float
) -> Tensor:
    """Scaled dot-product attention of tensors `[..., length, head size]`.

    Args:
        mask: boolean, true where a query may see a key (each must see one), or what is added to the scores;
            it broadcasts to `[..., length, other length]`.
        dropout_probability: the share of attention weights that are dropped.
    """
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    if mask is not None:
        scores = scores + (additive(mask) if mask.dtype == torch.bool else mask)
    return dropout(scores.softmax(dim=-1), dropout_probability).to(value.dtype) @ value


def additive(mask: Tensor) -> Tensor:
    """A boolean mask as what is added to the scores, float32."""
    return torch.zeros(mask.shape, device=mask.device).masked_fill_(~mask, float("-inf"))
