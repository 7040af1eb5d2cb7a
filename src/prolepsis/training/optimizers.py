"""Optimizers by name."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from prolepsis.training.config import OptimizerConfig


class BertAdamW(torch.optim.Optimizer):
    """AdamW without bias correction, the optimizer of google-research/bert (`optimization.py`).

    The first steps are larger than AdamW's, which is what BERT's warm-up is there to bear.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:
                self._update(parameters, group)
        return loss

    def _update(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] = {
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        gradients = [p.grad for p in parameters if p.grad is not None]
        means = [self.state[p]["exp_avg"] for p in parameters]
        squares = [self.state[p]["exp_avg_sq"] for p in parameters]
        beta1, beta2 = group["betas"]
        torch._foreach_lerp_(means, gradients, 1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
        scales = torch._foreach_sqrt(squares)
        torch._foreach_add_(scales, group["eps"])
        updates = torch._foreach_div(means, scales)
        if group["weight_decay"]:
            torch._foreach_add_(updates, parameters, alpha=group["weight_decay"])
        torch._foreach_add_(parameters, updates, alpha=-group["lr"])


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """The optimizer of all of `model`'s trainable parameters."""
    groups = _decay_groups(model, config)
    rate, betas, eps = config.learning_rate, config.betas, config.eps
    if config.name == "adam":
        return torch.optim.Adam(groups, rate, betas, eps)
    if config.name == "adamw":
        return torch.optim.AdamW(groups, rate, betas, eps)
    if config.name == "bert_adamw":
        return BertAdamW(groups, rate, betas, eps)
    return torch.optim.SGD(groups, rate, config.momentum)


def _decay_groups(model: nn.Module, config: OptimizerConfig) -> list[dict[str, Any]]:
    decayed: list[Tensor] = []
    exempt: list[Tensor] = []
    seen: set[Tensor] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter in seen or not parameter.requires_grad:
                continue
            seen.add(parameter)
            # "bias_ih_l0" of an LSTM and "in_proj_bias" of an attention layer are biases too.
            is_exempt = "bias" in name or "Norm" in type(module).__name__
            (exempt if is_exempt and config.exclude_norm_and_bias else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": exempt, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
