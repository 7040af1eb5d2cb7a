import json
import math
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from prolepsis.errors import ProlepsisError
from prolepsis.training.checkpoint import CheckpointStore, clear_checkpoints
from prolepsis.training.loop import OptimizerConfig, ScheduleConfig, TrainingConfig, fit

PROGRAM = Path(__file__).with_name("killed_run.py")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def program() -> ModuleType:
    import importlib.util

    specification = importlib.util.spec_from_file_location("killed_run", PROGRAM)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def run(directory: Path, kill_at: int, name: str = "SIGKILL", optimizer: str = "adamw") -> int:
    directory.mkdir(exist_ok=True)
    command = [sys.executable, str(PROGRAM), str(directory), str(kill_at), name, optimizer]
    return subprocess.run(command, capture_output=True, timeout=120, check=False).returncode


def outcome(directory: Path) -> tuple[bytes, bytes]:
    return (directory / "weights.safetensors").read_bytes(), (directory / "result.json").read_bytes()


# Batches 0..13 are epoch 1: the kill comes within an accumulation, once in each epoch.
@pytest.mark.parametrize(("optimizer", "kill_at"), [("adamw", 9), ("bert_adamw", 21), ("sgd", 37)])
def test_a_run_killed_and_started_again_ends_with_the_same_bits(
    tmp_path: Path, program: ModuleType, optimizer: str, kill_at: int
) -> None:
    assert run(tmp_path / "killed", kill_at, optimizer=optimizer) == -signal.SIGKILL
    assert list((tmp_path / "killed" / "checkpoints").glob("step-*"))
    program.train_and_save(program.RegressionTask(), tmp_path / "killed", optimizer)
    program.train_and_save(program.RegressionTask(), tmp_path, optimizer)
    assert outcome(tmp_path / "killed") == outcome(tmp_path)


def test_sigterm_saves_the_step_at_hand_and_exits_with_143(tmp_path: Path, program: ModuleType) -> None:
    # Step 5 is no multiple of the checkpoint interval, so its checkpoint is the signal's doing.
    assert run(tmp_path / "stopped", 9, "SIGTERM") == 143
    names = [path.name for path in (tmp_path / "stopped" / "checkpoints").glob("step-*")]
    assert names == ["step-0000000005.safetensors"]
    program.train_and_save(program.RegressionTask(), tmp_path / "stopped", "adamw")
    program.train_and_save(program.RegressionTask(), tmp_path, "adamw")
    assert outcome(tmp_path / "stopped") == outcome(tmp_path)


def test_training_learns_and_keeps_the_best_epoch(tmp_path: Path, program: ModuleType) -> None:
    task = program.RegressionTask()
    result = program.train(task, tmp_path, learning_rate=0.05)
    assert [row["epoch"] for row in result.history] == [1, 2, 3]
    assert result.steps == 21
    assert result.history[-1]["train_loss"] < 0.7 * result.history[0]["train_loss"]
    assert result.best_metrics["loss"] == min(row["loss"] for row in result.history)
    task.model.eval()
    assert task.validate(torch.device("cpu"))["loss"] == pytest.approx(result.best_metrics["loss"], rel=1e-5)


def test_what_was_trained_is_not_lost_before_it_is_written(tmp_path: Path, program: ModuleType) -> None:
    class NoMoreSteps(program.RegressionTask):
        def loss(self, batch: object, device: torch.device) -> None:
            raise AssertionError("trained again")

    first, again = program.RegressionTask(), NoMoreSteps()
    result = program.train(first, tmp_path)
    assert program.train(again, tmp_path).history == result.history
    for name, weight in first.model.state_dict().items():
        assert torch.equal(weight, again.model.state_dict()[name]), name
    clear_checkpoints(tmp_path / "checkpoints")
    assert not (tmp_path / "checkpoints").exists()


def test_the_curve_can_be_watched_while_training_runs(tmp_path: Path, program: ModuleType) -> None:
    class Watched(program.RegressionTask):
        seen: list[dict[str, float]]

        def validate(self, device: torch.device) -> dict[str, float]:
            lines = (tmp_path / "checkpoints" / "curves.jsonl").read_text().splitlines()
            self.seen = [json.loads(line) for line in lines]
            return super().validate(device)

    task = Watched()
    result = program.train(task, tmp_path)
    assert task.seen == result.curve
    assert [row["step"] for row in result.curve] == list(range(1, 22))
    first = ["epoch", "step", "learning_rate", "loss", "absolute_error", "gradient_norm"]
    assert set(result.curve[0]) == set(first)


