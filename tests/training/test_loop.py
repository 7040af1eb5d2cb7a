import json
import math
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from prolepsis.errors import ProlepsisError
from prolepsis.training.checkpoint import CheckpointStore, clear_checkpoints
from prolepsis.training.loop import OptimizerConfig, ScheduleConfig, TrainingConfig, fit
from prolepsis.training.optimizers import MuonWithAdamW

pytestmark = pytest.mark.usefixtures("one_thread")

PROGRAM = Path(__file__).with_name("killed_run.py")


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


# The kill comes within an accumulation, once in the warm-up of the batch and once after it.
@pytest.mark.parametrize(("optimizer", "kill_at"), [("adamw", 6), ("sgd", 37)])
def test_a_run_killed_and_started_again_ends_with_the_same_bits(
    tmp_path: Path, program: ModuleType, optimizer: str, kill_at: int
) -> None:
    assert run(tmp_path / "killed", kill_at, optimizer=optimizer) == -signal.SIGKILL
    assert list((tmp_path / "killed" / "checkpoints").glob("step-*"))
    program.train_and_save(program.RegressionTask(), tmp_path / "killed", optimizer)
    program.train_and_save(program.RegressionTask(), tmp_path, optimizer)
    assert outcome(tmp_path / "killed") == outcome(tmp_path)


@pytest.mark.parametrize("optimizer", get_args(OptimizerConfig.model_fields["name"].annotation))
def test_every_optimizer_goes_on_with_the_same_bits(
    tmp_path: Path, program: ModuleType, optimizer: str
) -> None:
    class Interrupted(program.RegressionTask):
        def loss(self, batch: Any, device: torch.device) -> Any:
            if self.calls == 25:
                raise KeyboardInterrupt
            return super().loss(batch, device)

    (tmp_path / "stopped").mkdir()
    with pytest.raises(KeyboardInterrupt):
        program.train(Interrupted(), tmp_path / "stopped", optimizer)
    resumed = program.RegressionTask()
    program.train_and_save(resumed, tmp_path / "stopped", optimizer)
    assert resumed.calls == 48 - 21  # steps 0 to 11 were saved; the batch was the second of step 13
    program.train_and_save(program.RegressionTask(), tmp_path, optimizer)
    assert outcome(tmp_path / "stopped") == outcome(tmp_path)


def test_sigterm_saves_the_step_at_hand_and_exits_with_143(tmp_path: Path, program: ModuleType) -> None:
    # Step 5 is no multiple of the checkpoint interval, so its checkpoint is the signal's doing.
    assert run(tmp_path / "stopped", 4, "SIGTERM") == 143
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


def test_the_last_epoch_is_kept_on_request_though_an_earlier_one_is_better(
    tmp_path: Path, program: ModuleType
) -> None:
    class BestAtFirst(program.RegressionTask):
        epochs = 0

        def validate(self, device: torch.device) -> dict[str, float]:
            self.epochs += 1
            return {"loss": float(self.epochs)}

    config = program.configuration(tmp_path, "adamw", 0.05)
    results, weights = {}, {}
    for keep in ("best", "last"):
        task = BestAtFirst()
        changes = {"keep": keep, "checkpoint_directory": tmp_path / keep}
        results[keep] = fit(task, config.model_copy(update=changes), fingerprint="", description="")
        weights[keep] = torch.nn.utils.parameters_to_vector(task.model.parameters())
    assert [(one.best_epoch, one.best_metrics) for one in results.values()] == [
        (1, {"loss": 1.0}),
        (3, {"loss": 3.0}),
    ]
    assert not torch.equal(weights["best"], weights["last"])


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

    def batches(self, epoch: int, first_step: int, splits: int = 1) -> Iterator[int]:
        yield from range(first_step, self.steps_per_epoch())

    def compile(self) -> None:
        raise AssertionError("compiled without being asked to")

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

        def batches(self, epoch: int, first_step: int, splits: int = 1) -> Iterator[Any]:
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


def test_a_batch_warm_up_takes_fewer_batches_at_first(tmp_path: Path, program: ModuleType) -> None:
    sizes: list[int] = []

    class Counting(program.RegressionTask):
        def loss(self, batch: Any, device: torch.device) -> Any:
            sizes.append(len(batch[0]))
            return super().loss(batch, device)

    result = program.train(Counting(), tmp_path)
    assert sizes == [8] * 48
    assert result.steps == 21


