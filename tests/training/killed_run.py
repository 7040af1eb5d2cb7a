"""A training run that ends its own process: `killed_run.py DIRECTORY KILL_AT SIGNAL OPTIMIZER`.

The task of the loop's tests, as a program of its own, since only a process that really dies shows what is
left of it.
"""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from prolepsis.files import write_json
from prolepsis.training.loop import FitResult, OptimizerConfig, ScheduleConfig, TrainingConfig, fit

SEED, STEPS, ROWS = 5, 7, 8


def configuration(directory: Path, optimizer: str = "adamw", learning_rate: float = 0.01) -> TrainingConfig:
    """Steps 0 to 4 have one micro-batch, 5 to 9 two, the later ones three: 9, 18 and 21 an epoch."""
    return TrainingConfig(
        epochs=3,
        batch_size=ROWS,
        accumulation_steps=3,
        batch_warmup_steps=10,
        optimizer=OptimizerConfig(name=optimizer, learning_rate=learning_rate, weight_decay=0.01),
        schedule=ScheduleConfig(name="linear", warmup_steps=4),
        gradient_clip_norm=1.0,
        seed=SEED,
        device="cpu",
        checkpoint_every_steps=2,
        checkpoint_directory=directory / "checkpoints",
        monitor="loss",
        monitor_mode="min",
    )


class RegressionTask:
    """Regression with dropout, so that generators matter; kills its own process at a given loss call."""

    def __init__(
        self, kill_at: int | None = None, kill_signal: int = signal.SIGKILL, dropout: float = 0.3
    ) -> None:
        torch.manual_seed(SEED)
        self.model: nn.Module = nn.Sequential(
            nn.Linear(6, 16), nn.LayerNorm(16), nn.Dropout(dropout), nn.Linear(16, 1)
        )
        self.kill_at = kill_at
        self.kill_signal = kill_signal
        self.calls = 0

    def steps_per_epoch(self) -> int:
        return STEPS

    def batches(self, epoch: int, first_step: int, splits: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        before = configuration(Path()).micro_batches_before
        for index in range(before(epoch * STEPS + first_step), before((epoch + 1) * STEPS)):
            inputs = torch.randn(ROWS, 6, generator=torch.Generator().manual_seed(index))
            for part in inputs.chunk(splits):
                yield part, part.sum(1, keepdim=True)

    def compile(self) -> None:
        self.model.compile()

    def loss(self, batch: tuple[Tensor, Tensor], device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
        if self.calls == self.kill_at:
            os.kill(os.getpid(), self.kill_signal)
        self.calls += 1
        inputs, targets = (tensor.to(device) for tensor in batch)
        error = self.model(inputs) - targets
        return error.square().mean(), {"absolute_error": error.abs().mean()}

    def validate(self, device: torch.device) -> dict[str, float]:
        inputs = torch.randn(32, 6, generator=torch.Generator().manual_seed(99)).to(device)
        error = self.model(inputs) - inputs.sum(1, keepdim=True)
        return {"loss": error.square().mean().item()}


def train(
    task: RegressionTask, directory: Path, optimizer: str = "adamw", learning_rate: float = 0.01
) -> FitResult:
    config = configuration(directory, optimizer, learning_rate)
    return fit(task, config, fingerprint="regression", description="Regression")


def train_and_save(task: RegressionTask, directory: Path, optimizer: str) -> None:
    result = train(task, directory, optimizer)
    save_file(task.model.state_dict(), directory / "weights.safetensors")
    write_json(directory / "result.json", {"history": result.history, "curve": result.curve})


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, kill_at, name, optimizer_name = sys.argv[1:]
    regression = RegressionTask(int(kill_at), signal.Signals[name])
    train_and_save(regression, Path(folder), optimizer_name)