class LineTask:
    """One weight pulled to zero; each test changes what it needs."""

    def __init__(self) -> None:
        self.model: nn.Module = nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.model.weight)

    def steps_per_epoch(self) -> int:
        return 4

    def batches(self, epoch: int, first_step: int) -> Iterator[int]:
        yield from range(first_step, self.steps_per_epoch())

    def loss(self, batch: int, device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
        return self.model.weight.square().sum(), {}

    def validate(self, device: torch.device) -> dict[str, float]:
        return {"score": -abs(self.model.weight.item())}


def config(directory: Path, **changes: Any) -> TrainingConfig:
    values: dict[str, Any] = {
        "epochs": 2,
        "batch_size": 1,
        "optimizer": OptimizerConfig(name="sgd", learning_rate=0.1, momentum=0.0),
        "device": "cpu",
        "checkpoint_directory": directory,
        "monitor": "score",
        "monitor_mode": "max",
    }
    return TrainingConfig(**(values | changes))


def test_a_loss_that_is_no_number_stops_and_names_epoch_step_and_batch(tmp_path: Path) -> None:
    class Diverging(LineTask):
        def loss(self, batch: int, device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
            loss, scalars = super().loss(batch, device)
            return (loss * math.nan if batch == 2 else loss), scalars

    with pytest.raises(ProlepsisError, match="loss became nan") as caught:
        fit(Diverging(), config(tmp_path), fingerprint="x", description="test")
    assert caught.value.where == "epoch 1, step 3 of 4, batch 1 of 1"


def test_a_gradient_that_is_no_number_stops_before_it_reaches_the_weights(tmp_path: Path) -> None:
    class Rooted(LineTask):
        def loss(self, batch: int, device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
            return (self.model.weight - 1.0).sum().abs().sqrt(), {}  # its slope at zero is infinite

    task = Rooted()
    with pytest.raises(ProlepsisError, match="gradient norm became"):
        fit(task, config(tmp_path), fingerprint="x", description="test")
    assert task.model.weight.item() == 1.0


def test_an_unknown_monitor_is_named_with_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(ProlepsisError, match="called 'accuracy'") as caught:
        fit(LineTask(), config(tmp_path, monitor="accuracy"), fingerprint="x", description="test")
    assert "score" in (caught.value.remedy or "")


def test_an_empty_training_split_is_a_message(tmp_path: Path) -> None:
    class Empty(LineTask):
        def steps_per_epoch(self) -> int:
            return 0

    with pytest.raises(ProlepsisError, match="nothing to train on"):
        fit(Empty(), config(tmp_path), fingerprint="x", description="test")


def test_accumulated_batches_weigh_as_one_batch_of_their_mean(tmp_path: Path) -> None:
    class Pulled(LineTask):
        def __init__(self, targets: list[list[float]]) -> None:
            super().__init__()
            self.targets = targets

        def batches(self, epoch: int, first_step: int) -> Iterator[Any]:
            yield from self.targets[first_step * len(self.targets) // 4 :]

        def loss(self, batch: list[float], device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
            return (self.model.weight - torch.tensor(batch)).square().mean(), {}

    whole, halved = Pulled([[1.0, -3.0]] * 4), Pulled([[1.0], [-3.0]] * 4)
    fit(whole, config(tmp_path), fingerprint="x", description="whole")
    fit(halved, config(tmp_path, accumulation_steps=2), fingerprint="x", description="halved")
    assert whole.model.weight.item() == pytest.approx(halved.model.weight.item(), rel=1e-6)


def test_clipping_bounds_the_step(tmp_path: Path) -> None:
    result = fit(
        LineTask(), config(tmp_path, gradient_clip_norm=0.5, epochs=1), fingerprint="x", description="test"
    )
    # The gradient 2w exceeds 0.5 until w = 0.25, so each of the four steps goes 0.1 * 0.5.
    assert result.history[0]["score"] == pytest.approx(-0.8)


def test_a_checkpoint_of_another_run_is_not_continued(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    CheckpointStore(tmp_path, "another").save(3, {"model.weight": torch.zeros(1, 1)}, {"epoch": 0})
    result = fit(LineTask(), config(tmp_path, epochs=1), fingerprint="x", description="test")
    assert "other data or parameters" in caplog.text
    assert result.history[0]["train_loss"] > 0.0


def test_the_default_state_of_a_run_depends_on_its_seed_alone(tmp_path: Path) -> None:
    class Noisy(LineTask):
        def loss(self, batch: int, device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
            return super().loss(batch, device)[0] + torch.rand(()) + np.random.rand(), {}

    def losses(seed: int) -> list[float]:
        run_config = config(tmp_path, seed=seed)
        return [
            row["train_loss"] for row in fit(Noisy(), run_config, fingerprint="x", description="t").history
        ]

    assert losses(1) == losses(1) != losses(2)


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValueError, match="warmup"):
        ScheduleConfig(warmup=3)
