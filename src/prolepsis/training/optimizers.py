"""Optimizers by name.

Two of them are not PyTorch's: BERT's Adam and LAMB, both as their authors ran them, without bias correction.
Where PyTorch has one kernel for a whole Adam update it is used: on one CPU core it took 4 ms for 5.4 million
weights, where an operation at a time over all of them took 16 to 28.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from prolepsis.errors import ProlepsisError
from prolepsis.training.config import OptimizerConfig

# Where Adam's fused kernels were seen to give what the others give.
_FUSED_DEVICES = {"cpu", "cuda"}
_Closure = Callable[[], float] | None


class BertAdamW(torch.optim.AdamW):
    """AdamW without bias correction, the optimizer of google-research/bert (`optimization.py`).

    The first steps are larger than AdamW's, which is what BERT's warm-up is there to bear.
    """

    @torch.no_grad()
    def step(self, closure: _Closure = None) -> float | None:  # type: ignore[override]
        """Adam's corrections are 1 - beta**t, which is one at t = infinity: that is where it is begun."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and not self.state[parameter]:
                    self.state[parameter] = {
                        "step": torch.tensor(math.inf, device=parameter.device if group["fused"] else "cpu"),
                        "exp_avg": torch.zeros_like(parameter),
                        "exp_avg_sq": torch.zeros_like(parameter),
                    }
        loss: float | None = super().step(closure)
        return loss


class Lamb(torch.optim.Optimizer):
    """LAMB (You et al. 2020) as in google-research/albert (`lamb_optimizer.py`): no bias correction.

    The step of each tensor, decay included, is scaled to the tensor's own norm. A group with
    `layer_adaptation` off takes plain steps of `BertAdamW`.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        layer_adaptation: bool = True,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "layer_adaptation": layer_adaptation,
            },
        )

    @torch.no_grad()
    def step(self, closure: _Closure = None) -> float | None:  # type: ignore[override]
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
        if group["layer_adaptation"]:
            torch._foreach_mul_(updates, _trust_ratios(parameters, updates))
        torch._foreach_add_(parameters, updates, alpha=-group["lr"])


def _trust_ratios(parameters: list[Tensor], updates: tuple[Tensor, ...]) -> list[Tensor]:
    """Each tensor's norm over that of its update, one where either is zero."""
    weights = torch.stack(torch._foreach_norm(parameters))
    steps = torch.stack(torch._foreach_norm(updates))
    return list(torch.where((weights > 0) & (steps > 0), weights / steps, 1.0).unbind())


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for some parameters and AdamW for the others, as one optimizer with one state."""

    def __init__(self, muon: torch.optim.Muon, adamw: torch.optim.AdamW) -> None:
        super().__init__([*muon.param_groups, *adamw.param_groups], {})
        self._muon, self._adamw = muon, adamw
        self._num_muon_groups = len(muon.param_groups)

    @torch.no_grad()
    def step(self, closure: _Closure = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        count = self._num_muon_groups
        for part, groups in (
            (self._muon, self.param_groups[:count]),
            (self._adamw, self.param_groups[count:]),
        ):
            # Lent anew each time, since loading a state replaces both.
            part.param_groups, part.state = groups, self.state
            part.step()  # type: ignore[no-untyped-call]
        return loss


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """The optimizer of all of `model`'s trainable parameters; each group has its rate as `initial_lr` too."""
    optimizer = _by_name(model, config)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def _by_name(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    if config.name == "muon":
        return _muon(model, config)
    groups = _decay_groups(_trainable(model), config)
    rate, betas, eps = config.learning_rate, config.betas, config.eps
    if config.name == "adam":
        return torch.optim.Adam(groups, rate, betas, eps, fused=_fused(groups))
    if config.name == "adamw":
        return torch.optim.AdamW(groups, rate, betas, eps, fused=_fused(groups))
    if config.name == "bert_adamw":
        return BertAdamW(groups, rate, betas, eps, fused=_fused(groups))
    if config.name == "lamb":
        return Lamb(groups, rate, betas, eps)
    return torch.optim.SGD(groups, rate, config.momentum)


def _muon(model: nn.Module, config: OptimizerConfig) -> MuonWithAdamW:
    embedded = {module.weight for module in model.modules() if isinstance(module, nn.Embedding)}
    matrices: list[_Named] = []
    others: list[_Named] = []
    for one in _trainable(model):
        _, name, parameter = one
        # Of the parameters that are no layer's weight (learned positions, queries) none is a map from one
        # layer to the next, whatever its shape.
        is_matrix = parameter.ndim == 2 and "weight" in name and parameter not in embedded
        (matrices if is_matrix else others).append(one)
    if not matrices or not others:
        raise ProlepsisError(
            "Muon trains the matrices of hidden layers and AdamW everything else; this model has "
            + ("nothing else." if matrices else "no such matrix."),
            where="training.optimizer.name",
            remedy="choose adamw",
        )
    groups = _decay_groups(others, config)
    return MuonWithAdamW(
        torch.optim.Muon(
            [parameter for _, _, parameter in matrices],
            config.learning_rate,
            config.weight_decay,
            config.muon_momentum,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(
            groups,
            config.adamw_learning_rate or config.learning_rate,
            config.betas,
            config.eps,
            fused=_fused(groups),
        ),
    )


_Named = tuple[nn.Module, str, nn.Parameter]


def _trainable(model: nn.Module) -> list[_Named]:
    """Every trainable parameter once, with the first module that has it and its name there."""
    found: dict[nn.Parameter, _Named] = {}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                found.setdefault(parameter, (module, name, parameter))
    return list(found.values())


def _decay_groups(parameters: Sequence[_Named], config: OptimizerConfig) -> list[dict[str, Any]]:
    decayed: list[Tensor] = []
    exempt: list[Tensor] = []
    for module, name, parameter in parameters:
        # "bias_ih_l0" of an LSTM and "in_proj_bias" of an attention layer are biases too.
        is_exempt = "bias" in name or "Norm" in type(module).__name__
        (exempt if is_exempt and config.exclude_norm_and_bias else decayed).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": exempt, "weight_decay": 0.0},
    ]
    if config.name == "lamb":
        groups[1]["layer_adaptation"] = False
    return [group for group in groups if group["params"]]


def _fused(groups: Sequence[dict[str, Any]]) -> bool | None:
    """Whether to ask for one kernel per update; None leaves the choice to PyTorch."""
    return all(p.device.type in _FUSED_DEVICES for group in groups for p in group["params"]) or None
