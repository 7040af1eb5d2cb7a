from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from prolepsis.action.detectors.base import WindowBatch
from prolepsis.action.detectors.oadtr import DecoderLayer, EncoderBlock, OadTR
from prolepsis.training.arithmetic import count_products

SMALL = {
    "window_steps": 4,
    "hidden_size": 8,
    "encoder_layers": 2,
    "encoder_heads": 2,
    "decoder_steps": 3,
    "decoder_layers": 2,
    "decoder_heads": 4,
}


def small() -> OadTR:
    torch.manual_seed(0)
    model = OadTR(OadTR.Config(**SMALL), input_size=5, num_classes=4).eval()
    torch.nn.init.normal_(model.task_token)
    torch.nn.init.normal_(model.queries)
    return model


def plain_oadtr(model: OadTR, windows: Tensor) -> tuple[Tensor, Tensor]:
    """Windows of features `[N, W, D]` through the published layers, with torch's own attention."""
    tokens = torch.cat([model.projection(windows), model.task_token.expand(len(windows), 1, -1)], 1)
    tokens = tokens + model.positions
    for layer in model.encoder:
        tokens = plain_block(layer, tokens) if isinstance(layer, EncoderBlock) else layer(tokens)
    queries = model.queries.expand(len(windows), -1, -1)
    for layer in model.decoder:
        assert isinstance(layer, DecoderLayer)
        causal = torch.ones(3, 3, dtype=torch.bool).triu(1)
        queries = layer.norms[0](queries + plain_attention(layer.self_attention, queries, queries, causal))
        queries = layer.norms[1](queries + plain_attention(layer.cross_attention, queries, tokens, None))
        queries = layer.norms[2](queries + layer.feed_forward(queries))
    decoded = model.decoder_norm(queries)
    main = model.classifier(torch.cat([tokens[:, -1], decoded.mean(1)], 1))
    return main, model.decoder_classifier(decoded)


def plain_block(block: EncoderBlock, tokens: Tensor) -> Tensor:
    normed = block.attention_norm(tokens)
    attended, _ = functional.multi_head_attention_forward(
        *[normed.transpose(0, 1)] * 3,
        tokens.shape[-1],
        block.heads,
        block.queries_keys_values.weight,
        None,
        None,
        None,
        False,
        0.0,
        block.attention_output.weight,
        block.attention_output.bias,
        training=False,
    )
    tokens = tokens + attended.transpose(0, 1)
    return tokens + block.feed_forward(block.feed_forward_norm(tokens))


def plain_attention(
    layer: torch.nn.Module, targets: Tensor, sources: Tensor, forbidden: Tensor | None
) -> Tensor:
    parts = (layer.queries, layer.keys, layer.values)
    attended, _ = functional.multi_head_attention_forward(
        targets.transpose(0, 1),
        sources.transpose(0, 1),
        sources.transpose(0, 1),
        targets.shape[-1],
        layer.heads,
        torch.cat([part.weight for part in parts]),
        torch.cat([part.bias for part in parts]),
        None,
        None,
        False,
        0.0,
        layer.output.weight,
        layer.output.bias,
        training=False,
        attn_mask=forbidden,
    )
    return attended.transpose(0, 1)


@pytest.mark.parametrize(("input_size", "parameters"), [(3072, 74_709_036), (4096, 75_757_612)])
def test_the_papers_model_has_the_published_number_of_parameters(input_size: int, parameters: int) -> None:
    with torch.device("meta"):
        model = OadTR(OadTR.Config(), input_size=input_size, num_classes=22)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_every_frame_is_scored_by_the_window_that_ends_with_it() -> None:
    model = small()
    features = torch.randn(2, 9, 5)
    output = model(features, torch.ones(2, 9, dtype=torch.bool))
    padded = torch.cat([torch.zeros(2, 3, 5), features], 1)
    for step in range(9):
        scores, decoded = plain_oadtr(model, padded[:, step : step + 4])
        torch.testing.assert_close(output.scores[:, step], scores)
        torch.testing.assert_close(output.anticipation[:, step], decoded)


def test_a_frame_outside_the_window_has_no_influence() -> None:
    model = small()
    features = torch.randn(1, 9, 5)
    changed = features.clone()
    changed[:, 2] += 3.0
    mask = torch.ones(1, 9, dtype=torch.bool)
    before, after = model(features, mask).scores, model(changed, mask).scores
    torch.testing.assert_close(before[:, 6:], after[:, 6:])
    assert not torch.allclose(before[:, 5], after[:, 5])


def test_long_videos_are_scored_in_pieces_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small()
    features, mask = torch.randn(2, 9, 5), torch.ones(2, 9, dtype=torch.bool)
    whole = model(features, mask).scores
    monkeypatch.setattr("prolepsis.action.detectors.oadtr._WINDOWS_AT_ONCE", 5)
    torch.testing.assert_close(model(features, mask).scores, whole)


def batch_of(classes: Tensor, scored: Tensor, valid: Tensor) -> WindowBatch:
    steps = scored.shape[1]
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(len(classes), steps, 5, generator=generator)
    return WindowBatch(
        features,
        torch.ones(len(classes), steps, dtype=torch.bool),
        functional.one_hot(classes, 4).float(),
        valid,
        scored,
    )


