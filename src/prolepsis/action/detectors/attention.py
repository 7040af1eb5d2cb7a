"""Multi-head attention as the transformers among the detectors use it."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from prolepsis.training.attention import attention_in_steps


class Attention(nn.Module):
    """Multi-head attention of `targets` to `sources`, all four of its layers with bias."""

    def __init__(self, size: int, heads: int, dropout: float, *, causal: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.attention_dropout = dropout
        self.causal = causal
        self.queries = nn.Linear(size, size)
        self.keys = nn.Linear(size, size)
        self.values = nn.Linear(size, size)
        self.output = nn.Linear(size, size)

    def forward(self, targets: Tensor, sources: Tensor, allowed: Tensor | None = None) -> Tensor:
        """`[N, L, H]` from targets `[N, L, H]` and sources `[N, S, H]`.

        Args:
            allowed: bool, broadcast to `[N, heads, L, S]`: which sources a target sees; each must see one.
        """
        attended = attend(
            self.queries(targets),
            self.keys(sources),
            self.values(sources),
            self.heads,
            self.attention_dropout if self.training else 0.0,
            causal=self.causal,
            allowed=allowed,
        )
        output: Tensor = self.output(attended)
        return output


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    heads: int,
    dropout: float,
    *,
    causal: bool = False,
    allowed: Tensor | None = None,
) -> Tensor:
    """Scaled dot-product attention of `[N, L, H]` tensors, split into heads.

    `causal` and `allowed` exclude each other.
    """
    query, key, value = (split_heads(part, heads) for part in (queries, keys, values))
    if dropout and query.device.type == "cpu":
        seen = _not_later(query, key) if causal else allowed
        attended = attention_in_steps(query, key, value, seen, dropout)
    else:
        attended = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=allowed, dropout_p=dropout, is_causal=causal
        )
    return attended.transpose(1, 2).flatten(2)


def split_heads(tensor: Tensor, heads: int) -> Tensor:
    """`[N, L, H]` as `[N, heads, L, H / heads]`."""
    return tensor.view(*tensor.shape[:2], heads, tensor.shape[-1] // heads).transpose(1, 2)


def _not_later(query: Tensor, key: Tensor) -> Tensor:
    """Bool `[L, S]`: the keys that are not later than the query."""
    return torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
