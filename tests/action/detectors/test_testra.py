import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from prolepsis.action.detectors.base import WindowBatch
from prolepsis.action.detectors.testra import MemoryLayer, TeSTra, TeSTraConfig
from prolepsis.errors import ProlepsisError

SMALL = {
    "work_steps": 4,
    "memory_steps": 6,
    "decay": 0.8,
    "hidden_size": 8,
    "num_heads": 2,
    "feed_forward_size": 9,
    "memory_queries": 3,
    "encoder_queries": 4,
    "anticipation_steps": 2,
}


def small(**changes: object) -> TeSTra:
    torch.manual_seed(0)
    return TeSTra(TeSTra.Config.model_validate(SMALL | changes), input_size=3, num_classes=5).eval()


def layer(**changes: object) -> MemoryLayer:
    torch.manual_seed(0)
    return MemoryLayer(TeSTraConfig.model_validate(SMALL | changes)).eval()


@pytest.mark.parametrize("decay", [1.0, 0.97, 0.5])
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_sums_carried_from_step_to_step_are_the_attention_to_the_whole_memory(
    decay: float, scale: float
) -> None:
    memory_layer = layer(decay=decay)
    features = scale * torch.randn(2, 40, 8)
    memory = memory_layer.nothing(2)
    keys, values = memory_layer.keys_values(features)
    exists = torch.ones(2, 40, dtype=torch.bool)
    for step in range(40):
        memory = memory_layer.remember(memory_layer.asked(), memory, keys[:, :, step], values[:, :, step])
        whole = memory_layer(features[:, : step + 1], exists[:, : step + 1])
        torch.testing.assert_close(
            memory_layer.read(memory_layer.asked(), memory), whole, atol=1e-5, rtol=1e-4
        )


def test_a_step_weighs_less_by_the_decay_with_each_step_that_passes() -> None:
    memory_layer = layer(decay=0.5)
    torch.nn.init.zeros_(memory_layer.keys.weight)
    torch.nn.init.zeros_(memory_layer.keys.bias)
    keys, values = memory_layer.keys_values(torch.randn(1, 3, 8))
    memory = memory_layer.nothing(1)
    for step in range(3):
        memory = memory_layer.remember(memory_layer.asked(), memory, keys[:, :, step], values[:, :, step])
    expected = (values[:, :, 2] + 0.5 * values[:, :, 1] + 0.25 * values[:, :, 0]) / 1.75
    found = memory.values / memory.weights.unsqueeze(-1)
    torch.testing.assert_close(found, expected.unsqueeze(2).expand_as(found))
    torch.testing.assert_close(memory.highest, torch.full_like(memory.highest, 0.0))


def test_an_empty_memory_and_one_whose_steps_do_not_exist_are_the_same() -> None:
    memory_layer = layer()
    nothing = memory_layer(torch.randn(2, 5, 8), torch.zeros(2, 5, dtype=torch.bool))
    torch.testing.assert_close(memory_layer.read(memory_layer.asked(), memory_layer.nothing(2)), nothing)
    nothing.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in memory_layer.parameters() if p.grad is not None)


def test_streams_remember_only_what_enters_their_own_memory() -> None:
    memory_layer = layer()
    keys, values = memory_layer.keys_values(torch.randn(2, 2, 8))
    memory = memory_layer.remember(
        memory_layer.asked(), memory_layer.nothing(2), keys[:, :, 0], values[:, :, 0]
    )
    after = memory_layer.remember(
        memory_layer.asked(), memory, keys[:, :, 1], values[:, :, 1], torch.tensor([True, False])
    )
    for part, old in zip(after, memory, strict=True):
        assert not torch.equal(part[0], old[0])
        assert torch.equal(part[1], old[1])


