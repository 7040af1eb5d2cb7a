"""Pretraining from frames to a saved backbone."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from prolepsis.errors import ProlepsisError
from prolepsis.training.saved_model import SavedModel
from prolepsis.video.encoders.moco import MocoEncoder
from prolepsis.video.frame_images import FrameImages
from prolepsis.video.moco.backbones import load_encoder
from prolepsis.video.moco.config import MocoConfig, MocoTraining
from prolepsis.video.moco.pretraining import ContrastTask, pretrain

VIDEOS = {"a": ("train", 20), "b": ("val", 6), "c": ("train", 15)}


@pytest.fixture
def images(make_images: Callable[..., FrameImages]) -> FrameImages:
    return make_images(VIDEOS)


@pytest.fixture
def train(images: FrameImages, tmp_path: Path) -> Callable[..., Any]:
    def run(
        name: str = "checkpoints", workers: int = 0, model: dict[str, Any] | None = None, **training: Any
    ) -> Any:
        defaults = {
            "backbone": "shufflenet_v2_x0_5",
            "image_size": 32,
            "dimension": 8,
            "queue_size": 20,
            "momentum": 0.9,
            "batch_norm_splits": 2,
        }
        given = {"epochs": 3, "batch_size": 8, "seed": 3, "device": "cpu", "checkpoint_every_steps": 3}
        return pretrain(
            images,
            MocoConfig.model_validate(defaults | (model or {})),
            MocoTraining.model_validate(given | {"checkpoint_directory": tmp_path / name} | training),
            num_workers=workers,
        )

    return run


def same_weights(one: SavedModel, other: SavedModel) -> bool:
    return one.state.keys() == other.state.keys() and all(
        torch.equal(tensor, other.state[name]) for name, tensor in one.state.items()
    )


# Of twelve steps, four an epoch: saved at the end of an epoch, and in the middle of one.
@pytest.mark.parametrize("stop", [4, 10])
def test_a_run_that_is_stopped_goes_on_to_the_same_weights(
    train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    model, result = train("whole")
    calls = 0
    loss = ContrastTask.loss

    def interrupted(self: ContrastTask, *arguments: Any) -> tuple[Tensor, dict[str, Tensor]]:
        nonlocal calls
        calls += 1
        if calls == stop + 1:
            raise KeyboardInterrupt
        return loss(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(ContrastTask, "loss", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train("stopped")
    assert calls == stop + 1
    resumed, again = train("stopped", workers=1)
    assert same_weights(resumed, model)
    assert again.history == result.history
    assert (again.best_epoch, again.best_metrics) == (result.best_epoch, result.best_metrics)


def test_an_epochs_row_has_what_the_paper_logs(train: Callable[..., Any]) -> None:
    _, result = train()
    assert [row["epoch"] for row in result.history] == [1, 2, 3]
    names = {"train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate"}
    assert all(names <= row.keys() for row in result.history)
    assert all(0 <= row["train_accuracy"] <= 1 for row in result.history)
    rates = [row["learning_rate"] for row in result.history]
    assert rates == sorted(rates, reverse=True)


def test_validation_tells_the_frames_of_val_from_each_other_and_moves_nothing(
    train: Callable[..., Any], images: FrameImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = []
    validate = ContrastTask.validate

    def remember(self: ContrastTask, device: torch.device) -> dict[str, float]:
        before = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        metrics = validate(self, device)
        assert all(torch.equal(before[name], tensor) for name, tensor in self.model.state_dict().items())
        tasks.append(self)
        return metrics

    monkeypatch.setattr(ContrastTask, "validate", remember)
    _, result = train(epochs=1, model={"temperature": 0.5})
    pairs = [tasks[0]._validation[-1, number] for number in range(6)]
    contrast = tasks[0].model
    with torch.no_grad():
        queries = contrast.query(contrast.normalise(torch.stack([query for query, _ in pairs])))
        keys = contrast.key(contrast.normalise(torch.stack([key for _, key in pairs])))
    logits = torch.einsum("qd,kd->qk", queries, keys) / 0.5
    expected = nn.functional.cross_entropy(logits, torch.arange(6)).item()
    assert result.best_metrics["validation_loss"] == pytest.approx(expected, rel=1e-5)
    accuracy = (logits.argmax(dim=1) == torch.arange(6)).float().mean().item()
    assert result.best_metrics["validation_accuracy"] == pytest.approx(accuracy)


def test_the_backbone_is_saved_without_its_groups_and_can_encode_frames(
    train: Callable[..., Any], images: FrameImages, tmp_path: Path
) -> None:
    model, result = train()
    assert model.metadata["best_epoch"] == result.best_epoch
    assert not any("head" in name or "queue" in name for name in model.state)
    model.save(tmp_path / "moco")
    encoder = MocoEncoder(MocoEncoder.Config(path=tmp_path / "moco"))
    assert (encoder.dimension, encoder.input_size, encoder.offsets) == (1024, 24, (0.0,))
    kinds = {type(module).__name__ for module in encoder.modules()}
    assert "BatchNorm2d" in kinds
    assert "SplitBatchNorm2d" not in kinds
    frames = torch.from_numpy(images["a"][:3].copy()).unsqueeze(1)
    features = encoder(frames)
    assert features.shape == (3, 1024)
    assert features.dtype == torch.float32
    assert torch.equal(features, load_encoder(SavedModel.load(tmp_path / "moco"))(frames))
    untrained = load_encoder(model, trained=False)
    assert untrained.weights_sha256 != encoder.weights_sha256
    assert not torch.allclose(untrained(frames), features)


def test_the_untrained_encoder_is_what_training_began_with(train: Callable[..., Any]) -> None:
    model, _ = train(epochs=1, model={"queue_size": 8}, optimizer={"name": "sgd", "learning_rate": 1e-30})
    weights = dict(load_encoder(model, trained=False).network.named_parameters())
    assert all(torch.allclose(weights[name], model.state[name]) for name in weights)


def test_more_workers_end_with_the_same_weights(train: Callable[..., Any]) -> None:
    assert same_weights(train("none")[0], train("two", workers=2)[0])


def test_neighbours_in_time_are_another_training(train: Callable[..., Any]) -> None:
    assert not same_weights(train("views")[0], train("time", model={"positive_seconds": 0.5})[0])


def test_a_model_of_another_method_is_no_encoder(tmp_path: Path) -> None:
    SavedModel({"weight": torch.zeros(2)}, {"method": "rnn"}).save(tmp_path)
    with pytest.raises(ProlepsisError, match="not a model of momentum contrast"):
        MocoEncoder(MocoEncoder.Config(path=tmp_path))


def test_a_queue_that_is_never_full_is_refused_and_a_long_one_is_remarked(
    train: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ProlepsisError, match="queue of 97 keys would never be full: the training makes 96"):
        train(model={"queue_size": 97})
    train(model={"queue_size": 20})
    assert "older keys of the query's own frame" not in caplog.text
    with caplog.at_level(logging.WARNING):
        train("long", model={"queue_size": 40})
    assert "40 keys, more than the 35 frames" in caplog.text


def test_splits_without_frames_are_told(
    train: Callable[..., Any], images: FrameImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ProlepsisError, match=r"'train' has 35 frames, fewer than a batch of 64"):
        train(batch_size=64, model={"queue_size": 64})
    places = images.of_split
    monkeypatch.setattr(images, "of_split", lambda split: [] if split == "val" else places(split))
    with pytest.raises(ProlepsisError, match="'val' has no frame"):
        train()


def test_what_does_not_fit_into_memory_is_not_cut_into_pieces(train: Callable[..., Any]) -> None:
    task = ContrastTask.__new__(ContrastTask)
    task._training = MocoTraining(seed=0, device="cpu", checkpoint_directory=Path("unused"))
    with pytest.raises(ProlepsisError, match="batch of 256 frames does not fit"):
        task.batches(0, 0, splits=2)


@pytest.mark.parametrize("change", [{"accumulation_steps": 2}, {"batch_warmup_steps": 5}])
def test_accumulation_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match="several small batches are not one large one"):
        MocoTraining.model_validate(
            {"seed": 0, "device": "cpu", "checkpoint_directory": "unused", "accumulation_steps": 2} | change
        )
