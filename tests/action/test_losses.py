import pytest
import torch
from torch.nn import functional

from prolepsis.action.losses import anticipation_targets, soft_cross_entropy


def test_with_one_true_class_it_is_torchs_cross_entropy() -> None:
    logits, classes = torch.randn(4, 6, 5), torch.randint(5, (4, 6))
    loss = soft_cross_entropy(logits, functional.one_hot(classes, 5), torch.ones(4, 6, dtype=torch.bool))
    torch.testing.assert_close(loss, functional.cross_entropy(logits.flatten(0, 1), classes.flatten()))


def test_a_frame_with_two_actions_weighs_as_much_as_two_frames() -> None:
    logits = torch.randn(1, 4)
    both = soft_cross_entropy(logits, torch.tensor([[0, 1, 1, 0]]), torch.tensor([True]))
    expected = -functional.log_softmax(logits, -1)[0, 1:3].sum()
    torch.testing.assert_close(both, expected)


def test_frames_that_do_not_count_neither_add_nor_divide() -> None:
    logits, targets = torch.randn(6, 3), functional.one_hot(torch.arange(6) % 3, 3)
    valid = torch.tensor([True, False, True, True, False, False])
    kept = soft_cross_entropy(logits[valid], targets[valid], torch.ones(3, dtype=torch.bool))
    torch.testing.assert_close(soft_cross_entropy(logits, targets, valid), kept)


def test_without_a_valid_frame_loss_and_gradient_are_zero() -> None:
    logits = torch.randn(3, 2, requires_grad=True)
    loss = soft_cross_entropy(logits, torch.ones(3, 2), torch.zeros(3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_its_gradient_is_right() -> None:
    logits = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]])
    valid = torch.tensor([True, True, False])
    soft_cross_entropy(logits, targets, valid).backward()
    # d/dz of -sum y log softmax(z) is sum(y) softmax(z) - y.
    probabilities = logits.detach().softmax(-1)
    expected = (targets.sum(-1, keepdim=True) * probabilities - targets) / 2 * valid.unsqueeze(-1)
    torch.testing.assert_close(logits.grad, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("first", [0, 1])
def test_a_decoder_step_is_asked_for_the_label_so_many_steps_later(first: int) -> None:
    steps, ahead = 4, 3
    labels = torch.arange(2 * 7 * 2).view(2, 7, 2)
    valid = torch.rand(2, 7) < 0.5
    targets, counts = anticipation_targets(labels, valid, steps, first, ahead)
    assert targets.shape == (2, steps, ahead, 2)
    for step in range(steps):
        for f in range(ahead):
            assert torch.equal(targets[:, step, f], labels[:, step + first + f])
            assert torch.equal(counts[:, step, f], valid[:, step + first + f])
