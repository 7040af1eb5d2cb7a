"""TRN's loop over the steps of a training window, with its gradient, as one operation for autograd.

The loop cannot be cut, and its products are small: recorded operation by operation it costs many times its
arithmetic, and each step's share of a weight's gradient is a product of its own and a pass over a matrix as
large as the weight. Here the forward pass writes what the gradient needs into one tensor for all steps, the
backward pass follows the loop in reverse, and each weight's gradient is one product over all steps. It
computes what `TRN.step` does, to rounding.

An operation on a step's few rows costs little more than its call, so there are as few as can be: biases are
in place before a product is added to them, and what the gradient of a cell is multiplied by is computed for
all decoder steps of an encoder step at once.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from prolepsis.training.dropout import dropout

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
        gates: `[N, B, 4H]`, at first the biases or the features' part, to which a step's product is added
            before `advance`; that puts the first three through the sigmoid, the new values through tanh.
        states: of the cell, `[M, B, H]`.
        shown: tanh of the states after each step, `[N, B, H]`.
    """

    def __init__(self, gates: Tensor, states: Tensor, shown: Tensor) -> None:
        size = states.shape[-1]
        self.tensors = gates, states, shown
        self.gates = gates.unbind(0)
        self.sigmoids = gates[..., : 3 * size].unbind(0)
        self.leave, self.enter, self.keep, self.new = (part.unbind(0) for part in gates.chunk(4, -1))
        self.states, self.shown = states.unbind(0), shown.unbind(0)

    def advance(self, step: int, before: int, hidden: Tensor) -> None:
        """From summed gates to the state after them; writes `hidden`. `before` numbers the state before."""
        self.sigmoids[step].sigmoid_()
        new, state, shown = self.new[step].tanh_(), self.states[before + 1], self.shown[step]
        torch.mul(self.keep[step], self.states[before], out=state)
        state.addcmul_(self.enter[step], new)
        torch.tanh(state, out=shown)
        torch.mul(self.leave[step], shown, out=hidden)


class _Retreat:
    """The gradient of an LSTM's summed gates, step by step from the last to the first.

    Args:
        gates, shown: as in `_Cells`, after all steps.
        before: the states before each step, `[N, B, H]`.
        of_gates: room for the gradient, `[N, B, 4H]`; at first what the gradient of the state or of what is
            shown is multiplied by.
    """

    def __init__(self, gates: Tensor, shown: Tensor, before: Tensor, of_gates: Tensor) -> None:
        size = shown.shape[-1]
        leave, enter, keep, new = gates.chunk(4, -1)
        torch.cat([shown, new, before, enter], -1, out=of_gates)
        sigmoids, of_sigmoids, of_new = (
            gates[..., : 3 * size],
            of_gates[..., : 3 * size],
            of_gates[..., 3 * size :],
        )
        _sigmoid_backward_into(of_sigmoids, sigmoids, grad_input=of_sigmoids)
        _tanh_backward_into(of_new, new, grad_input=of_new)
        self._of_gates = of_gates.unbind(0)
        self._of_hidden = of_gates[..., :size].unbind(0)
        self._of_cell = of_gates[..., size:].view(*shown.shape[:2], 3, size).unbind(0)
        self._shown = _tanh_backward_into(leave, shown, grad_input=torch.empty_like(shown)).unbind(0)
        self._keep = keep.unbind(0)

    def step(self, step: int, of_hidden: Tensor, of_cell: Tensor) -> Tensor:
        """The gradient of the gates; puts that of the state before into `of_cell`."""
        of_cell.addcmul_(of_hidden, self._shown[step])
        self._of_hidden[step].mul_(of_hidden)
        self._of_cell[step].mul_(of_cell.unsqueeze(1))
        of_cell.mul_(self._keep[step])
        return self._of_gates[step]


