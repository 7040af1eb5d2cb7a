import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from prolepsis.action.detectors.base import WindowBatch
from prolepsis.action.detectors.trn import TRN
from prolepsis.action.detectors.trn_unrolled import Weights, draw_masks, unroll
from prolepsis.errors import ProlepsisError


def small(**changes: object) -> TRN:
    torch.manual_seed(0)
    config = {"hidden_size": 6, "decoder_steps": 3, "linear_std": 0.3} | changes
    return TRN(TRN.Config(**config), input_size=5, num_classes=4).eval()


def plain_trn(model: TRN, features: Tensor) -> tuple[Tensor, Tensor]:
    """The published step as a loop of torch's cells: nothing hoisted, nothing shared."""
    batch, width = len(features), model.feature_size
    hidden = cell = torch.zeros(batch, 6)
    future = torch.zeros(batch, width)
    scores, decoded = [], []
    for feature in features.unbind(1):
        fused = torch.cat([functional.relu(model.feature_layer(feature)), future], 1)
        hidden, cell = model.encoder(fused, (hidden, cell))
        scores.append(model.classifier(hidden))
        decoder_hidden = functional.relu(model.hidden_to_decoder(hidden))
        decoder_cell = functional.relu(model.cell_to_decoder(cell))
        inputs, future, steps = torch.zeros(batch, 6), torch.zeros(batch, width), []
        for _ in range(model.config.decoder_steps):
            decoder_hidden, decoder_cell = model.decoder(inputs, (decoder_hidden, decoder_cell))
            steps.append(model.classifier(decoder_hidden))
            inputs = functional.relu(model.scores_to_decoder(steps[-1]))
            future = future + functional.relu(model.decoder_to_future(decoder_hidden))
        future = future / model.config.decoder_steps
        decoded.append(torch.stack(steps, 1))
    return torch.stack(scores, 1), torch.stack(decoded, 1)


@pytest.mark.parametrize(("input_size", "millions"), [(4096, 402.92), (3072, 357.83)])
def test_the_papers_model_has_the_published_number_of_parameters(input_size: int, millions: float) -> None:
    with torch.device("meta"):
        model = TRN(TRN.Config(), input_size=input_size, num_classes=22)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)


def test_it_computes_the_published_step() -> None:
    model = small(decoder_targets="future")
    features = torch.randn(3, 7, 5)
    output = model(features, torch.ones(3, 7, dtype=torch.bool))
    scores, decoded = plain_trn(model, features)
    torch.testing.assert_close(output.scores, scores)
    torch.testing.assert_close(output.anticipation, decoded)


def test_the_decoder_step_about_the_current_frame_is_no_anticipation() -> None:
    model = small(decoder_targets="current")
    features = torch.randn(2, 4, 5)
    _, decoded = plain_trn(model, features)
    output = model(features, torch.ones(2, 4, dtype=torch.bool))
    torch.testing.assert_close(output.anticipation, decoded[:, :, 1:])


@pytest.mark.parametrize(("targets", "first"), [("current", 0), ("future", 1)])
def test_the_loss_is_the_encoders_plus_the_decoders_mean(targets: str, first: int) -> None:
    model = small(decoder_targets=targets, decoder_weight=0.7)
    assert model.horizon == 2 + first
    classes = torch.randint(4, (2, 6 + model.horizon))
    batch = WindowBatch(
        torch.randn(2, 6, 5),
        torch.ones(2, 6, dtype=torch.bool),
        functional.one_hot(classes, 4).float(),
        torch.ones(2, 6 + model.horizon, dtype=torch.bool),
        torch.ones(2, 6, dtype=torch.bool),
    )
    scores, decoded = plain_trn(model, batch.features)
    expected = functional.cross_entropy(scores.flatten(0, 1), classes[:, :6].flatten())
    ahead = torch.stack([classes[:, first + f : first + f + 6] for f in range(3)], 2)
    expected = expected + 0.7 * functional.cross_entropy(decoded.flatten(0, 2), ahead.flatten())
    torch.testing.assert_close(model.loss(batch)[0], expected)


def test_weights_start_as_in_the_official_code() -> None:
    torch.manual_seed(0)
    model = TRN(TRN.Config(hidden_size=64), input_size=64, num_classes=22)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.001, rel=0.15)
        if isinstance(module, nn.LSTMCell):
            for weight in (module.weight_ih, module.weight_hh):
                columns = weight.T @ weight
                torch.testing.assert_close(columns, torch.eye(len(columns)), atol=1e-4, rtol=0)
            assert module.bias_ih.std().item() == pytest.approx(1.0, rel=0.2)


