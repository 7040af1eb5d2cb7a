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
    bias correction, as BERT was pretrained; `betas` and `eps` are theirs, `momentum` is for `sgd`.
    `exclude_norm_and_bias` keeps the decay off biases and the weights of normalisation layers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["adam", "adamw", "bert_adamw", "sgd"] = "adamw"
    learning_rate: PositiveFloat = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: PositiveFloat = 1e-8
    momentum: NonNegativeFloat = 0.9
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
    """How a model is trained. Steps are optimizer steps, each of `accumulation_steps` batches.

    `batch_size` is the task's to use; `monitor` names the validation metric that chooses the best epoch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: PositiveInt
    batch_size: PositiveInt
    accumulation_steps: PositiveInt = 1
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    gradient_clip_norm: PositiveFloat | None = None
    seed: NonNegativeInt = 0
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    checkpoint_every_steps: PositiveInt = 100
    checkpoint_directory: Path
    monitor: str
    monitor_mode: Literal["min", "max"]