def reordered(gates: Tensor) -> Tensor:
    """Rows of torch's LSTM (input, forget, new, output), the output's first and the new values last."""
    enter, keep, new, leave = gates.chunk(4)
    return torch.cat([leave, enter, keep, new])


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
        fed[:, 1:, :, :size] = weights.inputs_bias
        encoder = _Cells(feature_gates.clone(), new(steps + 1, rows, size), new(steps, rows, size))
        encoder.states[0].zero_()
        decoder = _Cells(
            new(steps * ahead, rows, 4 * size).copy_(weights.decoder_bias),
            new(steps * (ahead + 1), rows, size),
            new(steps * ahead, rows, size),
        )
        seen = new(steps * ahead, rows, size)
        scores = new(steps * ahead, rows, classes).copy_(weights.classifier_bias)
        futures = new(steps, ahead, rows, features).copy_(weights.future_bias)
        # Copied in that order, small products take half as long.
        transposed = Weights(*(layer.t().contiguous() if layer.dim() == 2 else layer for layer in layers))
        all_entering = entering.unbind(0)
        hidden_states, futures_in = entering[..., features:].unbind(0), entering[..., :features].unbind(0)
        all_fed, fed_inputs, fed_hidden = (
            part.flatten(0, 1).unbind(0) for part in (fed, fed[..., :size], fed[..., size:])
        )
        each_seen, each_score = seen.unbind(0), scores.unbind(0)
        score_masks, input_masks = (part.flatten(0, 1).unbind(0) for part in (masks.scores, masks.inputs))
        for step in range(steps):
            encoder.gates[step].addmm_(all_entering[step], transposed.encoder)
            hidden, place = hidden_states[step + 1], step * (ahead + 1)
            encoder.advance(step, step, hidden)
            torch.addmm(weights.hidden_bias, hidden, transposed.hidden, out=fed_hidden[place]).clamp_(min=0)
            state, first = encoder.states[step + 1], decoder.states[place]
            torch.addmm(weights.cell_bias, state, transposed.cell, out=first).clamp_(min=0)
            for at, now in enumerate(range(step * ahead, (step + 1) * ahead), start=place):
                decoder.gates[now].addmm_(all_fed[at], transposed.decoder)
                shown = fed_hidden[at + 1]
                decoder.advance(now, at, shown)
                torch.mul(shown, score_masks[now], out=each_seen[now])
                score = each_score[now].addmm_(each_seen[now], transposed.classifier)
                if at + 1 < place + ahead:
                    inputs = fed_inputs[at + 1].addmm_(score, transposed.inputs)
                    inputs.clamp_(min=0).mul_(input_masks[now + 1])
            future = futures[step].add_(fed[step, 1:, :, size:] @ transposed.future).clamp_(min=0)
            if step + 1 < steps:
                torch.mul(future.mean(0), masks.future[step + 1], out=futures_in[step + 1])
        ctx.save_for_backward(*layers, *masks, entering, fed, seen, scores, futures)
        ctx.cells = encoder.tensors, decoder.tensors
        return entering[1:, :, features:].clone(), scores.view(steps, ahead, rows, classes).clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_hidden: Tensor, of_scores: Tensor) -> tuple[Tensor | None, ...]:
        count = len(Weights._fields)
        weights, masks = Weights(*ctx.saved_tensors[:count]), Masks(*ctx.saved_tensors[count : count + 3])
        entering, fed, seen, scores, futures = ctx.saved_tensors[count + 3 :]
        (encoder_gates, encoder_states, encoder_shown), decoder = ctx.cells
        steps, ahead, rows, size = masks.inputs.shape
        features = weights.future.shape[0]
        of_encoder = torch.empty_like(encoder_gates)
        encoder = _Retreat(encoder_gates, encoder_shown, encoder_states[:-1], of_encoder)
        decoder_gates, decoder_shown = (decoder[part].view(steps, ahead, rows, -1) for part in (0, 2))
        decoder_states = decoder[1].view(steps, ahead + 1, rows, size)
        of_decoder = torch.empty_like(decoder_gates)
        of_scores = of_scores.flatten(0, 1).clone()
        of_futures = torch.empty_like(futures)
        of_futures[-1] = 0
        of_inputs = torch.empty_like(masks.inputs)
        of_first_hidden, of_first_cell = torch.empty_like(of_hidden), torch.empty_like(of_hidden)
        of_entering = of_hidden.new_zeros(rows, features + size)
        of_cell = of_hidden.new_zeros(rows, size)
        each_score, score_masks = of_scores.unbind(0), masks.scores.flatten(0, 1).unbind(0)
        # Where an input was let through, what dropout multiplied it by.
        passed = torch.empty_like(masks.inputs)
        _rectified_into(masks.inputs[:, 1:], fed[:, 1:-1, :, :size], 0, grad_input=passed[:, 1:])
        of_fed = of_hidden.new_empty(ahead + 1, rows, 2 * size)  # of what each decoder step was fed
        of_fed_all, of_fed_inputs, of_fed_hidden = (
            part.unbind(0) for part in (of_fed, of_fed[..., :size], of_fed[..., size:])
        )
        for step in reversed(range(steps)):
            if step + 1 < steps:
                of_mean = of_entering[:, :features] * masks.future[step + 1] / ahead
                future = futures[step]
                _rectified_into(of_mean.expand_as(future), future, 0, grad_input=of_futures[step])
            of_fed[..., :size] = 0
            of_fed[0, :, size:] = 0
            torch.matmul(of_futures[step], weights.future, out=of_fed[1:, :, size:])
            of_ahead_cell = torch.zeros_like(of_cell)
            decode = _Retreat(
                decoder_gates[step], decoder_shown[step], decoder_states[step, :-1], of_decoder[step]
            )
            each_input, each_passed = of_inputs[step].unbind(0), passed[step].unbind(0)
            for number in reversed(range(ahead)):
                now, of_shown = step * ahead + number, of_fed_hidden[number + 1]
                if number + 1 < ahead:
                    later = number + 1
                    of_input = torch.mul(of_fed_inputs[later], each_passed[later], out=each_input[later])
                    each_score[now].addmm_(of_input, weights.inputs)
                of_shown.addcmul_(each_score[now] @ weights.classifier, score_masks[now])
                of_fed_all[number].addmm_(decode.step(number, of_shown, of_ahead_cell), weights.decoder)
            first_hidden, first_cell = of_first_hidden[step], of_first_cell[step]
            _rectified_into(of_fed_hidden[0], fed[step, 0, :, size:], 0, grad_input=first_hidden)
            _rectified_into(of_ahead_cell, decoder_states[step, 0], 0, grad_input=first_cell)
            of_shown = of_hidden[step] + of_entering[:, features:]
            of_shown.addmm_(first_hidden, weights.hidden)
            of_cell.addmm_(first_cell, weights.cell)
            of_entering = encoder.step(step, of_shown, of_cell) @ weights.encoder
        later_inputs = of_inputs[:, 1:]
        of_weights = Weights(
            _product(of_encoder, entering[:-1]),
            _product(of_decoder, fed[:, :-1]),
            _total(of_decoder),
            _product(of_first_hidden, entering[1:, :, features:]),
            _total(of_first_hidden),
            _product(of_first_cell, encoder_states[1:]),
            _total(of_first_cell),
            _product(of_scores, seen),
            _total(of_scores),
            _product(later_inputs, scores.view(steps, ahead, rows, -1)[:, :-1]),
            _total(later_inputs),
            _product(of_futures, fed[:, 1:, :, size:]),
            _total(of_futures),
        )
        return of_encoder, None, *of_weights


def _product(gradients: Tensor, inputs: Tensor) -> Tensor:
    """A weight's gradient, summed over all steps and rows."""
    return gradients.flatten(0, -2).t() @ inputs.flatten(0, -2)


def _total(gradients: Tensor) -> Tensor:
    return gradients.flatten(0, -2).sum(0)
