import random

import numpy as np
import pytest
import torch

from prolepsis.errors import ProlepsisError
from prolepsis.training.device import (
    autocast,
    random_tensors,
    resolve_device,
    resolve_precision,
    restore_random_tensors,
    seed_everything,
)


def draws() -> list[float]:
    return [random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.rand(()).item()]


def test_the_same_seed_gives_the_same_draws() -> None:
    seed_everything(3)
    first = draws()
    seed_everything(3)
    assert draws() == first
    seed_everything(4)
    assert draws() != first


def test_generators_continue_where_their_stored_state_was() -> None:
    seed_everything(3)
    draws()
    random.gauss(0, 1)  # now each of Python and NumPy holds the second normal of a pair
    np.random.randn()
    stored = random_tensors()
    expected = draws()
    seed_everything(0)
    restore_random_tensors(stored)
    assert draws() == expected


def test_auto_is_a_device_of_this_machine_and_cpu_is_always_there() -> None:
    torch.empty(1, device=resolve_device("auto"))
    assert resolve_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta"])
def test_a_device_that_is_not_there_is_a_message(name: str) -> None:
    with pytest.raises(ProlepsisError, match=name):
        resolve_device(name)


def test_precision_is_float32_on_the_cpu_unless_asked_otherwise() -> None:
    cpu = torch.device("cpu")
    assert resolve_precision("auto", cpu) == torch.float32
    with pytest.raises(ProlepsisError, match="fp8"):
        resolve_precision("fp8", cpu)
    a = torch.ones(2, 2)
    with autocast(cpu, resolve_precision("bf16", cpu)):
        assert (a @ a).dtype == torch.bfloat16
    with autocast(cpu, torch.float32):
        assert (a @ a).dtype == torch.float32
