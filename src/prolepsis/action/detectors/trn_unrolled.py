"""TRN's loop over the steps of a training window, with its gradient, as one operation for autograd.

The loop cannot be cut, and its products are small: recorded operation by operation it costs many times its
arithmetic, and each step's share of a weight's gradient is a product of its own and a pass over a matrix as
large as the weight. Here the forward pass writes what the gradient needs into one tensor for all steps, the
backward pass follows the loop in reverse, and each weight's gradient is one product over all steps. It
computes what `TRN.step` does, to rounding.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from prolepsis.training.dropout import dropout

_tanh_backward = torch.ops.aten.tanh_backward.default
_tanh_backward_into = torch.ops.aten.tanh_backward.grad_input
_sigmoid_backward_into = torch.ops.aten.sigmoid_backward.grad_input
_rectified_into = torch.ops.aten.threshold_backward.grad_input


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


class _Cells:
    """An LSTM's values at all of its N steps, one after the other, and views of each step's.

    Taking views out of large tensors in the loop would cost as much as the loop's arithmetic, so all are
    taken at once. There are more states than steps: a run of steps has one more, that before its first step.

    Args:
        gates: `[N, B, 4H]`, the first three through the sigmoid, the new values through tanh.
        states: of the cell, `[M, B, H]`.
        shown: tanh of the states after each step, `[N, B, H]`.
    """

    def __init__(self, gates: Tensor, states: Tensor, shown: Tensor) -> None:
        size = states.shape[-1]
        self.tensors = gates, states, shown
        self.gates = gates.unbind(0)
        self.sigmoids = gates[..., : 3 * size].unbind(0)
        self.enter, self.keep, self.leave, self.new = (part.unbind(0) for part in gates.chunk(4, -1))
        self.states, self.shown = states.unbind(0), shown.unbind(0)

    def advance(self, step: int, before: int, hidden: Tensor) -> None:
        """From summed gates to the state after them; writes `hidden`. `before` numbers the state before."""
        self.sigmoids[step].sigmoid_()
        new, state, shown = self.new[step].tanh_(), self.states[before + 1], self.shown[step]
        torch.mul(self.keep[step], self.states[before], out=state)
        state.addcmul_(self.enter[step], new)
        torch.tanh(state, out=shown)
        torch.mul(self.leave[step], shown, out=hidden)

    def retreat(
        self, step: int, before: int, of_hidden: Tensor, of_cell: Tensor, scratch: "_Scratch"
    ) -> None:
        """Puts the gradient of the summed gates in their place, and of the state before into `of_cell`."""
        state, shown, new = self.states[before], self.shown[step], self.new[step]
        of_cell.add_(_tanh_backward(of_hidden * self.leave[step], shown))
        torch.mul(of_cell, new, out=scratch.enter)
        torch.mul(of_cell, state, out=scratch.keep)
        torch.mul(of_hidden, shown, out=scratch.leave)
        torch.mul(of_cell, self.enter[step], out=scratch.new)
        of_cell.mul_(self.keep[step])
        sigmoids = self.sigmoids[step]
        _sigmoid_backward_into(scratch.sigmoids, sigmoids, grad_input=sigmoids)
        _tanh_backward_into(scratch.new, new, grad_input=new)


class _Scratch:
    """Room for the gradient of one step's gates, `[B, 4H]`."""

    def __init__(self, values: Tensor) -> None:
        size = values.shape[-1] // 4
        self.sigmoids = values[:, : 3 * size]
        self.enter, self.keep, self.leave, self.new = values.chunk(4, -1)


def reordered(gates: Tensor) -> Tensor:
    """Rows of torch's LSTM (input, forget, new, output) with the new values last."""
    enter, keep, new, leave = gates.chunk(4)
    return torch.cat([enter, keep, leave, new])


