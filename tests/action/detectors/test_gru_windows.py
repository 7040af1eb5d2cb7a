import pytest
import torch
from torch import nn

from prolepsis.action.detectors.gru_windows import run_over_windows


def drawn(steps: int, windows: int, size: int) -> tuple[torch.Tensor, nn.GRU]:
    torch.manual_seed(0)
    inputs = torch.randn(windows, steps, 3, dtype=torch.float64)
    return inputs, nn.GRU(3, size, batch_first=True).double()


@pytest.mark.parametrize(("steps", "windows"), [(1, 1), (7, 3)])
def test_it_is_torchs_gru_and_so_is_its_gradient(steps: int, windows: int) -> None:
    inputs, cell = drawn(steps, windows, 5)
    pull = torch.randn(windows, 5, dtype=torch.float64)
    results = []
    for plainly in (True, False):
        cell.zero_grad()
        given = inputs.clone().requires_grad_()
        if plainly:
            hidden = cell(given)[0][:, -1]
        else:
            gates = nn.functional.linear(given, cell.weight_ih_l0, cell.bias_ih_l0).transpose(0, 1)
            hidden = run_over_windows(gates, cell.weight_hh_l0, cell.bias_hh_l0)
        (hidden * pull).sum().backward()
        results.append(
            [hidden.detach(), given.grad, *(parameter.grad.clone() for parameter in cell.parameters())]
        )
    for ours, torchs in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(ours, torchs, rtol=1e-10, atol=1e-12)


def test_its_gradient_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    given = [
        torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((3, 2, 12), (12, 4), (12,))
    ]
    assert torch.autograd.gradcheck(run_over_windows, given)
