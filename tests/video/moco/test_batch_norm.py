"""Batch norm in groups, beside PyTorch's."""

import pytest
import torch
import torchvision
from torch import nn

from prolepsis.video.moco.batch_norm import SplitBatchNorm2d, split_batch_norms


def norms(num_splits: int) -> tuple[nn.BatchNorm2d, SplitBatchNorm2d]:
    """One with random statistics and weights, and one in groups that begins as it is."""
    torch.manual_seed(0)
    plain = nn.BatchNorm2d(3, momentum=0.2)
    for tensor in (plain.weight.data, plain.bias.data, plain.running_mean, plain.running_var):
        tensor.uniform_(0.5, 2.0)
    return plain, SplitBatchNorm2d(plain, num_splits)


def images(count: int) -> torch.Tensor:
    return torch.randn(count, 3, 4, 5, generator=torch.Generator().manual_seed(1)) * torch.arange(
        1.0, count + 1
    ).view(-1, 1, 1, 1)


def test_each_group_is_normalised_by_its_own_statistics():
    plain, split = norms(4)
    batch = images(8)
    alone = [
        nn.functional.batch_norm(group, None, None, plain.weight, plain.bias, True)
        for group in batch.chunk(4)
    ]
    assert torch.equal(split.train()(batch), torch.cat(alone))


def test_what_is_in_one_group_does_not_reach_another():
    _, split = norms(2)
    split.train()
    batch = images(8)
    changed = torch.cat([batch[:4], 100 + batch[4:] ** 2])
    assert torch.equal(split(batch)[:4], split(changed)[:4])


def test_running_statistics_move_by_the_mean_over_the_groups():
    plain, split = norms(2)
    batch = images(6)
    split.train()(batch)
    means = torch.stack([group.mean(dim=(0, 2, 3)) for group in batch.chunk(2)]).mean(dim=0)
    variances = torch.stack([group.var(dim=(0, 2, 3)) for group in batch.chunk(2)]).mean(dim=0)
    torch.testing.assert_close(split.running_mean, 0.8 * plain.running_mean + 0.2 * means)
    torch.testing.assert_close(split.running_var, 0.8 * plain.running_var + 0.2 * variances)
    assert int(split.num_batches_tracked) == 1


@pytest.mark.parametrize("training", [True, False])
def test_one_group_and_evaluation_are_ordinary_batch_norm(training: bool):
    plain, split = norms(1 if training else 4)
    batch = images(7)
    assert torch.equal(split.train(training)(batch), plain.train(training)(batch))
    assert torch.equal(split.running_var, plain.running_var)


def test_gradients_flow_to_images_and_weights():
    _, split = norms(2)
    split = split.double().train()
    batch = images(4).double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda one, weight, bias: torch.func.functional_call(split, {"weight": weight, "bias": bias}, one),
        (batch, split.weight, split.bias),
    )


def test_a_batch_that_is_not_whole_groups_is_refused():
    _, split = norms(4)
    with pytest.raises(ValueError, match="7 images cannot be split into 4"):
        split.train()(images(7))


@pytest.mark.parametrize("options", [{"momentum": None}, {"track_running_stats": False}])
def test_running_statistics_without_a_momentum_are_refused(options: dict):
    with pytest.raises(ValueError, match="move by a momentum"):
        SplitBatchNorm2d(nn.BatchNorm2d(3, **options), 2)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5", "regnet_y_400mf"])
def test_a_network_of_torchvision_is_converted_and_its_weights_fit_the_plain_one(name: str):
    torch.manual_seed(0)
    network = torchvision.models.get_model(name)
    plain = torchvision.models.get_model(name)
    names = list(network.state_dict())
    count = sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    split_batch_norms(network, 2)
    converted = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(converted) == count > 0
    assert all(isinstance(module, SplitBatchNorm2d) for module in converted)
    assert list(network.state_dict()) == names
    plain.load_state_dict(network.state_dict())
    batch = torch.randn(2, 3, 32, 32)
    assert torch.equal(network.eval()(batch), plain.eval()(batch))