def draw_masks(share: float, sizes: tuple[int, int, int, int, int], like: Tensor) -> Masks:
    """Of steps T, decoder steps L, rows B, hidden size H and features F."""
    steps, ahead, rows, hidden, features = sizes
    return Masks(
        *(
            dropout(like.new_ones(shape), share)
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
        fed = new(steps, ahead + 1, rows, 2 * size)
        fed[:, 0, :, :size] = 0
        encoder = _Cells(torch.empty_like(feature_gates), new(steps + 1, rows, size), new(steps, rows, size))
        encoder.states[0].zero_()
        decoder = _Cells(
            new(steps * ahead, rows, 4 * size),
            new(steps * (ahead + 1), rows, size),
            new(steps * ahead, rows, size),
        )
        seen, scores = new(steps * ahead, rows, size), new(steps * ahead, rows, classes)
        futures = new(steps, ahead, rows, features)
        # Copied in that order, small products take half as long.
        transposed = Weights(*(layer.t().contiguous() if layer.dim() == 2 else layer for layer in layers))
        by_step = zip(feature_gates.unbind(0), entering.unbind(0), strict=False)
        hidden_states, futures_in = entering[..., features:].unbind(0), entering[..., :features].unbind(0)
        all_fed, fed_inputs, fed_hidden = (
            part.flatten(0, 1).unbind(0) for part in (fed, fed[..., :size], fed[..., size:])
        )
        each_seen, each_score = seen.unbind(0), scores.unbind(0)
        score_masks, input_masks = (part.flatten(0, 1).unbind(0) for part in (masks.scores, masks.inputs))
        for step, (ours, before) in enumerate(by_step):
            torch.addmm(ours, before, transposed.encoder, out=encoder.gates[step])
            hidden, place = hidden_states[step + 1], step * (ahead + 1)
            encoder.advance(step, step, hidden)
            torch.addmm(weights.hidden_bias, hidden, transposed.hidden, out=fed_hidden[place]).clamp_(min=0)
            state, first = encoder.states[step + 1], decoder.states[place]
            torch.addmm(weights.cell_bias, state, transposed.cell, out=first).clamp_(min=0)
            for at, now in enumerate(range(step * ahead, (step + 1) * ahead), start=place):
                torch.addmm(weights.decoder_bias, all_fed[at], transposed.decoder, out=decoder.gates[now])
                shown, score = fed_hidden[at + 1], each_score[now]
                decoder.advance(now, at, shown)
                torch.mul(shown, score_masks[now], out=each_seen[now])
                torch.addmm(weights.classifier_bias, each_seen[now], transposed.classifier, out=score)
                if at + 1 < place + ahead:
                    inputs = fed_inputs[at + 1]
                    torch.addmm(weights.inputs_bias, score, transposed.inputs, out=inputs)
                    inputs.clamp_(min=0).mul_(input_masks[now + 1])
            torch.add(fed[step, 1:, :, size:] @ transposed.future, weights.future_bias, out=futures[step])
            futures[step].clamp_(min=0)
            if step + 1 < steps:
                torch.mul(futures[step].mean(0), masks.future[step + 1], out=futures_in[step + 1])
        ctx.save_for_backward(*layers, *masks, entering, fed, seen, scores, futures)
        ctx.cells = encoder.tensors, decoder.tensors
        return entering[1:, :, features:].clone(), scores.view(steps, ahead, rows, classes).clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_hidden: Tensor, of_scores: Tensor) -> tuple[Tensor | None, ...]:
        count = len(Weights._fields)
        weights, masks = Weights(*ctx.saved_tensors[:count]), Masks(*ctx.saved_tensors[count : count + 3])
        entering, fed, seen, scores, futures = ctx.saved_tensors[count + 3 :]
        # A copy of the gates, in whose place their gradient comes: backward may be called again.
        encoder, decoder = (_Cells(gates.clone(), *others) for gates, *others in ctx.cells)
        steps, ahead, rows, size = masks.inputs.shape
        features = weights.future.shape[0]
        of_scores = of_scores.flatten(0, 1).clone()
        of_futures = torch.zeros_like(futures)
        of_inputs = of_hidden.new_zeros(steps * ahead, rows, size)
        of_first_hidden, of_first_cell = torch.empty_like(of_hidden), torch.empty_like(of_hidden)
        of_entering = of_hidden.new_zeros(rows, features + size)
        of_cell = of_hidden.new_zeros(rows, size)
        scratch = _Scratch(of_hidden.new_empty(rows, 4 * size))
        fed_inputs, fed_hidden = (part.flatten(0, 1).unbind(0) for part in (fed[..., :size], fed[..., size:]))
        each_score, each_input = of_scores.unbind(0), of_inputs.unbind(0)
        score_masks, input_masks = (part.flatten(0, 1).unbind(0) for part in (masks.scores, masks.inputs))
        for step in reversed(range(steps)):
            if step + 1 < steps:
                of_mean = of_entering[:, :features] * masks.future[step + 1] / ahead
                future = futures[step]
                _rectified_into(of_mean.expand_as(future), future, 0, grad_input=of_futures[step])
            from_future = (of_futures[step] @ weights.future).unbind(0)
            of_shown, of_ahead_cell = from_future[-1], torch.zeros_like(of_cell)
            of_fed = of_hidden.new_empty(rows, 2 * size)  # set by the last decoder step, which comes first
            place = step * (ahead + 1)
            for number in reversed(range(ahead)):
                now, at = step * ahead + number, place + number
                if number + 1 < ahead:
                    of_input, of_shown = of_fed.chunk(2, -1)
                    of_shown = of_shown + from_future[number]
                    of_input = of_input.mul_(input_masks[now + 1])
                    _rectified_into(of_input, fed_inputs[at + 1], 0, grad_input=each_input[now])
                    each_score[now].addmm_(each_input[now], weights.inputs)
                of_shown.addcmul_(each_score[now] @ weights.classifier, score_masks[now])
                decoder.retreat(now, at, of_shown, of_ahead_cell, scratch)
                of_fed = decoder.gates[now] @ weights.decoder
            _rectified_into(of_fed[:, size:], fed_hidden[place], 0, grad_input=of_first_hidden[step])
            _rectified_into(of_ahead_cell, decoder.states[place], 0, grad_input=of_first_cell[step])
            of_shown = of_hidden[step] + of_entering[:, features:]
            of_shown.addmm_(of_first_hidden[step], weights.hidden)
            of_cell.addmm_(of_first_cell[step], weights.cell)
            encoder.retreat(step, step, of_shown, of_cell, scratch)
            of_entering = encoder.gates[step] @ weights.encoder
        of_encoder, of_decoder = encoder.tensors[0], decoder.tensors[0]
        by_number = (steps, ahead, rows, -1)
        later = of_inputs.view(by_number)[:, :-1]
        of_weights = Weights(
            _product(of_encoder, entering[:-1]),
            _product(of_decoder, fed[:, :-1]),
            _total(of_decoder),
            _product(of_first_hidden, entering[1:, :, features:]),
            _total(of_first_hidden),
            _product(of_first_cell, encoder.tensors[1][1:]),
            _total(of_first_cell),
            _product(of_scores, seen),
            _total(of_scores),
            _product(later, scores.view(by_number)[:, :-1]),
            _total(later),
            _product(of_futures, fed[:, 1:, :, size:]),
            _total(of_futures),
        )
        return of_encoder, None, *of_weights


def _product(gradients: Tensor, inputs: Tensor) -> Tensor:
    """A weight's gradient, summed over all steps and rows."""
    return gradients.flatten(0, -2).t() @ inputs.flatten(0, -2)


def _total(gradients: Tensor) -> Tensor:
    return gradients.flatten(0, -2).sum(0)
