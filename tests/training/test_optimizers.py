import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from prolepsis.errors import ProlepsisError
from prolepsis.training.config import OptimizerConfig, ScheduleConfig
from prolepsis.training.optimizers import BertAdamW, build_optimizer


def test_bert_adamw_follows_the_reference_update_in_float64() -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(3, 2))
    parameter = nn.Parameter(torch.tensor(weight))
    module = nn.ParameterList([parameter])
    config = OptimizerConfig(name="bert_adamw", learning_rate=0.1, eps=1e-6, weight_decay=0.01)
    optimizer = build_optimizer(module, config)
    mean = square = np.zeros_like(weight)
    for _ in range(5):
        gradient = rng.normal(size=weight.shape)
        # google-research/bert optimization.py: no division by 1 - beta**t.
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        weight = weight - 0.1 * (mean / (np.sqrt(square) + 1e-6) + 0.01 * weight)
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
    np.testing.assert_allclose(parameter.detach().numpy(), weight, rtol=1e-12)


def test_bert_adamw_equals_adamw_once_the_bias_correction_has_died_out() -> None:
    def last_step(name: str) -> float:
        module = nn.ParameterList([nn.Parameter(torch.zeros(1, dtype=torch.float64))])
        optimizer = build_optimizer(
            module, OptimizerConfig(name=name, betas=(0.5, 0.9), learning_rate=1.0, eps=1e-12)
        )
        before = 0.0
        for _ in range(400):
            before = module[0].item()
            module[0].grad = torch.ones(1, dtype=torch.float64)
            optimizer.step()
        return module[0].item() - before

    assert last_step("bert_adamw") == pytest.approx(last_step("adamw"), rel=1e-9)


@pytest.mark.parametrize("fused", [True, False])
def test_bert_adamw_is_the_same_with_and_without_a_fused_kernel(fused: bool) -> None:
    parameter = nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = BertAdamW([parameter], 0.1, eps=1e-6, weight_decay=0.01, fused=fused)
    parameter.grad = torch.tensor([1.0, -2.0, 0.0], dtype=torch.float64)
    optimizer.step()
    # m / sqrt(v) of a first step is 0.1 / sqrt(0.001) times the gradient's sign.
    first = 0.1 * torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64) * 0.1 / math.sqrt(0.001)
    torch.testing.assert_close(parameter.detach(), 0.999 - first, rtol=1e-4, atol=0)


class LambReference:
    """One tensor's LAMB, number by number, from the paper's algorithm 2 less its bias correction."""

    def __init__(self, weight: npt.NDArray[np.float64], settings: dict[str, Any], adapted: bool) -> None:
        self.weight = weight.ravel().tolist()
        self.mean = [0.0] * weight.size
        self.square = [0.0] * weight.size
        self.settings = settings
        self.adapted = adapted

    def step(self, gradient: npt.NDArray[np.float64]) -> list[float]:
        (beta1, beta2), decay = self.settings["betas"], self.settings["weight_decay"] * self.adapted
        updates = []
        for index, slope in enumerate(gradient.ravel().tolist()):
            self.mean[index] = beta1 * self.mean[index] + (1 - beta1) * slope
            self.square[index] = beta2 * self.square[index] + (1 - beta2) * slope * slope
            update = self.mean[index] / (math.sqrt(self.square[index]) + self.settings["eps"])
            updates.append(update + decay * self.weight[index])
        ratio = 1.0
        weight_norm, update_norm = math.hypot(*self.weight), math.hypot(*updates)
        if self.adapted and weight_norm > 0 and update_norm > 0:
            ratio = weight_norm / update_norm
        rate = self.settings["learning_rate"] * ratio
        self.weight = [weight - rate * update for weight, update in zip(self.weight, updates, strict=True)]
        return self.weight