HDD = {"channels": 4, "height": 2, "width": 3, "map_size": 2, "sensors": 3, "sensor_size": 5}


def test_hdds_model_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        config = TRN.Config(image_and_sensor={}, hidden_size=2000, decoder_steps=6)
        model = TRN(config, input_size=1536 * 8 * 8 + 8, num_classes=12)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(79.5, abs=0.05)


def test_a_map_and_sensors_go_through_layers_of_their_own() -> None:
    torch.manual_seed(0)
    config = TRN.Config(hidden_size=6, decoder_steps=3, linear_std=0.3, image_and_sensor=HDD)
    model = TRN(config, input_size=4 * 2 * 3 + 3, num_classes=4).eval()
    maps, sensors = torch.randn(2, 5, 4, 2, 3), torch.randn(2, 5, 3)
    features = torch.cat([maps.flatten(2), sensors], -1)
    layer = model.feature_layer
    kernel = layer.map_layer.weight[:, :, 0, 0]
    by_place = torch.einsum("oc,btchw->btohw", kernel, maps) + layer.map_layer.bias.view(2, 1, 1)
    expected = torch.cat([by_place.flatten(2), layer.sensor_layer(sensors)], -1)
    torch.testing.assert_close(layer(features), expected)
    scores, _ = plain_trn(model, features)
    mask = torch.ones(2, 5, dtype=torch.bool)
    torch.testing.assert_close(model(features, mask).scores, scores)
    state = model.initial_state(2)
    for step in range(5):
        streamed, _, state = model.step(features[:, step], state)
        torch.testing.assert_close(streamed, scores[:, step], atol=1e-5, rtol=0)


def test_features_that_are_no_such_map_are_refused() -> None:
    with pytest.raises(ProlepsisError, match="have 27") as raised:
        TRN(TRN.Config(image_and_sensor=HDD), input_size=9, num_classes=4)
    assert "maps: kept" in str(raised.value)
    with pytest.raises(ValueError, match="leave one of them out"):
        TRN.Config(image_and_sensor=HDD, feature_size=8)


@pytest.mark.parametrize("decoder_steps", [1, 3])
def test_the_gradient_in_training_is_that_of_the_published_step(decoder_steps: int) -> None:
    model = small(decoder_steps=decoder_steps).double()
    features = torch.randn(2, 5, 5, dtype=torch.float64, requires_grad=True)
    wanted = [torch.randn(2, 5, *shape, dtype=torch.float64) for shape in ((4,), (decoder_steps, 4))]
    leaves = [features, *model.parameters()]
    gradients = []
    for found in (model._learning(features), model._unroll(features)):
        loss = sum((part * weight).sum() for part, weight in zip(found, wanted, strict=True))
        gradients.append(torch.autograd.grad(loss, leaves, allow_unused=True))
    for fast, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(fast, torch.zeros_like(fast) if plain is None else plain)


def test_the_gradient_with_dropout_is_that_of_the_loop_with_the_same_masks() -> None:
    steps, ahead, rows, hidden, features, classes = 3, 2, 2, 3, 4, 5
    generator = torch.Generator().manual_seed(4)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()

    shapes = [
        (4 * hidden, features + hidden),
        (4 * hidden, 2 * hidden),
        (4 * hidden,),
        *[(hidden, hidden), (hidden,)] * 2,
        *[(classes, hidden), (classes,), (hidden, classes), (hidden,), (features, hidden), (features,)],
    ]
    weights = Weights(*(draw(*shape) for shape in shapes))
    gates = draw(steps, rows, 4 * hidden)
    torch.manual_seed(0)
    masks = draw_masks(0.4, (steps, ahead, rows, hidden, features), gates.detach())
    assert all(0 < float((mask == 0).double().mean()) < 1 for mask in masks)
    assert torch.autograd.gradcheck(
        lambda gates, *weights: unroll(gates, Weights(*weights), masks), (gates, *weights)
    )


def test_dropout_in_training_leaves_values_out() -> None:
    model = small(dropout=0.5).train()
    features = torch.randn(2, 5, 5)
    first, second = (model._learning(features) for _ in range(2))
    assert not torch.equal(first[0], second[0])
    assert not torch.equal(first[1], second[1])
