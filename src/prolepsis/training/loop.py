"""The one training loop.

A model brings a `Task`: batches that depend on nothing but (seed, epoch, step), a loss, and a validation. The
loop brings everything else: device and precision, accumulation, clipping, the schedule, checkpoints,
progress, and the choice of the best epoch on the validation split.

A run that is killed and started again ends with the same weights and the same history as one never
interrupted, bit for bit on one CPU process: a checkpoint holds weights, optimizer, random generators, the
position in the data and the running means of the epoch, and the learning rate is a function of the step
alone.

A step whose batch does not fit into memory is taken again in smaller pieces of the same rows. Its
gradient is that of the whole batch, to rounding, for a task that weighs targets as `Task.loss` says; dropout
draws other numbers.
"""

import json
import logging
import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from prolepsis import files
from prolepsis.errors import ProlepsisError
from prolepsis.training.checkpoint import CURVES_FILE, CheckpointStore, independent
from prolepsis.training.config import OptimizerConfig, ScheduleConfig, TrainingConfig
from prolepsis.training.device import (
    autocast,
    is_out_of_memory,
    random_tensors,
    release_memory,
    resolve_device,
    resolve_precision,
    restore_random_tensors,
    seed_everything,
)
from prolepsis.training.optimizers import build_optimizer
from prolepsis.training.progress import Bar, progress

__all__ = ["FitResult", "OptimizerConfig", "ScheduleConfig", "Task", "TrainingConfig", "fit"]

_ROWS_PER_EPOCH = 50
_CLIP_EPS = 1e-6  # as in torch.nn.utils.clip_grad_norm_
_TERMINATED = 128 + signal.SIGTERM
_logger = logging.getLogger(__name__)