@given(
    seed=st.integers(0, 2**32 - 1),
    zero_weight=st.booleans(),
    zero_gradient=st.booleans(),
    decay=st.sampled_from([0.0, 0.01, 0.5]),
    exclude=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_lamb_follows_a_slow_reference(
    seed: int, zero_weight: bool, zero_gradient: bool, decay: float, exclude: bool
) -> None:
    rng = np.random.default_rng(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.from_numpy(rng.normal(size=parameter.shape) * (not zero_weight)))
    values: dict[str, Any] = {
        "learning_rate": 0.1,
        "betas": (0.8, 0.95),
        "eps": 1e-6,
        "weight_decay": decay,
    }
    optimizer = build_optimizer(model, OptimizerConfig(name="lamb", exclude_norm_and_bias=exclude, **values))
    adapted = {"0.weight"} if exclude else {"0.weight", "0.bias", "1.weight", "1.bias"}
    references = {
        name: LambReference(parameter.detach().numpy(), values, name in adapted)
        for name, parameter in model.named_parameters()
    }
    for _ in range(4):
        expected = {}
        for name, parameter in model.named_parameters():
            gradient = rng.normal(size=parameter.shape) * (not zero_gradient)
            parameter.grad = torch.from_numpy(gradient)
            expected[name] = references[name].step(gradient)
        optimizer.step()
        for name, parameter in model.named_parameters():
            np.testing.assert_allclose(parameter.detach().ravel(), expected[name], rtol=1e-9, atol=1e-12)


class LanguageModel(nn.Module):
    """The shapes that a rule for Muon has to tell apart."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(7, 4)
        self.positions = nn.Parameter(torch.randn(5, 4))
        self.layer = nn.TransformerEncoderLayer(4, 2, 8)
        self.recurrent = nn.GRU(4, 4)
        self.convolution = nn.Conv1d(4, 4, 3)
        self.head = nn.Linear(4, 7)
        self.head.weight = self.tokens.weight


def test_muon_trains_the_matrices_between_layers_and_adamw_the_rest() -> None:
    model = LanguageModel()
    optimizer = build_optimizer(
        model,
        OptimizerConfig(
            name="muon",
            learning_rate=0.02,
            adamw_learning_rate=0.003,
            weight_decay=0.1,
            exclude_norm_and_bias=True,
        ),
    )
    group_of = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    groups = {name: group_of[id(parameter)] for name, parameter in model.named_parameters()}
    assert {name for name, group in groups.items() if "ns_steps" in group} == {
        "layer.self_attn.in_proj_weight",
        "layer.self_attn.out_proj.weight",
        "layer.linear1.weight",
        "layer.linear2.weight",
        "recurrent.weight_ih_l0",
        "recurrent.weight_hh_l0",
    }
    assert all(group["initial_lr"] == (0.02 if "ns_steps" in group else 0.003) for group in groups.values())
    assert {name for name, group in groups.items() if "ns_steps" not in group and group["weight_decay"]} == {
        "tokens.weight",
        "positions",
        "convolution.weight",
    }
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(groups)


def test_muon_with_adamw_steps_as_each_of_them_alone() -> None:
    def parameters() -> tuple[nn.Linear, list[nn.Parameter]]:
        torch.manual_seed(0)
        layer = nn.Linear(6, 3)
        return layer, [layer.weight, layer.bias]

    layer, [weight, bias] = parameters()
    both = build_optimizer(layer, OptimizerConfig(name="muon", learning_rate=0.02, weight_decay=0.1))
    _, [weight_alone, bias_alone] = parameters()
    muon = torch.optim.Muon([weight_alone], 0.02, 0.1, adjust_lr_fn="match_rms_adamw")
    adamw = torch.optim.AdamW([bias_alone], 0.02, weight_decay=0.1, fused=True)
    for step in range(6):
        if step == 3:  # a loaded state replaces groups and state
            both.load_state_dict(both.state_dict())
        for pair in ((weight, weight_alone), (bias, bias_alone)):
            pair[0].grad = torch.randn_like(pair[0])
            pair[1].grad = pair[0].grad.clone()
        before = weight.detach().clone()
        for optimizer in (both, muon, adamw):
            optimizer.step()
        assert torch.equal(weight, weight_alone) and torch.equal(bias, bias_alone)
    # As large as a step of Adam, which moves each weight by about a fifth of the rate once it has settled.
    moved = (weight - before * (1 - 0.02 * 0.1)).square().mean().sqrt().item()
    assert 0.1 * 0.02 < moved < 0.3 * 0.02


@pytest.mark.parametrize(
    "model", [nn.Linear(2, 2, bias=False), nn.Embedding(3, 2)], ids=["only matrices", "no matrix"]
)
def test_a_model_that_is_not_for_muon_is_a_message(model: nn.Module) -> None:
    with pytest.raises(ProlepsisError, match="Muon trains") as caught:
        build_optimizer(model, OptimizerConfig(name="muon"))
    assert caught.value.remedy == "choose adamw"


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_fused_kernels_give_what_pytorchs_plain_ones_give(name: str) -> None:
    rng = torch.Generator().manual_seed(0)
    model, plain_model = nn.Linear(5, 3), nn.Linear(5, 3)
    plain_model.load_state_dict(model.state_dict())
    optimizer = build_optimizer(model, OptimizerConfig(name=name, weight_decay=0.1, betas=(0.8, 0.9)))
    assert optimizer.param_groups[0]["fused"]
    kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
    plain = kind(plain_model.parameters(), 1e-3, (0.8, 0.9), weight_decay=0.1, foreach=False)
    for _ in range(10):
        for one, other in zip(model.parameters(), plain_model.parameters(), strict=True):
            one.grad = torch.randn(one.shape, generator=rng)
            other.grad = one.grad.clone()
        optimizer.step()
        plain.step()
    for one, other in zip(model.parameters(), plain_model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_decay_can_leave_out_biases_and_normalisation() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.LSTM(3, 4), nn.MultiheadAttention(4, 2))
    optimizer = build_optimizer(model, OptimizerConfig(weight_decay=0.1, exclude_norm_and_bias=True))
    decay = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    names = {name: decay[id(parameter)] for name, parameter in model.named_parameters()}
    assert {name for name, value in names.items() if value} == {
        "0.weight",
        "2.weight_ih_l0",
        "2.weight_hh_l0",
        "3.in_proj_weight",
        "3.out_proj.weight",
    }
    assert len(names) == sum(len(group["params"]) for group in optimizer.param_groups)


def test_frozen_and_tied_weights_are_given_once_or_not_at_all() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    model[2].requires_grad_(False)
    optimizer = build_optimizer(model, OptimizerConfig(name="adam"))
    assert [p is model[0].weight for g in optimizer.param_groups for p in g["params"]] == [True]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("constant", [0.5, 1, 1, 1, 1, 1]),
        ("linear", [0.5, 1, 1, 0.75, 0.5, 0.25]),
        ("cosine", [0.5, 1, 1, (1 + math.cos(math.pi / 4)) / 2, 0.5, (1 + math.cos(3 * math.pi / 4)) / 2]),
        ("step", [0.5, 1, 0.1, 0.1, 0.01, 0.01]),
    ],
)
def test_schedules_warm_up_and_then_go_as_their_name_says(name: str, expected: list[float]) -> None:
    schedule = ScheduleConfig(name=name, warmup_steps=2)
    factors = [schedule.factor(step, total_steps=6, steps_per_epoch=2) for step in range(6)]
    assert factors == pytest.approx(expected)