def window(model: TeSTra, length: int) -> WindowBatch:
    """One window at the end of a video of 11 steps: the steps before it are its long memory."""
    total = model.context + length + model.horizon
    features = torch.randn(1, model.context + length, 3, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(1, model.context + length, dtype=torch.bool)
    labels = functional.one_hot(torch.arange(total) % 5, 5).float()[None]
    scored = mask.clone()
    scored[:, : model.context] = False
    return WindowBatch(features, mask, labels, torch.ones(1, total, dtype=torch.bool), scored)


def cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    return functional.cross_entropy(logits, label)


def test_the_last_step_of_a_window_is_learnt_from_as_the_stream_scores_it() -> None:
    model = small()
    given = window(model, 4)
    output = model(given.features, given.mask)
    only = torch.zeros_like(given.scored)
    only[:, -1] = True
    loss, parts = model.loss(WindowBatch(given.features, given.mask, given.labels, given.valid, only))
    expected = cross_entropy(output.scores[:, -1], given.labels[:, 9].argmax(-1))
    torch.testing.assert_close(parts["detection_loss"], expected)
    ahead = cross_entropy(output.anticipation[0, -1], given.labels[0, 10:12].argmax(-1))
    torch.testing.assert_close(loss, expected + ahead)


@pytest.mark.parametrize("rereads", [False, True])
def test_earlier_steps_of_a_window_see_the_window_up_to_themselves_and_the_same_memory(rereads: bool) -> None:
    model = small(anticipation_steps=0, decoder_rereads_work=rereads)
    given = window(model, 4)
    first = torch.zeros_like(given.scored)
    first[:, model.context] = True
    found = model.loss(WindowBatch(given.features, given.mask, given.labels, given.valid, first))[0]
    changed = given.features.clone()
    changed[:, model.context + 1 :] += 1.0
    torch.testing.assert_close(
        model.loss(WindowBatch(changed, given.mask, given.labels, given.valid, first))[0], found
    )
    changed = given.features.clone()
    changed[:, 0] += 1.0
    moved = model.loss(WindowBatch(changed, given.mask, given.labels, given.valid, first))[0]
    assert not torch.allclose(moved, found, rtol=1e-6, atol=1e-7)


def test_the_decoder_may_read_the_work_memory_beside_the_long_one() -> None:
    model = small(decoder_rereads_work=True, decoder_layers=1, anticipation_steps=0)
    features = torch.randn(1, 3, 3)
    tokens = model.encoder_queries[None]
    for compressing in model.encoder:
        tokens = compressing(
            tokens, model.memory_layer.read(model.memory_layer.asked(), model.memory_layer.nothing(1))
        )
    tokens = model.encoder_norm(tokens)
    work = model.work_projection(features) + model.positions[:3]
    decoding = model.decoder[0]
    last = decoding.norms[0](work[:, -1:] + decoding.self_attention(work[:, -1:], work))
    last = decoding.norms[1](last + decoding.cross_attention(last, torch.cat([tokens, work], 1)))
    last = decoding.norms[2](last + decoding.feed_forward(last))
    expected = model.classifier(model.decoder_norm(last))[:, 0]
    found = model(features, torch.ones(1, 3, dtype=torch.bool)).scores[:, -1]
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(
        small(decoder_layers=1, anticipation_steps=0, decoder_rereads_work=False)(
            features, torch.ones(1, 3) > 0
        ).scores[:, -1],
        expected,
    )


def test_a_window_longer_than_the_work_memory_is_refused() -> None:
    model = small()
    with pytest.raises(ProlepsisError, match="A window of 5 steps does not fit into a work memory of 4"):
        model.loss(window(model, 5))


def test_what_is_far_in_the_past_is_remembered() -> None:
    model = small(decay=1.0)
    features = torch.randn(1, 30, 3)
    changed = features.clone()
    changed[:, 0] += 3.0
    whole = torch.ones(1, 30, dtype=torch.bool)
    assert (model(features, whole).scores[:, -1] - model(changed, whole).scores[:, -1]).abs().max() > 1e-5
    faded = math.log(1e-7) / math.log(0.5)
    forgetful = small(decay=0.5)
    assert faded < 26
    torch.testing.assert_close(
        forgetful(features, whole).scores[:, -1], forgetful(changed, whole).scores[:, -1]
    )


def test_a_width_that_the_heads_do_not_share_is_refused() -> None:
    with pytest.raises(ValidationError, match="hidden_size 9 is no even multiple of 3 heads"):
        TeSTra.Config(hidden_size=9, num_heads=3)
