import functools
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from prolepsis import plugins
from prolepsis.action import training
from prolepsis.action.augmentation import AugmentationConfig
from prolepsis.action.detectors.base import WindowBatch
from prolepsis.action.sampling import SamplingConfig
from prolepsis.action.scoring import score_videos
from prolepsis.action.standardisation import FeatureMoments
from prolepsis.action.training import DETECTORS, DetectionTask, DetectorSpecification, load_detector
from prolepsis.action.windows import LabelledVideo
from prolepsis.errors import ProlepsisError
from prolepsis.training.config import TrainingConfig
from prolepsis.training.saved_model import SavedModel

CLASSES = ["background", "rise", "fall"]


def video(name: str, seed: int, steps: int = 60, period: int = 12) -> LabelledVideo:
    """A clean signal of a cycle that no single step tells: the class is the direction of a triangle wave."""
    random = np.random.default_rng(seed)
    phase = (np.arange(steps) + random.integers(period)) % period
    wave = np.abs(phase - period // 2) / (period // 2)
    classes = np.where(phase == 0, 0, np.where(phase <= period // 2, 2, 1))
    features = np.stack([wave, wave * 3 + 7], axis=1) + random.normal(0, 0.02, (steps, 2))
    return LabelledVideo(
        name, features.astype(np.float16), np.eye(3, dtype=np.uint8)[classes], np.zeros(steps, bool)
    )


@pytest.fixture
def videos() -> tuple[list[LabelledVideo], list[LabelledVideo]]:
    return [video(f"train {i}", i) for i in range(8)], [video(f"val {i}", 100 + i) for i in range(3)]


def training_config(directory: Path, **changes: Any) -> TrainingConfig:
    values: dict[str, Any] = {
        "epochs": 12,
        "batch_size": 4,
        "optimizer": {"name": "adamw", "learning_rate": 0.02},
        "seed": 5,
        "device": "cpu",
        "checkpoint_directory": directory / "checkpoints",
        "monitor": "mean_average_precision",
        "monitor_mode": "max",
    }
    return TrainingConfig.model_validate(values | changes)


def specification(plugin: str, config: dict[str, Any] | None = None, **changes: Any) -> DetectorSpecification:
    values: dict[str, Any] = {
        "plugin": plugin,
        "config": plugins.configure(DETECTORS, plugin, config or {}),
        "sampling": SamplingConfig(window_steps=20, partial_windows=True),
        "standardise": True,
        "augmentation": AugmentationConfig(noise=0.05),
    }
    return DetectorSpecification(**(values | changes))


SMALL: dict[str, dict[str, Any]] = {
    "rnn": {"cell": "gru", "hidden_size": 12, "dropout": 0.0},
    "trn": {"hidden_size": 12, "feature_size": 4, "decoder_steps": 2, "dropout": 0.0, "linear_std": 0.3},
    "oadtr": {
        "window_steps": 6,
        "hidden_size": 16,
        "encoder_layers": 1,
        "encoder_heads": 2,
        "decoder_steps": 2,
        "decoder_layers": 1,
        "decoder_heads": 2,
        "dropout": 0.0,
    },
}


@pytest.mark.parametrize("plugin", SMALL)
def test_a_detector_with_memory_learns_what_no_single_frame_shows(
    plugin: str, videos: tuple[list[LabelledVideo], list[LabelledVideo]], tmp_path: Path
) -> None:
    train, validation = videos
    _, floor = training.train_detector(
        specification("frame_only"), train, validation, CLASSES, training_config(tmp_path)
    )
    _, result = training.train_detector(
        specification(plugin, SMALL[plugin]), train, validation, CLASSES, training_config(tmp_path)
    )
    assert floor.best_metrics["mean_average_precision"] < 0.75
    assert result.best_metrics["mean_average_precision"] > 0.9


@pytest.mark.parametrize("plugin", SMALL)
def test_a_detector_learns_on_a_gpu_and_is_saved_for_any_device(
    plugin: str, gpu: torch.device, videos: tuple[list[LabelledVideo], list[LabelledVideo]], tmp_path: Path
) -> None:
    train, validation = videos
    config = training_config(tmp_path, device=str(gpu), precision="fp32")
    saved, result = training.train_detector(
        specification(plugin, SMALL[plugin]), train, validation, CLASSES, config
    )
    assert result.best_metrics["mean_average_precision"] > 0.9
    saved.save(tmp_path / "model")
    task = DetectionTask(
        load_detector(SavedModel.load(tmp_path / "model")),
        train,
        validation,
        sampling=SamplingConfig(partial_windows=True),
        training=training_config(tmp_path),
    )
    on_the_cpu = task.validate(torch.device("cpu"))
    # Sums come in another order there, and products may be TF32's.
    assert on_the_cpu["mean_average_precision"] == pytest.approx(
        result.best_metrics["mean_average_precision"], abs=0.05
    )


def test_the_saved_model_gives_back_the_best_epochs_scores(
    videos: tuple[list[LabelledVideo], list[LabelledVideo]], tmp_path: Path
) -> None:
    train, validation = videos
    saved, result = training.train_detector(
        specification("trn", SMALL["trn"]), train, validation, CLASSES, training_config(tmp_path, epochs=4)
    )
    saved.save(tmp_path / "model")
    detector = load_detector(SavedModel.load(tmp_path / "model"))
    task = DetectionTask(
        detector,
        train,
        validation,
        sampling=SamplingConfig(partial_windows=True),
        training=training_config(tmp_path),
    )
    assert task.validate(torch.device("cpu")) == pytest.approx(result.best_metrics, abs=1e-6)
    best = max(row["mean_average_precision"] for row in result.history)
    assert result.best_metrics["mean_average_precision"] == best
    assert saved.metadata["class_names"] == CLASSES
    assert json.dumps(saved.metadata)


def test_the_same_seed_gives_the_same_weights(
    videos: tuple[list[LabelledVideo], list[LabelledVideo]], tmp_path: Path
) -> None:
    train, validation = videos
    runs = [
        training.train_detector(
            specification("rnn", SMALL["rnn"] | {"dropout": 0.3}),
            train,
            validation,
            CLASSES,
            training_config(tmp_path / str(run), epochs=2),
        )[0].state
        for run in range(2)
    ]
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


def test_an_interrupted_training_ends_as_one_never_interrupted(
    videos: tuple[list[LabelledVideo], list[LabelledVideo]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train, validation = videos
    chosen = specification(
        "oadtr",
        SMALL["oadtr"] | {"dropout": 0.2},
        sampling=SamplingConfig(window_steps=8, partial_windows=True, scored_fraction=0.5),
    )
    config = training_config(tmp_path / "a", epochs=2, checkpoint_every_steps=3)
    whole, _ = training.train_detector(chosen, train, validation, CLASSES, config)

    steps = 0
    original = DetectionTask.loss

    def failing(self: DetectionTask, batch: Any, device: torch.device) -> Any:
        nonlocal steps
        steps += 1
        if steps == 21:
            raise KeyboardInterrupt
        return original(self, batch, device)

    config = training_config(tmp_path / "b", epochs=2, checkpoint_every_steps=3)
    monkeypatch.setattr(DetectionTask, "loss", failing)
    with pytest.raises(KeyboardInterrupt):
        training.train_detector(chosen, train, validation, CLASSES, config)
    monkeypatch.setattr(DetectionTask, "loss", original)
    resumed, _ = training.train_detector(chosen, train, validation, CLASSES, config)
    assert all(torch.equal(whole.state[name], resumed.state[name]) for name in whole.state)


STEPS = 4000
MOMENTS = FeatureMoments(torch.tensor([3.0, -1.0]), torch.tensor([0.5, 2.0]))


def augmented_zeros(windows: int, **changes: float) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Features `[windows, STEPS, 2]` of zeros after augmentation, and the steps that exist."""
    seen: list[WindowBatch] = []

    class Watching(plugins.load(DETECTORS, "frame_only")):  # type: ignore[misc]  # a class known at run time
        def loss(self, batch: WindowBatch) -> Any:
            seen.append(batch)
            return super().loss(batch)

    labels = np.eye(3, dtype=np.uint8)[np.ones(STEPS, int)]
    still = LabelledVideo("a", np.zeros((STEPS, 2), np.float32), labels, np.zeros(STEPS, bool))
    short = LabelledVideo("b", still.features[:100], still.labels[:100], still.ignore[:100])
    task = DetectionTask(
        Watching(Watching.Config(), input_size=2, num_classes=3),
        [still] * (windows - 1) + [short],
        [still],
        sampling=SamplingConfig(window_steps=STEPS, partial_windows=True),
        training=training_config(Path("unused"), batch_size=4 * windows),
        augmentation=AugmentationConfig(**changes),
        moments=MOMENTS,
    )
    torch.manual_seed(0)
    batch = next(task.batches(0, 0))
    task.loss(batch, torch.device("cpu"))
    assert not batch.features.any()
    return seen[0].features.numpy(), seen[0].mask.numpy()


@pytest.mark.parametrize("kind", ["noise", "shift", "dropout"])
def test_steps_that_do_not_exist_stay_zero(kind: str) -> None:
    features, mask = augmented_zeros(2, **{kind: 0.9})
    assert not mask.all()
    assert not features[~mask].any()


def test_noise_is_in_units_of_each_features_spread() -> None:
    features, mask = augmented_zeros(2, noise=0.5)
    assert features[mask].std(0).tolist() == pytest.approx([0.25, 1.0], rel=0.1)


def test_a_shift_is_the_same_at_all_steps_of_a_window() -> None:
    features, mask = augmented_zeros(200, shift=0.5)
    of_windows = np.stack([row[there][0] for row, there in zip(features, mask, strict=True)])
    assert all(
        (row[there] == first).all() for row, there, first in zip(features, mask, of_windows, strict=True)
    )
    assert of_windows.std(0).tolist() == pytest.approx([0.25, 1.0], rel=0.2)


def test_dropout_sets_a_share_of_a_windows_features_to_their_mean() -> None:
    features, mask = augmented_zeros(200, dropout=0.25)
    dropped = np.stack(
        [(row[there] == MOMENTS.mean.numpy()).mean(0) for row, there in zip(features, mask, strict=True)]
    )
    assert set(np.unique(dropped)) == {0.0, 1.0}
    assert dropped.mean() == pytest.approx(0.25, abs=0.06)


def test_without_augmentation_features_stay_as_they_are() -> None:
    features, _ = augmented_zeros(2)
    assert not features.any()


def test_batches_fit_the_batch_size_and_the_steps_that_were_announced(
    videos: tuple[list[LabelledVideo], list[LabelledVideo]],
) -> None:
    train, validation = videos
    task = DetectionTask(
        plugins.load(DETECTORS, "frame_only")(
            plugins.configure(DETECTORS, "frame_only", {}), input_size=2, num_classes=3
        ),
        train,
        validation,
        sampling=SamplingConfig(window_steps=9, partial_windows=True),
        training=training_config(Path("unused"), batch_size=5, accumulation_steps=2),
    )
    for epoch in range(4):
        batches: Iterator[Any] = task.batches(epoch, 0)
        sizes = [len(batch.features) for batch in batches]
        assert len(sizes) == 2 * task.steps_per_epoch()
        assert max(sizes) <= 5
    rest = list(task.batches(1, task.steps_per_epoch() - 1))
    assert len(rest) == 2


def frame_task(videos: tuple[list[LabelledVideo], list[LabelledVideo]], **changes: Any) -> DetectionTask:
    return DetectionTask(
        plugins.load(DETECTORS, "frame_only")(
            plugins.configure(DETECTORS, "frame_only", {}), input_size=2, num_classes=3
        ),
        *videos,
        sampling=SamplingConfig(window_steps=9, partial_windows=True, scored_fraction=0.5),
        training=training_config(Path("unused"), **changes),
    )


def test_the_pieces_of_a_batch_hold_its_rows_in_order(
    videos: tuple[list[LabelledVideo], list[LabelledVideo]],
) -> None:
    task = frame_task(videos, batch_size=8, accumulation_steps=2)
    whole = list(task.batches(1, 2))
    for splits in (2, 4):
        pieces = list(task.batches(1, 2, splits))
        assert len(pieces) == splits * len(whole)
        assert max(len(piece.features) for piece in pieces) <= 8 // splits
        for number, batch in enumerate(whole):
            own = pieces[number * splits : (number + 1) * splits]
            for name in ("features", "mask", "labels", "valid", "scored"):
                assert torch.equal(torch.cat([getattr(one, name) for one in own]), getattr(batch, name))


def test_no_piece_is_empty_where_a_batch_has_fewer_windows_than_pieces(
    videos: tuple[list[LabelledVideo], list[LabelledVideo]],
) -> None:
    task = frame_task((videos[0][:1], videos[1]), batch_size=16)
    [batch] = task.batches(0, 0)
    pieces = list(task.batches(0, 0, 16))
    assert len(batch.features) < 16
    assert [len(piece.features) for piece in pieces] == [1] * 16
    seen = torch.cat([piece.features for piece in pieces])
    assert torch.equal(seen[: len(batch.features)], batch.features)


def test_a_batch_warm_up_leaves_windows_out_and_goes_on_where_it_stopped(
    videos: tuple[list[LabelledVideo], list[LabelledVideo]],
) -> None:
    full = frame_task(videos, batch_size=2, accumulation_steps=3)
    steps = full.steps_per_epoch()
    rising = frame_task(videos, batch_size=2, accumulation_steps=3, batch_warmup_steps=steps + 2)
    numbers = [len(list(rising.batches(epoch, 0))) for epoch in range(3)]
    counts = rising._training.micro_batches_before
    assert numbers == [counts(steps), counts(2 * steps) - counts(steps), 3 * steps]
    assert numbers[0] < numbers[1] < numbers[2]
    whole = [batch.features for batch in rising.batches(0, 0)]
    rest = [batch.features for batch in rising.batches(0, 3)]
    assert len(rest) == len(whole) - counts(3)
    assert all(torch.equal(a, b) for a, b in zip(whole[counts(3) :], rest, strict=True))


@pytest.mark.parametrize("plugin", ["frame_only", "oadtr"])
def test_a_compiled_loss_is_the_loss(
    plugin: str, videos: tuple[list[LabelledVideo], list[LabelledVideo]], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    detector = plugins.load(DETECTORS, plugin)(
        plugins.configure(DETECTORS, plugin, SMALL.get(plugin, {})), input_size=2, num_classes=3
    )
    task = DetectionTask(
        detector,
        *videos,
        sampling=SamplingConfig(window_steps=9, partial_windows=True),
        training=training_config(Path("unused")),
    )
    batches = list(itertools.islice(task.batches(0, 0), 2))
    plain = [task.loss(batch, torch.device("cpu"))[0] for batch in batches]
    names = set(detector.state_dict())
    compiled: list[int] = []

    def counting(module: torch.fx.GraphModule, inputs: Any) -> Any:  # stands for a slow compiler
        compiled.append(len(module.graph.nodes))
        return module.forward

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=counting))
    task.compile()
    torch.testing.assert_close([task.loss(batch, torch.device("cpu"))[0] for batch in batches], plain)
    assert compiled
    assert set(detector.state_dict()) == names


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_empty_split_is_named(
    split: str, videos: tuple[list[LabelledVideo], list[LabelledVideo]], tmp_path: Path
) -> None:
    train, validation = ([], videos[1]) if split == "train" else (videos[0], [])
    with pytest.raises(ProlepsisError, match=split):
        training.train_detector(
            specification("frame_only"), train, validation, CLASSES, training_config(tmp_path)
        )


def test_a_validation_split_without_an_action_is_refused(
    videos: tuple[list[LabelledVideo], list[LabelledVideo]], tmp_path: Path
) -> None:
    quiet = [
        LabelledVideo(one.name, one.features, np.eye(3, dtype=np.uint8)[np.zeros(60, int)], one.ignore)
        for one in videos[1]
    ]
    with pytest.raises(ProlepsisError, match="shows an action"):
        training.train_detector(
            specification("frame_only"), videos[0], quiet, CLASSES, training_config(tmp_path)
        )


@pytest.mark.parametrize("last_action", [0, 30])
def test_anticipation_is_validated_where_a_later_frame_shows_an_action(
    last_action: int, videos: tuple[list[LabelledVideo], list[LabelledVideo]]
) -> None:
    classes = np.where(np.arange(60) == last_action, 1, 0)
    validation = [
        LabelledVideo(one.name, one.features, np.eye(3, dtype=np.uint8)[classes], one.ignore)
        for one in videos[1]
    ]
    trn = plugins.load(DETECTORS, "trn")
    task = DetectionTask(
        trn(trn.Config(hidden_size=4), input_size=2, num_classes=3),
        videos[0],
        validation,
        sampling=SamplingConfig(window_steps=9),
        training=training_config(Path("unused")),
    )
    metrics = task.validate(torch.device("cpu"))
    assert ("anticipation_mean_average_precision" in metrics) == (last_action > 0)
    assert np.isfinite(list(metrics.values())).all()


def test_weights_that_do_not_fit_the_plugin_are_refused(
    videos: tuple[list[LabelledVideo], list[LabelledVideo]], tmp_path: Path
) -> None:
    saved, _ = training.train_detector(
        specification("frame_only"), *videos, CLASSES, training_config(tmp_path, epochs=1)
    )
    broken = SavedModel(saved.state, saved.metadata | {"num_classes": 9})
    with pytest.raises(ProlepsisError, match="do not fit"):
        load_detector(broken)


def test_without_standardisation_the_detector_sees_the_features_as_they_are(
    videos: tuple[list[LabelledVideo], list[LabelledVideo]], tmp_path: Path
) -> None:
    saved, _ = training.train_detector(
        specification("frame_only", standardise=False), *videos, CLASSES, training_config(tmp_path, epochs=1)
    )
    assert saved.state.keys() == {"classifier.weight", "classifier.bias"}
    [scores] = score_videos(load_detector(saved), {"a": videos[0][0].features}, ["a"], torch.device("cpu"))
    logits = (
        videos[0][0].features.astype(np.float32) @ saved.state["classifier.weight"].numpy().T
        + saved.state["classifier.bias"].numpy()
    )
    expected = torch.from_numpy(logits).softmax(-1)
    np.testing.assert_allclose(scores.scores, expected, atol=1e-5)
