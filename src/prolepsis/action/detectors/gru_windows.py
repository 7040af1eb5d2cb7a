"""A GRU over many overlapping windows, with its gradient, as one operation for autograd.

What the inputs give to the gates is the same in every window that a step is in, so it comes from outside.
The loop's products are small: recorded operation by operation they cost many times their arithmetic. Here the
forward pass keeps what the gradient needs, the backward pass follows the loop in reverse, and the gradient of
the weight is one product over all steps. It computes what torch's GRU does, to rounding.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_sigmoid_backward = torch.ops.aten.sigmoid_backward.default
_tanh_backward = torch.ops.aten.tanh_backward.default


def run_over_windows(gates: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The state `[N, H]` after each window, from a state of zeros.

    Args:
        gates: what the inputs give to the gates (reset, update, new) at each step, `[W, N, 3H]`.
        weight, bias: of the state, `[3H, H]` and `[3H]`.
    """
    hidden: Tensor = _OverWindows.apply(gates, weight, bias)
    return hidden


class _OverWindows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gates: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        steps, windows, _ = gates.shape
        size = weight.shape[1]
        states = gates.new_zeros(steps + 1, windows, size)
        own = torch.empty_like(gates)  # what the state gives to the gates
        activated = torch.empty_like(gates)
        transposed = weight.t()
        resets_updates = activated[..., : 2 * size].unbind(0)
        resets, updates, news = (part.unbind(0) for part in activated.chunk(3, -1))
        given_gates, given_new = gates[..., : 2 * size].unbind(0), gates[..., 2 * size :].unbind(0)
        own_gates, own_new = own[..., : 2 * size].unbind(0), own[..., 2 * size :].unbind(0)
        each_own, each_state = own.unbind(0), states.unbind(0)
        for step in range(steps):
            torch.addmm(bias, each_state[step], transposed, out=each_own[step])
            torch.add(given_gates[step], own_gates[step], out=resets_updates[step]).sigmoid_()
            new = news[step]
            torch.addcmul(given_new[step], resets[step], own_new[step], out=new).tanh_()
            torch.lerp(new, each_state[step], updates[step], out=each_state[step + 1])
        ctx.save_for_backward(weight, states, own[..., 2 * size :], activated)
        return each_state[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weight, states, own_new, activated = ctx.saved_tensors
        size = weight.shape[1]
        of_gates = torch.empty_like(activated)
        of_own = torch.empty_like(activated)  # the same, but of the new values' own part
        resets, updates, news = (part.unbind(0) for part in activated.chunk(3, -1))
        of_resets, of_updates, of_news = (part.unbind(0) for part in of_gates.chunk(3, -1))
        of_own_new = of_own[..., 2 * size :].unbind(0)
        each_of_own, each_state, each_own_new = of_own.unbind(0), states.unbind(0), own_new.unbind(0)
        both, own_both = of_gates[..., : 2 * size].unbind(0), of_own[..., : 2 * size].unbind(0)
        for step in reversed(range(len(activated))):
            new, update, reset = news[step], updates[step], resets[step]
            of_new = _tanh_backward(of_hidden - of_hidden * update, new)
            of_news[step].copy_(of_new)
            of_resets[step].copy_(_sigmoid_backward(of_new * each_own_new[step], reset))
            of_updates[step].copy_(_sigmoid_backward(of_hidden * (each_state[step] - new), update))
            own_both[step].copy_(both[step])
            torch.mul(of_new, reset, out=of_own_new[step])
            of_hidden = torch.addmm(of_hidden * update, each_of_own[step], weight)
        of_own = of_own.flatten(0, 1)
        return of_gates, of_own.t() @ states[:-1].flatten(0, 1), of_own.sum(0)
