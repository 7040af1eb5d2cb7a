"""Cross entropy where a frame may have several true classes, and where some frames do not count."""

import torch
from torch import Tensor
from torch.nn import functional


def soft_cross_entropy(logits: Tensor, targets: Tensor, valid: Tensor) -> Tensor:
    """Mean over the valid rows of -sum_k y_k log softmax(z)_k; zero where no row is valid.

    The targets are not normalised: a frame with two actions weighs twice, as in TRN's and OadTR's official
    losses (xumingze0308/TRN.pytorch, wangxiang1230/OadTR).

    Args:
        logits: `[..., C]`.
        targets: `[..., C]`, multi-hot.
        valid: bool `[...]`; the other rows are left out of the sum and of the count.
    """
    rows = -(targets.to(torch.float32) * functional.log_softmax(logits.float(), dim=-1)).sum(dim=-1)
    return torch.where(valid, rows, 0.0).sum() / valid.sum().clamp(min=1)


def anticipation_targets(
    labels: Tensor, valid: Tensor, steps: int, first: int, num_steps: int
) -> tuple[Tensor, Tensor]:
    """The labels that a decoder is asked for at each step of a window.

    Args:
        labels: `[B, L, C]` with L >= steps + first + num_steps - 1.
        valid: bool `[B, L]`.
        steps: how many steps T of the window make predictions.
        first: what decoder step 0 is about: 0 for the current step, 1 for the next one.
        num_steps: how many decoder steps F there are.

    Returns:
        labels `[B, T, F, C]` and valid `[B, T, F]`: element (t, f) is about step t + first + f.
    """
    ahead = labels[:, first:].unfold(1, num_steps, 1)[:, :steps]  # [B, T, C, F], a view
    return ahead.transpose(2, 3), valid[:, first:].unfold(1, num_steps, 1)[:, :steps]
