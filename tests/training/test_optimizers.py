import math

import numpy as np
import pytest
import torch
from torch import nn

from prolepsis.training.config import OptimizerConfig, ScheduleConfig
from prolepsis.training.optimizers import build_optimizer


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
