"""Momentum contrast, step by step."""

import copy

import pytest
import torch
from torch import nn

from prolepsis.video.moco.backbones import build_backbone
from prolepsis.video.moco.model import ContrastEncoder, MomentumContrast

SIZE = 16


class MeanColour(nn.Module):
    """A backbone of one convolution, batch norm and a mean over the image."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 6, 3)
        self.norm = nn.BatchNorm2d(6)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.norm(self.convolution(images)).relu().mean(dim=(2, 3))


def build(queue_size: int = 12, momentum: float = 0.9, splits: int = 1) -> MomentumContrast:
    torch.manual_seed(0)
    return MomentumContrast(
        ContrastEncoder(MeanColour(), 6, 4),
        dimension=4,
        image_size=SIZE,
        queue_size=queue_size,
        momentum=momentum,
        temperature=0.2,
        batch_norm_splits=splits,
    )


def views(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, SIZE, SIZE, 3), dtype=torch.uint8, generator=generator)


def test_logits_are_those_of_the_paper():
    model = build()
    queries, keys = views(5), views(5, 1)
    reference = copy.deepcopy(model).train()
    q = reference.query(reference.normalise(queries))
    k = reference.key(reference.normalise(keys))
    logits = model.train()(queries, keys, torch.arange(5))
    expected = torch.cat([torch.einsum("nc,nc->n", q, k)[:, None], q @ model_queue(reference).T], dim=1) / 0.2
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(torch.linalg.vector_norm(q, dim=1), torch.ones(5))
    assert logits.shape == (5, 13)


def model_queue(model: MomentumContrast) -> torch.Tensor:
    torch.testing.assert_close(torch.linalg.vector_norm(model.queue, dim=1), torch.ones(len(model.queue)))
    return model.queue


def test_the_queue_takes_the_keys_in_turn_whatever_its_size():
    model = build(queue_size=12).train()
    before = model.queue.clone()
    given = []
    for step in range(4):
        batch = views(5, step)
        model(batch, batch, torch.arange(5))
        given.append(last_keys(model, step))
        assert int(model.enqueued) == 5 * (step + 1)
    history = torch.cat([before, *given])
    # Twenty keys have been put into twelve places: place i holds the last of those that came to it.
    for place in range(12):
        came = [number for number in range(20) if number % 12 == place]
        assert torch.equal(model.queue[place], history[12 + came[-1]])


def last_keys(model: MomentumContrast, step: int) -> torch.Tensor:
    return model.queue[(5 * step + torch.arange(5)) % 12].clone()


def test_the_key_encoder_follows_by_its_momentum_and_is_given_no_gradient():
    model = build(momentum=0.75).train()
    with torch.no_grad():
        for parameter in model.query.parameters():
            parameter.add_(1.0)
    before = copy.deepcopy(model.key)
    logits = model(views(4), views(4, 1), torch.arange(4))
    nn.functional.cross_entropy(logits, torch.zeros(4, dtype=torch.int64)).backward()
    for key, old, query in zip(
        model.key.parameters(), before.parameters(), model.query.parameters(), strict=True
    ):
        torch.testing.assert_close(key, 0.75 * old + 0.25 * query)
        assert key.grad is None
    assert all(parameter.grad is not None for parameter in model.query.parameters())


def test_encoding_moves_nothing():
    model = build().eval()
    with torch.no_grad():
        for parameter in model.query.parameters():
            parameter.add_(1.0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    queries, keys = model.encode(views(3), views(3))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert queries.shape == keys.shape == (3, 4)
    assert not torch.allclose(queries, keys)


def test_the_order_of_the_keys_changes_their_company_and_nothing_else():
    queries, keys = views(8), views(8, 1)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(2))
    alike = [build(splits=1).train()(queries, keys, one) for one in (torch.arange(8), order)]
    torch.testing.assert_close(*alike)
    other = [build(splits=4).train()(queries, keys, one) for one in (torch.arange(8), order)]
    assert torch.equal(other[0][:, 1:], other[1][:, 1:])
    assert not torch.allclose(other[0][:, 0], other[1][:, 0])


def test_logits_are_float32_under_autocast():
    model = build().train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model(views(4), views(4), torch.arange(4)).dtype == torch.float32


def test_resnet50_has_the_published_size_and_the_papers_head():
    backbone, width = build_backbone("resnet50", 32, seed=0)
    encoder = ContrastEncoder(backbone, width, 128)
    classifier = 2048 * 1000 + 1000
    assert sum(one.numel() for one in backbone.parameters()) == 25_557_032 - classifier
    assert [tuple(one.shape) for one in encoder.head.parameters()] == [
        (2048, 2048),
        (2048,),
        (128, 2048),
        (128,),
    ]


@pytest.mark.parametrize("name", ["googlenet", "vgg11", "convnext_tiny", "squeezenet1_1"])
def test_networks_of_other_kinds(name: str):
    if name == "squeezenet1_1":
        with pytest.raises(Exception, match="does not end in a linear layer"):
            build_backbone(name, 64, seed=0)
        return
    backbone, width = build_backbone(name, 64, seed=0)
    assert backbone.train()(torch.zeros(2, 3, 64, 64)).shape == (2, width)


def test_a_size_that_a_network_does_not_take_is_said():
    with pytest.raises(Exception, match="vit_b_16 does not take images of 64 pixels"):
        build_backbone("vit_b_16", 64, seed=0)
