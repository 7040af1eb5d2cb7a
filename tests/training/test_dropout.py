import pytest
import torch

from prolepsis.training.dropout import Dropout, dropout


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_so_many_are_zero_and_the_expectation_stays(probability: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    values = torch.ones(1001, 333, dtype=dtype)
    dropped = dropout(values, probability).float()
    zero = dropped == 0
    # Three standard deviations of a binomial share.
    bound = 3 * (probability * (1 - probability) / values.numel()) ** 0.5
    assert float(zero.float().mean()) == pytest.approx(probability, abs=bound)
    assert dropped[~zero].unique().tolist() == pytest.approx([1 / (1 - probability)], rel=5e-3)
    # No pattern along either axis.
    for axis in (0, 1):
        shares = zero.float().mean(axis)
        size = values.shape[axis]
        deviation = (probability * (1 - probability) / size) ** 0.5
        assert float(shares.std()) == pytest.approx(deviation, rel=0.15)


def test_the_gradient_goes_through_what_was_kept() -> None:
    torch.manual_seed(0)
    values = torch.randn(50, 7, requires_grad=True)
    dropped = dropout(values, 0.3)
    dropped.backward(torch.full_like(dropped, 2.0))
    assert values.grad is not None
    torch.testing.assert_close(values.grad, torch.where(dropped == 0, 0.0, 2 * dropped / values).detach())


def test_it_follows_torchs_generator() -> None:
    values = torch.ones(3, 5)
    torch.manual_seed(4)
    first = dropout(values, 0.5)
    second = dropout(values, 0.5)
    torch.manual_seed(4)
    assert torch.equal(dropout(values, 0.5), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("probability", [0.0, 1e-6])
def test_what_rounds_to_nothing_drops_nothing(probability: float) -> None:
    values = torch.randn(4)
    assert dropout(values, probability) is values


def test_the_module_drops_in_training_only() -> None:
    module = Dropout(0.5)
    values = torch.ones(100)
    assert (module(values) == 0).any()
    assert module.eval()(values) is values
