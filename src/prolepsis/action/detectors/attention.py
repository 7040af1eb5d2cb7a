"""Multi-head attention as the transformers among the detectors use it."""

from torch import Tensor, nn
from torch.nn import functional


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
    """Scaled dot-product attention of `[N, L, H]` tensors, split into heads."""
    attended = functional.scaled_dot_product_attention(
        split_heads(queries, heads),
        split_heads(keys, heads),
        split_heads(values, heads),
        attn_mask=allowed,
        dropout_p=dropout,
        is_causal=causal,
    )
    return attended.transpose(1, 2).flatten(2)


def split_heads(tensor: Tensor, heads: int) -> Tensor:
    """`[N, L, H]` as `[N, heads, L, H / heads]`."""
    return tensor.view(*tensor.shape[:2], heads, tensor.shape[-1] // heads).transpose(1, 2)
