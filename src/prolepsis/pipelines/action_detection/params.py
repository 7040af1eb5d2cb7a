"""What a user writes under `action_detection.<variant>`."""

from typing import Any, ClassVar

from pydantic import Field, ValidationError, model_validator

from prolepsis.action.sampling import SamplingConfig
from prolepsis.plugins import PluginChoice, describe_validation_error


class DetectorParams(PluginChoice):
    """A detector plugin, its configuration, and how it is trained.

    Attributes:
        sampling: which pieces of the videos make an epoch.
        standardise: bring each feature to mean 0 and spread 1 by the training split; kept with the model.
        feature_noise: spread of the noise added to each feature in training, in units of its own spread.
        training: the keys of `prolepsis.training.loop.TrainingConfig`. The epoch kept is the one with the
            best per-frame mAP on the validation split.
    """

    group: ClassVar[str] = "prolepsis.action_detectors"

    sampling: SamplingConfig
    standardise: bool = True
    feature_noise: float = Field(0.0, ge=0)
    training: dict[str, Any]

    @model_validator(mode="after")
    def _check_training(self) -> "DetectorParams":
        try:
            self.training_configuration()
        except ValidationError as error:
            raise ValueError(f"training: {describe_validation_error(error)}") from error
        return self

    def training_configuration(self) -> Any:
        # Imported here because it brings torch, which `kedro --help` and the other pipelines do without.
        from prolepsis.training.loop import TrainingConfig

        chosen_by = {"monitor": "mean_average_precision", "monitor_mode": "max"}
        return TrainingConfig.model_validate(chosen_by | self.training)
