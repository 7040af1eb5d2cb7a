"""How a model is trained, as a user writes it; apart from the loop, so that it is checked without torch."""

import math
from pathlib import Path
from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)


class OptimizerConfig(BaseModel):
    """An optimizer and its constants, those of PyTorch unless said otherwise.

    `adam` adds the decay to the gradient, `adamw` takes it from the weight, `bert_adamw` is `adamw` without
    bias correction, as BERT was pretrained, and `lamb` scales each tensor's `bert_adamw` step to the size of
    the tensor, as ALBERT was pretrained. `muon` is for the matrices of hidden layers; everything else in the
    model (embeddings, heads tied to them, biases, normalisation) is trained by `adamw`. `betas` and `eps` are
    those of all but `sgd`.

    `momentum` is for `sgd`, `muon_momentum` for `muon`. A step of `muon` is as large as one of `adamw` at the
    same `learning_rate`; `adamw_learning_rate` gives what `adamw` trains there a rate of its own.
    `exclude_norm_and_bias` keeps the decay, and `lamb`'s scaling, off biases and the weights of normalisation
    layers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["adam", "adamw", "bert_adamw", "lamb", "muon", "sgd"] = "adamw"
    learning_rate: PositiveFloat = 1e-3
    adamw_learning_rate: PositiveFloat | None = None
    betas: tuple[float, float] = (0.9, 0.999)
    eps: PositiveFloat = 1e-8
    momentum: NonNegativeFloat = 0.9
    muon_momentum: NonNegativeFloat = Field(default=0.95, lt=1.0)
    weight_decay: NonNegativeFloat = 0.0
    exclude_norm_and_bias: bool = False


class ScheduleConfig(BaseModel):
    """How the learning rate goes: up over `warmup_steps` optimizer steps, then as `name` says.

    `linear` and `cosine` end at zero, `step` multiplies it by `gamma` every `step_epochs` epochs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["constant", "linear", "cosine", "step"] = "constant"
    warmup_steps: NonNegativeInt = 0
    step_epochs: PositiveInt = 1
    gamma: PositiveFloat = Field(default=0.1, le=1.0)

    def factor(self, step: int, total_steps: int, steps_per_epoch: int) -> float:
        """What optimizer step `step` (from 0) multiplies the learning rate by."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, total_steps - self.warmup_steps)
        if self.name == "linear":
            return max(0.0, 1.0 - done)
        if self.name == "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
        if self.name == "step":
            return float(self.gamma ** (step // steps_per_epoch // self.step_epochs))
        return 1.0


class TrainingConfig(BaseModel):
    """How a model is trained. Steps are optimizer steps, each of `accumulation_steps` micro-batches.

    A micro-batch has `batch_size` rows. Over `batch_warmup_steps` optimizer steps the micro-batches of a step
    rise from one to `accumulation_steps`: at first, when gradients agree, small steps learn more from the
    same data. `compile` has the task compile its model. `monitor` names the validation metric that chooses
    the best epoch, whose weights are kept; with `keep: last` those of the last epoch are, and nothing is
    chosen, for a schedule that ends at zero and a training on all the data there is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: PositiveInt
    batch_size: PositiveInt
    accumulation_steps: PositiveInt = 1
    batch_warmup_steps: NonNegativeInt = 0
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    gradient_clip_norm: PositiveFloat | None = None
    seed: NonNegativeInt = 0
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: bool = False
    checkpoint_every_steps: PositiveInt = 100
    checkpoint_directory: Path
    monitor: str
    monitor_mode: Literal["min", "max"]
    keep: Literal["best", "last"] = "best"

    def micro_batches(self, step: int) -> int:
        """How many micro-batches optimizer step `step` has; it counts from 0 through all epochs."""
        return 1 + sum(step >= first for first in self._first_steps_of_more())

    def micro_batches_before(self, step: int) -> int:
        """How many micro-batches all the steps before optimizer step `step` have."""
        return step + sum(max(0, step - first) for first in self._first_steps_of_more())

    def _first_steps_of_more(self) -> list[int]:
        """For each micro-batch but the first, the step from which on it is there."""
        more = self.accumulation_steps - 1
        return [-(-self.batch_warmup_steps * number // more) for number in range(1, more + 1)]
