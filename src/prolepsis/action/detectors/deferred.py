"""Layers that a loop over steps uses again and again, whose weights' gradient is found once for all uses.

Where autograd meets a weight in every step of a loop, it multiplies out that step's share of the gradient and
adds it to the others': for each step a small product, and a pass over a matrix as large as the weight. Here
a step's backward pass only notes what went in and the gradient of what came out; when all have been noted,
one large product gives the whole. The sum is the same, in another order.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

Noted = list[tuple[Tensor, Tensor]]
"""Of each use what went in `[..., K]` and the gradient of what came out `[..., M]`."""


class DeferredLinear:
    """A linear layer for the uses of one forward pass."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """`weight [M, K]` and `bias [M]`; both may be computed from others."""
        device = weight.device.type
        if torch.is_autocast_enabled(device):
            # What is applied below does not see autocast, whose casts must be part of the graph.
            weight, bias = (part.to(torch.get_autocast_dtype(device)) for part in (weight, bias))
        self._noted: Noted = []
        self._deferred = torch.is_grad_enabled() and not torch.compiler.is_compiling()
        self._bias = bias.detach() if self._deferred else bias
        self._weight: Tensor = _Collect.apply(weight, bias, self._noted) if self._deferred else weight

    def __call__(self, inputs: Tensor) -> Tensor:
        """`[..., M]` of `[..., K]`."""
        inputs = inputs.to(self._weight.dtype)
        if not self._deferred:
            return functional.linear(inputs, self._weight, self._bias)
        output: Tensor = _Use.apply(inputs, self._weight, self._bias, self._noted)
        return output


def lstm_cell(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Hidden and cell state `[B, H]` of torch's LSTM cell, from its summed gates `[B, 4H]` (input, forget,
    cell, output) and the cell state before."""
    if torch.compiler.is_compiling():
        enter, keep, new, leave = gates.chunk(4, dim=-1)
        cell = torch.sigmoid(keep) * cell + torch.sigmoid(enter) * torch.tanh(new)
        return torch.sigmoid(leave) * torch.tanh(cell), cell
    hidden, cell = _LSTMCell.apply(gates, cell.to(gates.dtype))
    return hidden, cell


class _Collect(torch.autograd.Function):
    """Hands the weight on; backward comes after that of all uses."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, noted: Noted) -> Tensor:
        ctx.noted = noted
        ctx.set_materialize_grads(False)
        return weight.view_as(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: None) -> tuple[Tensor | None, Tensor | None, None]:
        if not ctx.noted:
            return None, None, None
        inputs, gradients = (
            torch.cat([part.flatten(0, -2) for part in parts]) for parts in zip(*ctx.noted, strict=True)
        )
        ctx.noted.clear()
        return gradients.t() @ inputs, gradients.sum(0), None


class _Use(torch.autograd.Function):
    """The product of one step."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor, noted: Noted) -> Tensor:
        ctx.noted = noted
        ctx.save_for_backward(inputs, weight)
        return functional.linear(inputs, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, None, None]:
        inputs, weight = ctx.saved_tensors
        ctx.noted.append((inputs, gradient))
        return (gradient @ weight if ctx.needs_input_grad[0] else None), None, None, None


class _LSTMCell(torch.autograd.Function):
    """One node of the graph for what would be a dozen."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        size = cell.shape[-1]
        entering_keeping = torch.sigmoid(gates[..., : 2 * size])
        new = torch.tanh(gates[..., 2 * size : 3 * size])
        leaving = torch.sigmoid(gates[..., 3 * size :])
        after = (entering_keeping[..., size:] * cell).addcmul_(entering_keeping[..., :size], new)
        shown = torch.tanh(after)
        ctx.save_for_backward(entering_keeping, new, leaving, cell, shown)
        return leaving * shown, after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_hidden: Tensor, of_cell: Tensor) -> tuple[Tensor, Tensor]:
        entering_keeping, new, leaving, before, shown = ctx.saved_tensors
        size = before.shape[-1]
        entering, keeping = entering_keeping[..., :size], entering_keeping[..., size:]
        of_gates = torch.empty(*before.shape[:-1], 4 * size, dtype=before.dtype, device=before.device)
        tanh, sigmoid = torch.ops.aten.tanh_backward, torch.ops.aten.sigmoid_backward
        of_after = tanh(of_hidden * leaving, shown).add_(of_cell)
        torch.mul(of_after, new, out=of_gates[..., :size])
        torch.mul(of_after, before, out=of_gates[..., size : 2 * size])
        both = of_gates[..., : 2 * size]
        both.copy_(sigmoid(both, entering_keeping))
        of_gates[..., 2 * size : 3 * size] = tanh(of_after * entering, new)
        of_gates[..., 3 * size :] = sigmoid(of_hidden * shown, leaving)
        return of_gates, of_after.mul_(keeping)
