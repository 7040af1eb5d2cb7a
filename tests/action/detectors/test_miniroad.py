from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from prolepsis.action.detectors.base import WindowBatch
from prolepsis.action.detectors.miniroad import MiniROAD

SMALL = {"embedding_size": 6, "hidden_size": 5, "window_steps": 4}


def small(**changes: object) -> MiniROAD:
    torch.manual_seed(0)
    return MiniROAD(MiniROAD.Config.model_validate(SMALL | changes), input_size=3, num_classes=4).eval()


def batch() -> WindowBatch:
    random = torch.Generator().manual_seed(0)
    features = torch.randn(2, 9, 3, generator=random)
    labels = functional.one_hot(torch.randint(4, (2, 9), generator=random), 4).float()
    labels[0, 5, :2] = 1.0
    mask = torch.arange(9) < torch.tensor([[9], [7]])
    mask[1, :2] = False  # before the video's start
    valid = mask.clone()
    valid[0, 6] = False
    scored = torch.zeros_like(mask)
    scored[:, 3:8] = True
    return WindowBatch(features * mask[..., None], mask, labels, valid, scored)


def plainly(model: MiniROAD, given: WindowBatch, video: int, end: int) -> Tensor:
    """The logits of a window's last step: the window through the embedding and torch's GRU."""
    window = given.features[video, end - 3 : end + 1]
    hidden, _ = model.cell(model.embedding(window)[None])
    return model.classifier(functional.relu(hidden[0, -1]))


@pytest.mark.parametrize(
    ("options", "classes"), [({}, 22), ({"ambiguous_class": True}, 21)], ids=["22 classes", "ambiguous"]
)
def test_the_parameters_are_the_official_ones(options: dict[str, bool], classes: int) -> None:
    model = MiniROAD(MiniROAD.Config.model_validate(options), input_size=3072, num_classes=classes)
    assert sum(parameter.numel() for parameter in model.parameters()) == 15_763_478


def test_the_loss_is_that_of_windows_taken_one_by_one() -> None:
    model, given = small(), batch()
    windows = (given.scored & given.valid).nonzero().tolist()
    expected = sum(
        functional.cross_entropy(plainly(model, given, video, end), given.labels[video, end], reduction="sum")
        for video, end in windows
    ) / len(windows)
    torch.testing.assert_close(model.loss(given)[0], torch.as_tensor(expected))


def test_targets_of_two_classes_may_be_brought_to_length_one() -> None:
    given = batch()
    model, normalised = small(), small(normalised_targets=True)
    only = torch.zeros_like(given.scored)
    only[0, 5] = True
    given = replace(given, scored=only)
    plain, short = model.loss(given)[0], normalised.loss(given)[0]
    torch.testing.assert_close(short, plain / 2**0.5)


def test_ignored_steps_may_be_learnt_as_a_class_of_their_own() -> None:
    model, given = small(ambiguous_class=True), batch()
    windows = (given.scored & given.mask).nonzero().tolist()
    expected = 0.0
    for video, end in windows:
        target = functional.pad(given.labels[video, end], (0, 1))
        if not given.valid[video, end]:
            target = torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0])
        expected += functional.cross_entropy(plainly(model, given, video, end), target, reduction="sum")
    assert [0, 6] in windows
    torch.testing.assert_close(model.loss(given)[0], torch.as_tensor(expected / len(windows)))
    assert model(given.features, given.mask).scores.shape == (2, 9, 4)


def test_chunks_give_a_step_the_state_of_the_whole_piece() -> None:
    model, given = small(training_passes="chunks"), batch()
    hidden, _ = model.cell(model.embedding(given.features))
    chosen = given.scored & given.valid
    scores = model.classifier(functional.relu(hidden))[chosen]
    expected = -(given.labels[chosen] * scores.log_softmax(-1)).sum(-1).mean()
    torch.testing.assert_close(model.loss(given)[0], expected)


def test_windows_and_chunks_agree_where_a_piece_is_one_window() -> None:
    given = batch()
    short = WindowBatch(
        given.features[:, :4], given.mask[:, :4], given.labels[:, :4], given.valid[:, :4], given.scored[:, :4]
    )
    torch.testing.assert_close(small().loss(short)[0], small(training_passes="chunks").loss(short)[0])