def test_the_loss_is_that_of_the_scored_windows_and_of_the_frames_after_them() -> None:
    model = small()
    classes = torch.randint(4, (2, 7 + 3), generator=torch.Generator().manual_seed(2))
    scored = torch.zeros(2, 7, dtype=torch.bool)
    scored[0, 3] = scored[0, 5] = scored[1, 6] = True
    batch = batch_of(classes, scored, torch.ones(2, 10, dtype=torch.bool))
    ends = [(0, 3), (0, 5), (1, 6)]
    windows = torch.stack([batch.features[video, end - 3 : end + 1] for video, end in ends])
    scores, decoded = plain_oadtr(model, windows)
    now = torch.stack([classes[video, end] for video, end in ends])
    ahead = torch.stack([classes[video, end + 1 : end + 4] for video, end in ends])
    expected = functional.cross_entropy(scores, now)
    expected = expected + 0.5 * functional.cross_entropy(decoded.flatten(0, 1), ahead.flatten())
    torch.testing.assert_close(model.loss(batch)[0], expected)


def test_a_window_that_ends_with_an_ignored_frame_teaches_nothing() -> None:
    model = small()
    classes = torch.randint(4, (1, 7 + 3))
    scored = torch.zeros(1, 7, dtype=torch.bool)
    scored[0, 4] = True
    valid = torch.ones(1, 10, dtype=torch.bool)
    valid[0, 4] = False
    loss, _ = model.loss(batch_of(classes, scored, valid))
    loss.backward()
    assert loss.item() == 0.0
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


def test_heads_that_do_not_share_the_width_evenly_are_refused() -> None:
    with pytest.raises(ValidationError, match="no multiple"):
        OadTR.Config(hidden_size=10, encoder_heads=4)


def continual(**changes: Any) -> OadTR:
    torch.manual_seed(0)
    config = OadTR.Config(**SMALL | {"continual": True} | changes)
    return OadTR(config, input_size=5, num_classes=4)


def plain_continual(model: OadTR, window: Tensor, first: int) -> Tensor:
    """A window of features `[B, W, D]` whose first step has position `first`, through the whole encoder."""
    network = model.continual
    places = (first + torch.arange(window.shape[1])) % 7
    tokens = network.projection(window) + network.positions[places]
    for block in filter(None, (network.first, network.second)):
        tokens = plain_block(block, tokens)
    return network.classifier(network.norm(tokens[:, -1]))


@pytest.mark.parametrize("layers", [1, 2])
def test_a_continual_step_is_the_whole_encoder_over_its_window_with_recurring_positions(layers: int) -> None:
    model = continual(encoder_layers=layers).eval()
    features = torch.randn(2, 18, 5)
    output = model(features, torch.ones(2, 18, dtype=torch.bool))
    assert output.anticipation is None
    for step in range(18):
        first = max(0, step - 3)
        expected = plain_continual(model, features[:, first : step + 1], first)
        torch.testing.assert_close(output.scores[:, step], expected)


@pytest.mark.parametrize("layers", [1, 2])
def test_the_continual_loss_leaves_steps_before_the_video_out(layers: int) -> None:
    model = continual(encoder_layers=layers).eval()
    classes = torch.randint(4, (1, 7), generator=torch.Generator().manual_seed(2))
    scored = torch.zeros(1, 7, dtype=torch.bool)
    scored[0, 3] = scored[0, 6] = True
    batch = batch_of(classes, scored, torch.ones(1, 7, dtype=torch.bool))
    batch.mask[:, :2] = False
    windows = (batch.features[:, 2:4], 2), (batch.features[:, 3:7], 3)
    expected = functional.cross_entropy(
        torch.cat([plain_continual(model, *window) for window in windows]), classes[0, [3, 6]]
    )
    torch.testing.assert_close(model.loss(batch)[0], expected)


def test_in_training_a_continual_window_starts_at_any_position() -> None:
    model = continual(dropout=0.0).train()
    classes = torch.randint(4, (2, 7), generator=torch.Generator().manual_seed(2))
    scored = torch.ones(2, 7, dtype=torch.bool)
    batch = batch_of(classes, scored, scored)
    assert len({model.loss(batch)[0].item() for _ in range(8)}) > 1
    model.eval()
    assert len({model.loss(batch)[0].item() for _ in range(8)}) == 1


def test_a_continual_step_of_one_block_has_the_published_number_of_products() -> None:
    """10.6 million multiplications a prediction (Hedegaard et al., table of THUMOS'14 with 4096 features)."""
    model = OadTR(OadTR.Config(continual=True, encoder_layers=1), input_size=4096, num_classes=22).eval()
    state = model.initial_state(1)
    with torch.no_grad():
        products = count_products(lambda: model.step(torch.zeros(1, 4096), state)) / 2
    assert round(products / 1e6, 1) == 10.6


def test_a_continual_encoder_of_three_blocks_is_refused() -> None:
    with pytest.raises(ValidationError, match="1 or 2"):
        OadTR.Config(continual=True)
