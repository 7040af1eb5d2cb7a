"""TRN's loop over the steps of a training window, with its gradient, as one operation for autograd.

The loop cannot be cut, and its products are small: recorded operation by operation it costs many times its
arithmetic, and each step's share of a weight's gradient is a product of its own and a pass over a matrix as
large as the weight. Here the forward pass writes what the gradient needs into one tensor for all steps, the
backward pass follows the loop in reverse, and each weight's gradient is one product over all steps. It
computes what `TRN.step` does, to rounding.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


class Weights(NamedTuple):
    """The layers in the loop, of F features, hidden size H and C classes; gates as `reordered` gives them."""

    encoder: Tensor
    """Of the encoder's gates, for the future vector and the hidden state: `[4H, F + H]`."""
    decoder: Tensor
    """Of the decoder's gates, for its input and its hidden state: `[4H, 2H]`."""
    decoder_bias: Tensor
    hidden: Tensor
    hidden_bias: Tensor
    cell: Tensor
    cell_bias: Tensor
    classifier: Tensor
    classifier_bias: Tensor
    inputs: Tensor
    """From the scores to the decoder's next input, `[H, C]`."""
    inputs_bias: Tensor
    future: Tensor
    future_bias: Tensor


class Masks(NamedTuple):
    """What dropout multiplies values by: the future vector `[T, B, F]`, the decoder's inputs and what its
    classifier sees, both `[T, L, B, H]`."""

    future: Tensor
    inputs: Tensor
    scores: Tensor


@dataclass(frozen=True)
class _Cells:
    """An LSTM's values at all steps.

    Attributes:
        gates: input, forget and output through the sigmoid, new values through tanh.
        states: of the cell, from before the first step on.
        shown: tanh of the states after each step.
    """

    gates: Tensor
    states: Tensor
    shown: Tensor


def reordered(gates: Tensor) -> Tensor:
    """Rows of torch's LSTM (input, forget, new, output) with the new values last."""
    enter, keep, new, leave = gates.chunk(4)
    return torch.cat([enter, keep, leave, new])


def draw_masks(share: float, sizes: tuple[int, int, int, int, int], like: Tensor) -> Masks:
    """Of steps T, decoder steps L, rows B, hidden size H and features F."""
    steps, ahead, rows, hidden, features = sizes
    return Masks(
        *(
            functional.dropout(like.new_ones(shape), share)
            for shape in ((steps, rows, features), *[(steps, ahead, rows, hidden)] * 2)
        )
    )


def unroll(feature_gates: Tensor, weights: Weights, masks: Masks) -> tuple[Tensor, Tensor]:
    """Encoder states `[T, B, H]` and decoder logits `[T, L, B, C]` of windows from a state of zeros.

    Args:
        feature_gates: the features' and biases' part of the encoder's gates, `[T, B, 4H]`, reordered.
    """
    hidden, scores = _Unroll.apply(feature_gates, masks, *weights)
    return hidden, scores