class Task(Protocol):
    """What the loop needs to know of a model, its data and its loss."""

    model: nn.Module

    def steps_per_epoch(self) -> int:
        """Optimizer steps in an epoch."""
        ...

    def batches(self, epoch: int, first_step: int, splits: int = 1) -> Iterator[Any]:
        """The batches of `epoch` (from 0) from optimizer step `first_step` (from 0) of that epoch on.

        For each optimizer step as many micro-batches as `TrainingConfig.micro_batches` says, each cut into
        `splits` batches of `batch_size / splits` rows (`splits` divides `batch_size`): the same rows in the
        same order whatever `splits` is. They must depend on the seed, the epoch and the step only, never on a
        generator carried along, or a resumed run would see other data.
        """
        ...

    def loss(self, batch: Any, device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss of one batch, a scalar to differentiate, and further scalars to record.

        A step takes the mean over its batches. Where these hold unequal numbers of targets, that is the mean
        over the step's targets if the sum of each batch's is divided by the mean number of the batches.
        """
        ...

    def compile(self) -> None:
        """Has PyTorch compile what is worth it; the names in `model.state_dict()` stay as they are."""
        ...

    def validate(self, device: torch.device) -> dict[str, float]:
        """Metrics of the model on the validation split; called in evaluation mode, without gradients."""
        ...


@dataclass(frozen=True)
class FitResult:
    """What a training run gave besides the weights.

    Attributes:
        history: a row per epoch: `epoch` (from 1), `step`, `learning_rate`, `train_loss` and the task's other
            scalars as means over the epoch with the prefix `train_`, and the validation metrics under their
            own names.
        best_epoch, best_metrics: the epoch (from 1) whose weights were kept, and its validation metrics; with
            `keep: last` the last one.
        steps: optimizer steps done.
        curve: rows within the epochs, about fifty each: `epoch`, `step`, `learning_rate`, `gradient_norm`,
            `loss` and the task's other scalars, as means since the row before.
    """

    history: list[dict[str, float]]
    best_epoch: int
    best_metrics: dict[str, float]
    steps: int
    curve: list[dict[str, float]] = field(default_factory=list)


def fit(
    task: Task,
    config: TrainingConfig,
    *,
    fingerprint: str,
    description: str,
    note: Callable[[], str] | None = None,
) -> FitResult:
    """Trains `task.model` and leaves it with the weights of its best epoch, or of its last.

    `fingerprint` stands for everything outside `config` that decides the result (data, model, code); a
    checkpoint of another one is not continued. `description` is what the progress bar says; `note` gives what
    it says after epoch and loss, a rate in units that the task knows for example.

    The last checkpoint stays until `clear_checkpoints` removes it, so that nothing is lost before what was
    trained is written; until then a call with the same configuration and fingerprint returns it at once.

    On SIGTERM the run saves a checkpoint after the step at hand and exits with code 143.

    Raises ProlepsisError when the loss, its gradient or the metric `monitor` stops being a number, naming the
    epoch, when not even one row fits into memory, or validation or the optimizer's state does not, and when
    `monitor` names no validation metric.
    """
    run = _Run(task, config, fingerprint)
    run.resume()
    with _termination_request() as termination, progress(description, run.total_steps, "steps") as bar:
        bar.advance(run.step)
        while run.epoch < config.epochs:
            for _ in run.train_epoch(bar, note):
                if termination.is_set():
                    run.stop(description)
            run.finish_epoch()
            if termination.is_set():
                run.stop(description)
    return run.result()


class _Means:
    """Running means of named scalars, in float64, that can go through JSON unchanged."""

    def __init__(self, sums: dict[str, list[float]] | None = None) -> None:
        self.sums = sums or {}

    def add(self, values: dict[str, float]) -> None:
        for name, value in values.items():
            total, count = self.sums.get(name, (0.0, 0))
            self.sums[name] = [total + value, count + 1]

    def means(self, prefix: str = "") -> dict[str, float]:
        return {f"{prefix}{name}": total / count for name, (total, count) in self.sums.items()}


class _Run:
    """A training run in progress: what a checkpoint holds, and the steps that change it."""

    def __init__(self, task: Task, config: TrainingConfig, fingerprint: str) -> None:
        self.task = task
        self.config = config
        self.device = resolve_device(config.device)
        self.dtype = resolve_precision(config.precision, self.device)
        seed_everything(config.seed)
        self.model = task.model.to(self.device)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = build_optimizer(self.model, config.optimizer)
        if config.compile:
            task.compile()
        self.steps_per_epoch = task.steps_per_epoch()
        if self.steps_per_epoch < 1:
            raise ProlepsisError(
                "There is nothing to train on: the training split gives no batch.",
                remedy="add training data, or make the batch smaller",
            )
        self.total_steps = config.epochs * self.steps_per_epoch
        self.store = CheckpointStore(config.checkpoint_directory, self._fingerprint(fingerprint))

        self.epoch = 0
        self.epoch_step = 0
        self.splits = 1
        self.batches: Iterator[Any] = iter(())
        self.epoch_means = _Means()
        self.row_means = _Means()
        self.history: list[dict[str, float]] = []
        self.curve: list[dict[str, float]] = []
        self.best_epoch = -1
        self.best_metrics: dict[str, float] = {}
        self.best_weights: dict[str, Tensor] = {}

    @property
    def step(self) -> int:
        """Optimizer steps done so far."""
        return self.epoch * self.steps_per_epoch + self.epoch_step

    def train_epoch(self, bar: Bar, note: Callable[[], str] | None) -> Iterator[None]:
        """Trains to the end of the epoch at hand; yields after every optimizer step."""
        self.model.train()
        self.batches = self._batches_from_here()
        while self.epoch_step < self.steps_per_epoch:
            scalars = self._optimizer_step()
            self.epoch_step += 1
            self.epoch_means.add({name: value for name, value in scalars.items() if name != "gradient_norm"})
            self.row_means.add(scalars)
            self._record()
            bar.advance()
            said = f"epoch {self.epoch + 1}/{self.config.epochs}, loss {scalars['loss']:.4f}"
            bar.note(said if note is None else f"{said}, {note()}")
            if self.step % self.config.checkpoint_every_steps == 0:
                self.save()
            yield

    def finish_epoch(self) -> None:
        """Validates, keeps the weights if they are to be kept so far, and saves a checkpoint."""
        self.model.eval()
        with (
            self._enough_memory("Validation", "make batch_size or the model smaller"),
            torch.no_grad(),
            autocast(self.device, self.dtype),
        ):
            metrics = self.task.validate(self.device)
        if self.config.monitor not in metrics:
            raise ProlepsisError(
                f"There is no validation metric called {self.config.monitor!r}.",
                where="training.monitor",
                remedy=f"write one of: {', '.join(sorted(metrics))}",
            )
        if not math.isfinite(metrics[self.config.monitor]):
            raise ProlepsisError(
                f"The validation metric {self.config.monitor} became {metrics[self.config.monitor]}.",
                where=f"after epoch {self.epoch + 1}",
                remedy="lower the learning rate, set gradient_clip_norm, or look for bad input",
            )
        position = {
            "epoch": self.epoch + 1,
            "step": self.step,
            "learning_rate": self._learning_rate(self.step - 1),
        }
        self.history.append({**position, **self.epoch_means.means("train_"), **metrics})
        if self.config.keep == "last" or self._is_best(metrics[self.config.monitor]):
            self.best_epoch = self.epoch + 1
            self.best_metrics = metrics
            self.best_weights = independent(self.model.state_dict())
        self.epoch += 1
        self.epoch_step = 0
        self.epoch_means = _Means()
        self.save()

    def result(self) -> FitResult:
        """Puts the best weights into the model."""
        self.model.load_state_dict(self.best_weights)
        return FitResult(self.history, self.best_epoch, self.best_metrics, self.step, self.curve)

    def stop(self, description: str) -> None:
        """Answers a request to terminate: the next run goes on from here."""
        self.save()
        _logger.warning("%s: terminated at step %d; the next run continues there.", description, self.step)
        raise SystemExit(_TERMINATED)

    def save(self) -> None:
        optimizer_tensors, optimizer_rest = _split_optimizer_state(self.optimizer)
        tensors = {
            **_with_prefix("model.", self.model.state_dict()),
            **_with_prefix("best.", self.best_weights),
            **_with_prefix("optimizer.", optimizer_tensors),
            **_with_prefix("random.", random_tensors()),
        }
        state = {
            "epoch": self.epoch,
            "epoch_step": self.epoch_step,
            "splits": self.splits,
            "epoch_means": self.epoch_means.sums,
            "row_means": self.row_means.sums,
            "history": self.history,
            "curve": self.curve,
            "best_epoch": self.best_epoch,
            "best_metrics": self.best_metrics,
            "optimizer": optimizer_rest,
        }
        self.store.save(self.step, tensors, state)

    def resume(self) -> None:
        """Continues from the last checkpoint, if there is one of this run."""
        checkpoint = self.store.latest()
        if checkpoint is not None:
            state = checkpoint.state
            self.epoch, self.epoch_step = state["epoch"], state["epoch_step"]
            self.splits = state["splits"]
            self.epoch_means, self.row_means = _Means(state["epoch_means"]), _Means(state["row_means"])
            self.history, self.curve = state["history"], state["curve"]
            self.best_epoch, self.best_metrics = state["best_epoch"], state["best_metrics"]
            self.best_weights = independent(_without_prefix("best.", checkpoint.tensors))
            self.model.load_state_dict(_without_prefix("model.", checkpoint.tensors))
            _join_optimizer_state(
                self.optimizer, _without_prefix("optimizer.", checkpoint.tensors), state["optimizer"]
            )
            restore_random_tensors(_without_prefix("random.", checkpoint.tensors))
            _logger.info("Continuing from step %d of %d.", self.step, self.total_steps)
        self._rewrite_curves()

    def _optimizer_step(self) -> dict[str, float]:
        """One update of the weights; its scalars as means over the accumulated batches."""
        factor = self._schedule_factor(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        recorded = self._gradients()
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        gradient_norm = nn.utils.get_total_norm(gradients)
        values = self._read_scalars([*recorded, {"gradient_norm": gradient_norm}])
        self._require_numbers(values)
        if self.config.gradient_clip_norm is not None:
            # By a number that is already here: nothing more is asked of the device, and most steps of a
            # settled training need no multiplication at all.
            share = self.config.gradient_clip_norm / (values[-1]["gradient_norm"] + _CLIP_EPS)
            if share < 1.0:
                torch._foreach_mul_(gradients, share)
        with self._enough_memory("The optimizer's state", "make the model smaller, or choose sgd"):
            self.optimizer.step()
        means = _Means()
        for scalars in values:
            means.add(scalars)
        return means.means()

    def _gradients(self) -> list[dict[str, Tensor]]:
        """Finds the gradients of the step at hand, in pieces that fit into memory; returns their scalars."""
        before = random_tensors()
        self.optimizer.zero_grad(set_to_none=True)
        while True:
            try:
                return self._accumulate()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._split_further(error)
            # Outside the handler, since the error's traceback holds what has to be freed.
            self.optimizer.zero_grad(set_to_none=True)
            self.batches = self._batches_from_here()
            release_memory(self.device)
            restore_random_tensors(before)

    @contextmanager
    def _enough_memory(self, what: str, remedy: str) -> Iterator[None]:
        """Turns a lack of memory that smaller micro-batches would not mend into a message."""
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise ProlepsisError(
                f"{what} does not fit into the memory of {self.device}.",
                where=f"epoch {self.epoch + 1}",
                remedy=remedy,
            ) from error

    def _accumulate(self) -> list[dict[str, Tensor]]:
        """Adds up the gradients of the batches of the step at hand; returns their scalars."""
        count = self.config.micro_batches(self.step) * self.splits
        recorded: list[dict[str, Tensor]] = []
        for _ in range(count):
            batch = next(self.batches, None)
            if batch is None:
                raise RuntimeError(f"{type(self.task).__name__}.batches ended before step {self.epoch_step}")
            with autocast(self.device, self.dtype):
                loss, others = self.task.loss(batch, self.device)
            (loss / count).backward()  # type: ignore[no-untyped-call]
            recorded.append({name: value.detach() for name, value in {"loss": loss, **others}.items()})
        return recorded

    def _split_further(self, error: BaseException) -> None:
        """Cuts batches into halves, or into the next smaller pieces that are all of one size."""
        rows = self.config.batch_size
        if self.splits == rows:
            raise ProlepsisError(
                f"Not even a single row fits into the memory of {self.device} with this model"
                f" ({type(self.model).__name__}, {sum(p.numel() for p in self.parameters):,} parameters).",
                where=f"epoch {self.epoch + 1}, step {self.epoch_step + 1} of {self.steps_per_epoch}",
                remedy="make the model smaller, or what a row holds shorter; batch_size"
                f" ({rows}) no longer matters",
            ) from error
        before = rows // self.splits
        self.splits = next(n for n in range(2 * self.splits, rows + 1) if rows % n == 0)
        _logger.warning(
            "Out of memory in epoch %d, step %d: going on with micro-batches of size %d instead of %d. "
            "What a step learns from stays the same.",
            self.epoch + 1,
            self.epoch_step + 1,
            rows // self.splits,
            before,
        )

    def _batches_from_here(self) -> Iterator[Any]:
        return self.task.batches(self.epoch, self.epoch_step, self.splits)

    def _read_scalars(self, recorded: list[dict[str, Tensor]]) -> list[dict[str, float]]:
        """The scalars of several dicts, fetched from the device in one go: each transfer waits for it."""
        flat = [value.to(self.device, torch.float32) for scalars in recorded for value in scalars.values()]
        numbers = iter(torch.stack(flat).tolist())
        return [{name: next(numbers) for name in scalars} for scalars in recorded]

    def _require_numbers(self, values: list[dict[str, float]]) -> None:
        for index, scalars in enumerate(values):
            name = "loss" if "loss" in scalars else "gradient_norm"
            if not math.isfinite(scalars[name]):
                place = f", batch {index + 1} of {len(values) - 1}" if name == "loss" else ""
                raise ProlepsisError(
                    f"The training {name.replace('_', ' ')} became {scalars[name]}.",
                    where=f"epoch {self.epoch + 1}, step {self.epoch_step + 1} of {self.steps_per_epoch}"
                    + place,
                    remedy="lower the learning rate, set gradient_clip_norm, or look for bad input",
                )

    def _learning_rate(self, step: int) -> float:
        return self.config.optimizer.learning_rate * self._schedule_factor(step)

    def _schedule_factor(self, step: int) -> float:
        return self.config.schedule.factor(step, self.total_steps, self.steps_per_epoch)

    def _is_best(self, value: float) -> bool:
        if not self.best_metrics:
            return True
        best = self.best_metrics[self.config.monitor]
        return value < best if self.config.monitor_mode == "min" else value > best

    def _record(self) -> None:
        """Adds a row to the curve, in memory and in the file that a person may watch."""
        interval = max(1, self.steps_per_epoch // _ROWS_PER_EPOCH)
        if self.epoch_step % interval and self.epoch_step < self.steps_per_epoch:
            return
        learning_rate = self._learning_rate(self.step - 1)
        row = {"epoch": self.epoch + 1, "step": self.step, "learning_rate": learning_rate}
        row |= self.row_means.means()
        self.row_means = _Means()
        self.curve.append(row)
        with (self.store.directory / CURVES_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def _rewrite_curves(self) -> None:
        """Leaves in the curve file what is known at the start, nothing of an abandoned run."""
        self.store.directory.mkdir(parents=True, exist_ok=True)
        rows = "".join(json.dumps(row) + "\n" for row in self.curve)
        (self.store.directory / CURVES_FILE).write_text(rows, encoding="utf-8")

    def _fingerprint(self, outside: str) -> str:
        shapes = {name: list(tensor.shape) for name, tensor in self.model.state_dict().items()}
        config = self.config.model_dump(
            mode="json", exclude={"checkpoint_directory", "checkpoint_every_steps", "device"}
        )
        inside = {"config": config, "shapes": shapes, "steps_per_epoch": self.steps_per_epoch}
        return files.fingerprint({"outside": outside, **inside})


@contextmanager
def _termination_request() -> Iterator[threading.Event]:
    """An event that SIGTERM sets for the length of the block, instead of ending the process at once.

    Python lets only the main thread change what a signal does; elsewhere SIGTERM keeps its meaning.
    """
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested
        return

    def request(number: int, frame: FrameType | None) -> None:
        requested.set()

    previous = signal.signal(signal.SIGTERM, request)
    try:
        yield requested
    finally:
        signal.signal(signal.SIGTERM, previous)


def _split_optimizer_state(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimizer's state as tensors called `<parameter>.<name>`, and the JSON-like rest likewise."""
    tensors: dict[str, Tensor] = {}
    rest: dict[str, Any] = {}
    for index, entries in optimizer.state_dict()["state"].items():
        for name, value in entries.items():
            (tensors if isinstance(value, Tensor) else rest)[f"{index}.{name}"] = value
    return tensors, rest


def _join_optimizer_state(
    optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], rest: dict[str, Any]
) -> None:
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**independent(tensors), **rest}.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _with_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def _without_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
