"""Optimizers and learning-rate schedules by name."""

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)
from torch import Tensor, nn


class OptimizerConfig(BaseModel):
    """An optimizer and its constants, those of PyTorch unless said otherwise.

    `adam` adds the decay to the gradient, `adamw` takes it from the weight, `bert_adamw` is `adamw` without
    bias correction, as BERT was pretrained; `betas` and `eps` are theirs, `momentum` is for `sgd`.
    `exclude_norm_and_bias` keeps the decay off biases and the weights of normalisation layers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["adam", "adamw", "bert_adamw", "sgd"] = "adamw"
    learning_rate: PositiveFloat = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: PositiveFloat = 1e-8
    momentum: NonNegativeFloat = 0.9
    weight_decay: NonNegativeFloat = 0.0
    exclude_norm_and_bias: bool = False


class ScheduleConfig(BaseModel):
    """How the learning rate goes: up over `warmup_steps` optimizer steps, then as `name` says.

    `linear` and `cosine` end at zero, `step` multiplies it by `gamma` every `step_epochs` epochs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["constant", "linear", "cosine", "step"] = "constant"
    warmup_steps: NonNegativeInt = 0
    step_epochs: PositiveInt = 1
    gamma: PositiveFloat = Field(default=0.1, le=1.0)

    def factor(self, step: int, total_steps: int, steps_per_epoch: int) -> float:
        """What optimizer step `step` (from 0) multiplies the learning rate by."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, total_steps - self.warmup_steps)
        if self.name == "linear":
            return max(0.0, 1.0 - done)
        if self.name == "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
        if self.name == "step":
            return float(self.gamma ** (step // steps_per_epoch // self.step_epochs))
        return 1.0


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