class _Unroll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, feature_gates: Tensor, masks: Masks, *layers: Tensor) -> tuple[Tensor, Tensor]:
        weights = Weights(*layers)
        steps, rows, _ = feature_gates.shape
        ahead = masks.inputs.shape[1]
        classes, size = weights.classifier.shape
        features = weights.future.shape[0]
        new = feature_gates.new_empty
        entering = feature_gates.new_zeros(steps + 1, rows, features + size)
        encoder = _Cells(torch.empty_like(feature_gates), new(steps + 1, rows, size), new(steps, rows, size))
        encoder.states[0] = 0
        fed = new(steps, ahead + 1, rows, 2 * size)
        fed[:, 0, :, :size] = 0
        decoder = _Cells(
            new(steps, ahead, rows, 4 * size),
            new(steps, ahead + 1, rows, size),
            new(steps, ahead, rows, size),
        )
        seen, scores = new(steps, ahead, rows, size), new(steps, ahead, rows, classes)
        futures = new(steps, ahead, rows, features)
        transposed = Weights(*(layer.t() if layer.dim() == 2 else layer for layer in layers))
        for step in range(steps):
            torch.addmm(feature_gates[step], entering[step], transposed.encoder, out=encoder.gates[step])
            hidden = entering[step + 1, :, features:]
            _advance(encoder, (step,), (step + 1,), hidden)
            torch.addmm(weights.hidden_bias, hidden, transposed.hidden, out=fed[step, 0, :, size:])
            fed[step, 0, :, size:].clamp_(min=0)
            first = decoder.states[step, 0]
            torch.addmm(weights.cell_bias, encoder.states[step + 1], transposed.cell, out=first).clamp_(min=0)
            for number in range(ahead):
                at = (step, number)
                torch.addmm(weights.decoder_bias, fed[at], transposed.decoder, out=decoder.gates[at])
                shown = fed[step, number + 1, :, size:]
                _advance(decoder, at, (step, number + 1), shown)
                torch.mul(shown, masks.scores[at], out=seen[at])
                torch.addmm(weights.classifier_bias, seen[at], transposed.classifier, out=scores[at])
                if number + 1 < ahead:
                    inputs = fed[step, number + 1, :, :size]
                    torch.addmm(weights.inputs_bias, scores[at], transposed.inputs, out=inputs)
                    inputs.clamp_(min=0).mul_(masks.inputs[step, number + 1])
            torch.add(fed[step, 1:, :, size:] @ transposed.future, weights.future_bias, out=futures[step])
            futures[step].clamp_(min=0)
            if step + 1 < steps:
                torch.mul(futures[step].mean(0), masks.future[step + 1], out=entering[step + 1, :, :features])
        ctx.save_for_backward(*layers, *masks, entering, fed, seen, scores, futures)
        ctx.cells = encoder, decoder
        return entering[1:, :, features:].clone(), scores.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_hidden: Tensor, of_scores: Tensor) -> tuple[Tensor | None, ...]:
        count = len(Weights._fields)
        weights, masks = Weights(*ctx.saved_tensors[:count]), Masks(*ctx.saved_tensors[count : count + 3])
        entering, fed, seen, scores, futures = ctx.saved_tensors[count + 3 :]
        # A copy of the gates, in whose place their gradient comes: backward may be called again.
        encoder, decoder = (_Cells(one.gates.clone(), one.states, one.shown) for one in ctx.cells)
        steps, ahead, rows, size = masks.inputs.shape
        features = weights.future.shape[0]
        new = of_hidden.new_empty
        of_scores = of_scores.clone()
        of_futures = torch.empty_like(futures)
        of_inputs = new(steps, ahead, rows, size)
        of_first_hidden, of_first_cell = new(steps, rows, size), new(steps, rows, size)
        of_entering = of_hidden.new_zeros(rows, features + size)
        of_cell = of_hidden.new_zeros(rows, size)
        scratch = new(rows, 4 * size)
        rectified = torch.ops.aten.threshold_backward
        for step in reversed(range(steps)):
            if step + 1 < steps:
                of_mean = of_entering[:, :features] * masks.future[step + 1] / ahead
                rectified.grad_input(
                    of_mean.expand_as(futures[step]), futures[step], 0, grad_input=of_futures[step]
                )
            else:
                of_futures[step] = 0
            from_future = of_futures[step] @ weights.future
            of_ahead_cell = of_hidden.new_zeros(rows, size)
            of_fed = of_hidden.new_zeros(rows, 2 * size)
            for number in reversed(range(ahead)):
                at = (step, number)
                of_shown = of_fed[:, size:] + from_future[number]
                if number + 1 < ahead:
                    rectified.grad_input(
                        of_fed[:, :size] * masks.inputs[step, number + 1],
                        fed[step, number + 1, :, :size],
                        0,
                        grad_input=of_inputs[at],
                    )
                    of_scores[at].addmm_(of_inputs[at], weights.inputs)
                of_shown.addcmul_(of_scores[at] @ weights.classifier, masks.scores[at])
                _retreat(decoder, at, of_shown, of_ahead_cell, scratch)
                of_fed = decoder.gates[at] @ weights.decoder
            rectified.grad_input(
                of_fed[:, size:], fed[step, 0, :, size:], 0, grad_input=of_first_hidden[step]
            )
            rectified.grad_input(of_ahead_cell, decoder.states[step, 0], 0, grad_input=of_first_cell[step])
            of_shown = of_hidden[step] + of_entering[:, features:]
            of_shown.addmm_(of_first_hidden[step], weights.hidden)
            of_cell.addmm_(of_first_cell[step], weights.cell)
            _retreat(encoder, (step,), of_shown, of_cell, scratch)
            of_entering = encoder.gates[step] @ weights.encoder
        of_weights = Weights(
            _product(encoder.gates, entering[:-1]),
            _product(decoder.gates, fed[:, :-1]),
            _total(decoder.gates),
            _product(of_first_hidden, entering[1:, :, features:]),
            _total(of_first_hidden),
            _product(of_first_cell, encoder.states[1:]),
            _total(of_first_cell),
            _product(of_scores, seen),
            _total(of_scores),
            _product(of_inputs[:, :-1], scores[:, :-1]),
            _total(of_inputs[:, :-1]),
            _product(of_futures, fed[:, 1:, :, size:]),
            _total(of_futures),
        )
        return encoder.gates, None, *of_weights


def _advance(cells: _Cells, at: tuple[int, ...], after: tuple[int, ...], hidden: Tensor) -> None:
    """From summed gates to the state after them; writes `hidden`."""
    gates, state = cells.gates[at], cells.states[after]
    size = state.shape[-1]
    gates[:, : 3 * size].sigmoid_()
    new = gates[:, 3 * size :].tanh_()
    torch.mul(gates[:, size : 2 * size], cells.states[at], out=state)
    state.addcmul_(gates[:, :size], new)
    torch.tanh(state, out=cells.shown[at])
    torch.mul(gates[:, 2 * size : 3 * size], cells.shown[at], out=hidden)


def _retreat(cells: _Cells, at: tuple[int, ...], of_hidden: Tensor, of_cell: Tensor, scratch: Tensor) -> None:
    """Puts the gradient of the summed gates in the gates' place, and of the state before into `of_cell`."""
    gates, before, shown = cells.gates[at], cells.states[at], cells.shown[at]
    size = before.shape[-1]
    enter, keep, leave, new = gates.chunk(4, dim=-1)
    of_enter, of_keep, of_leave, of_new = scratch.chunk(4, dim=-1)
    of_cell.add_(torch.ops.aten.tanh_backward(of_hidden * leave, shown))
    torch.mul(of_cell, new, out=of_enter)
    torch.mul(of_cell, before, out=of_keep)
    torch.mul(of_hidden, shown, out=of_leave)
    torch.mul(of_cell, enter, out=of_new)
    of_cell.mul_(keep)
    sigmoid = gates[:, : 3 * size]
    torch.ops.aten.sigmoid_backward.grad_input(scratch[:, : 3 * size], sigmoid, grad_input=sigmoid)
    torch.ops.aten.tanh_backward.grad_input(of_new, new, grad_input=new)


def _product(gradients: Tensor, inputs: Tensor) -> Tensor:
    """A weight's gradient, summed over all steps and rows."""
    return gradients.flatten(0, -2).t() @ inputs.flatten(0, -2)


def _total(gradients: Tensor) -> Tensor:
    return gradients.flatten(0, -2).sum(0)