def test_the_schedule_scales_each_group_by_its_own_rate(tmp_path: Path, program: ModuleType) -> None:
    rates: list[tuple[float, ...]] = []

    def keep(optimizer: torch.optim.Optimizer, *_: object) -> None:
        if isinstance(optimizer, MuonWithAdamW):
            rates.append(tuple(group["lr"] for group in optimizer.param_groups))

    config = program.configuration(tmp_path).model_copy(
        update={"optimizer": OptimizerConfig(name="muon", learning_rate=0.02, adamw_learning_rate=0.001)}
    )
    hook = register_optimizer_step_pre_hook(keep)
    try:
        fit(program.RegressionTask(), config, fingerprint="x", description="test")
    finally:
        hook.remove()
    factors = [config.schedule.factor(step, 21, 7) for step in range(21)]
    assert rates == [pytest.approx((0.02 * factor, 0.001 * factor)) for factor in factors]


def test_compiling_is_the_tasks_and_keeps_the_names_of_the_weights(tmp_path: Path) -> None:
    class Compiled(LineTask):
        asked = 0

        def compile(self) -> None:
            self.asked += 1
            self.model.compile(backend="eager")

        def loss(self, batch: int, device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
            return self.model(torch.ones(1)).square().sum(), {}

    task = Compiled()
    result = fit(task, config(tmp_path, compile=True, epochs=1), fingerprint="x", description="test")
    assert task.asked == 1
    assert set(task.model.state_dict()) == {"weight"}
    assert result.history[0]["score"] == pytest.approx(-(0.8**4))


def test_a_validation_metric_that_is_no_number_stops_and_names_the_epoch(tmp_path: Path) -> None:
    class Broken(LineTask):
        def validate(self, device: torch.device) -> dict[str, float]:
            return {"score": math.nan}

    with pytest.raises(ProlepsisError, match="validation metric score became nan") as caught:
        fit(Broken(), config(tmp_path), fingerprint="x", description="test")
    assert caught.value.where == "after epoch 1"


@pytest.mark.parametrize("part", ["Validation", "The optimizer's state"])
def test_memory_that_smaller_batches_would_not_give_is_asked_for_in_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    task = LineTask()
    if part == "Validation":
        monkeypatch.setattr(task, "validate", fail)
    else:
        monkeypatch.setattr(torch.optim.SGD, "step", fail)
    with pytest.raises(ProlepsisError, match=f"{part} does not fit into the memory of cpu") as caught:
        fit(task, config(tmp_path), fingerprint="x", description="test")
    assert caught.value.where == "epoch 1"
    assert caught.value.remedy is not None


def out_of_memory() -> None:
    torch.empty(1 << 60, dtype=torch.uint8)


def raise_error(error: BaseException) -> None:
    raise error


def rows_that_fit(program: ModuleType, most: int, fail: Any = out_of_memory, **options: Any) -> Any:
    """A task that runs out of memory on more than so many rows, in the backward pass as in real life."""

    class Limited(program.RegressionTask):
        def __init__(self) -> None:
            super().__init__(**options)
            self.sizes: list[int] = []

        def loss(self, batch: Any, device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
            self.sizes.append(len(batch[0]))
            loss, scalars = super().loss(batch, device)
            if len(batch[0]) > most:
                loss.register_hook(lambda gradient: fail())
            return loss, scalars

    return Limited()


@pytest.mark.parametrize(
    "fail",
    [
        out_of_memory,
        lambda: raise_error(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")),
        lambda: raise_error(RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate")),
        lambda: raise_error(MemoryError()),
    ],
    ids=["cpu", "cuda", "windows", "python"],
)
def test_a_batch_that_does_not_fit_is_taken_in_pieces_with_the_same_outcome(
    tmp_path: Path, program: ModuleType, caplog: pytest.LogCaptureFixture, fail: Any
) -> None:
    whole = program.RegressionTask(dropout=0.0)
    expected = program.train(whole, tmp_path / "whole")
    task = rows_that_fit(program, 3, fail, dropout=0.0)
    result = program.train(task, tmp_path / "pieces")
    messages = [record.getMessage() for record in caplog.records if "memory" in record.getMessage()]
    assert [message.split(": ")[1].split(".")[0] for message in messages] == [
        "going on with micro-batches of size 4 instead of 8",
        "going on with micro-batches of size 2 instead of 4",
    ]
    assert "epoch 1, step 1" in messages[0] and "stays the same" in messages[0]
    assert task.sizes == [8, 4] + [2] * 48 * 4
    for name, weight in whole.model.state_dict().items():
        torch.testing.assert_close(task.model.state_dict()[name], weight, rtol=1e-4, atol=1e-6)
    losses = [[row["train_loss"] for row in one.history] for one in (result, expected)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_what_a_failed_attempt_left_behind_does_not_count(tmp_path: Path, program: ModuleType) -> None:
    class FailingOnce(program.RegressionTask):
        def loss(self, batch: Any, device: torch.device) -> Any:
            if self.calls == 19:  # the second of three micro-batches
                self.calls += 1
                raise torch.OutOfMemoryError
            return super().loss(batch, device)

    whole, task = program.RegressionTask(dropout=0.0), FailingOnce(dropout=0.0)
    program.train(whole, tmp_path / "whole")
    program.train(task, tmp_path / "pieces")
    for name, weight in whole.model.state_dict().items():
        torch.testing.assert_close(task.model.state_dict()[name], weight, rtol=1e-4, atol=1e-6)


def test_generators_are_where_they_were_before_the_step(tmp_path: Path, program: ModuleType) -> None:
    draws: list[float] = []

    class Drawing(program.RegressionTask):
        def loss(self, batch: Any, device: torch.device) -> Any:
            draws.append(torch.rand(()).item() + np.random.rand())
            if len(batch[0]) > 2:
                raise torch.OutOfMemoryError
            return super().loss(batch, device)

    program.train(Drawing(), tmp_path)
    assert draws[0] == draws[1] == draws[2] != draws[3]


def test_a_resumed_run_starts_with_the_pieces_that_fitted(
    tmp_path: Path, program: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    whole = rows_that_fit(program, 4)
    program.train(whole, tmp_path / "whole")
    first = rows_that_fit(program, 4)
    first.validate = interrupted
    with pytest.raises(KeyboardInterrupt):
        program.train(first, tmp_path / "stopped")
    caplog.clear()
    second = rows_that_fit(program, 4)
    program.train(second, tmp_path / "stopped")
    assert set(second.sizes) == {4}
    assert "Out of memory" not in caplog.text
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], weight), name


@pytest.mark.parametrize(
    ("rows", "fitting", "sizes"), [(6, 2, [6, 3, 1]), (7, 3, [7, 1]), (12, 5, [12, 6, 3])]
)
def test_pieces_are_of_one_size(tmp_path: Path, rows: int, fitting: int, sizes: list[int]) -> None:
    seen: list[int] = []

    class Pieces(LineTask):
        def batches(self, epoch: int, first_step: int, splits: int = 1) -> Iterator[int]:
            assert rows % splits == 0
            yield from [rows // splits] * ((self.steps_per_epoch() - first_step) * splits)

        def loss(self, batch: int, device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
            seen.append(batch)
            if batch > fitting:
                raise MemoryError
            return super().loss(batch, device)

    fit(Pieces(), config(tmp_path, batch_size=rows), fingerprint="x", description="test")
    assert list(dict.fromkeys(seen)) == sizes


def test_a_row_that_does_not_fit_is_a_message(tmp_path: Path, program: ModuleType) -> None:
    with pytest.raises(ProlepsisError, match=r"single row .*Sequential, 161 parameters") as caught:
        program.train(rows_that_fit(program, 0), tmp_path)
    assert caught.value.where == "epoch 1, step 1 of 7"
    assert "model smaller" in (caught.value.remedy or "") and "batch_size (8)" in (caught.value.remedy or "")


def test_another_error_of_pytorch_is_not_taken_for_memory(tmp_path: Path, program: ModuleType) -> None:
    shapes = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    task = rows_that_fit(program, 0, lambda: raise_error(shapes))
    with pytest.raises(RuntimeError, match="shapes"):
        program.train(task, tmp_path)
    assert task.sizes == [8]
