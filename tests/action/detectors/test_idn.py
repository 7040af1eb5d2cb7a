from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from prolepsis.action.detectors.base import WindowBatch
from prolepsis.action.detectors.idn import IDN, IDUCell

SMALL = {"window_steps": 4, "embedding_size": 6, "hidden_size": 5}


def small(**changes: object) -> IDN:
    torch.manual_seed(0)
    return IDN(IDN.Config.model_validate(SMALL | changes), input_size=3, num_classes=4).eval()


def hard(values: np.ndarray) -> np.ndarray:
    return np.clip(0.2 * values + 0.5, 0, 1)


def test_as_many_parameters_are_in_use_as_in_the_official_code() -> None:
    model = IDN(IDN.Config(), input_size=3072, num_classes=21)
    assert sum(parameter.numel() for parameter in model.parameters()) == 3_430_442


def test_a_step_of_the_cell_is_what_its_equations_say() -> None:
    torch.manual_seed(1)
    cell = IDUCell(3, 2, use_bias=False, gate_activation="hard_sigmoid")
    step, current, hidden = (torch.randn(1, size) for size in (3, 3, 2))
    found = cell(cell.of_step(step), cell.of_current(current), hidden)
    weights = {name: layer.weight.detach().numpy() for name, layer in cell.named_children()}
    e_t, e_0, h = (part.detach().numpy()[0] for part in (step, current, hidden))
    reset = hard(weights["hidden_to_reset"] @ h + weights["current_to_reset"] @ e_0)
    update = hard(weights["step_to_update"] @ e_t + weights["current_to_update"] @ e_0)
    candidate = np.tanh(weights["step_to_candidate"] @ e_t + weights["hidden_to_candidate"] @ (reset * h))
    expected = (1 - update) * h + update * candidate
    np.testing.assert_allclose(found.detach().numpy()[0], expected, atol=1e-6)


def test_the_gates_matrices_start_orthogonal() -> None:
    cell = IDUCell(8, 8, use_bias=True, gate_activation="hard_sigmoid")
    for layer in cell.children():
        torch.testing.assert_close(layer.weight @ layer.weight.T, torch.eye(8), atol=1e-5, rtol=0)
        assert layer.bias is None or not layer.bias.any()


def plainly(model: IDN, window: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and embeddings of one window of features `[W, D]`, step by step."""
    embedded = functional.relu(model.embedding(window))
    hidden = torch.zeros(1, 5)
    for step in embedded:
        hidden = model.cell(model.cell.of_step(step)[None], model.cell.of_current(embedded[-1])[None], hidden)
    return model.classifier(functional.relu(model.hidden_layer(hidden)))[0], embedded


def batch() -> WindowBatch:
    random = torch.Generator().manual_seed(0)
    features = torch.randn(2, 9, 3, generator=random)
    classes = torch.randint(4, (2, 9), generator=random)
    mask = torch.arange(9) < torch.tensor([[9], [7]])
    valid = mask.clone()
    valid[0, 4] = False
    scored = torch.zeros_like(mask)
    scored[:, 3:8] = True
    return WindowBatch(
        features * mask[..., None], mask, functional.one_hot(classes, 4).float(), valid, scored
    )


def test_the_loss_is_that_of_windows_taken_one_by_one() -> None:
    model, given = small(), batch()
    detection, embedding, last, contrast, steps, pairs = 0.0, 0.0, 0.0, 0.0, 0, 0
    windows = [(v, e) for v, e in (given.scored & given.valid).nonzero().tolist()]
    for video, end in windows:
        scores, embedded = plainly(model, given.features[video, end - 3 : end + 1])
        by_embeddings = model.embedding_classifier(embedded)
        classes = given.labels[video].argmax(-1)
        detection += functional.cross_entropy(scores, classes[end])
        last += functional.cross_entropy(by_embeddings[-1], classes[end])
        for place, step in enumerate(range(end - 3, end + 1)):
            if not given.valid[video, step]:
                continue
            embedding += functional.cross_entropy(by_embeddings[place], classes[step])
            steps += 1
            if step < end:
                distance = (embedded[place] - embedded[-1]).square().sum()
                contrast += distance if classes[step] == classes[end] else torch.clamp(1.0 - distance, min=0)
                pairs += 1
    expected = detection / len(windows) + 0.3 * (embedding / steps + last / len(windows) + contrast / pairs)
    loss, parts = model.loss(given)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(parts["detection_loss"], detection / len(windows))
    torch.testing.assert_close(parts["contrastive_loss"], contrast / pairs)


def test_what_is_ignored_before_a_windows_end_changes_no_loss() -> None:
    model, given = small(), batch()
    labels = given.labels.clone()
    labels[0, 4] = torch.tensor([1.0, 1.0, 0.0, 1.0])
    torch.testing.assert_close(model.loss(given)[0], model.loss(replace(given, labels=labels))[0])


def test_a_batch_without_a_step_that_counts_has_no_loss() -> None:
    given = batch()
    loss, _ = small().loss(replace(given, valid=torch.zeros_like(given.valid)))
    assert loss.item() == 0.0
