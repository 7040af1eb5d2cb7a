"""What a user writes under `downstream:`."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, computed_field, model_validator

from prolepsis.text.downstream.config import (
    ENCODER,
    UNTRAINED_ENCODER,
    BaselineConfig,
    FineTuningConfig,
    FineTuningTraining,
    TaskConfig,
    run_training,
    with_overrides,
)

METHODS = (ENCODER, UNTRAINED_ENCODER)


class DownstreamParams(BaseModel):
    """The tasks, how the encoder is fine-tuned on each, and what it is compared with.

    Attributes:
        seed: decides which passages of the corpus are cut, and what is set aside for validation.
        seeds: one fine-tuning for each: it draws the new weights, the order of the examples and the dropout.
        tasks: by name; null leaves one out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: NonNegativeInt = 0
    seeds: tuple[NonNegativeInt, ...] = Field((0, 1, 2), min_length=1)
    tasks: dict[str, TaskConfig | None]
    fine_tuning: FineTuningConfig = FineTuningConfig()
    training: FineTuningTraining
    baselines: BaselineConfig = BaselineConfig()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def checkpoints(self) -> dict[str, dict[str, Path]]:
        """Where each fine-tuning has its checkpoints; what clears them after a run looks for these keys."""
        return {
            f"{task}-{method}-{seed}": {
                "checkpoint_directory": run_training(self.training, task, method, seed).checkpoint_directory
            }
            for task in self.chosen_tasks
            for method in METHODS
            for seed in self.seeds
        }

    @property
    def chosen_tasks(self) -> dict[str, TaskConfig]:
        return {name: task for name, task in self.tasks.items() if task is not None}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("two of the seeds are the same: their fine-tunings would be, too")
        if not self.chosen_tasks:
            raise ValueError("there is no task; write one, or leave the pipeline 'downstream' out")
        for task in self.chosen_tasks.values():
            self.training_of(task)  # so that a wrong override stops a run before its first node
        return self

    def training_of(self, task: TaskConfig) -> FineTuningTraining:
        return with_overrides(self.training, task.training)

    def fine_tuning_of(self, task: TaskConfig) -> FineTuningConfig:
        if task.max_length is None:
            return self.fine_tuning
        return self.fine_tuning.model_copy(update={"max_length": task.max_length})
