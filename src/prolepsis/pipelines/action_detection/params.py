"""What a user writes under `action_detection.<variant>`."""

from typing import ClassVar, Literal

from pydantic import Field

from prolepsis.action.sampling import SamplingConfig
from prolepsis.plugins import PluginChoice
from prolepsis.training.config import TrainingConfig


class DetectorTraining(TrainingConfig):
    """A training whose best epoch, unless said otherwise, is that with the best per-frame mAP on val."""

    monitor: str = "mean_average_precision"
    monitor_mode: Literal["min", "max"] = "max"


class DetectorParams(PluginChoice):
    """A detector plugin, its configuration, and how it is trained.

    Attributes:
        sampling: which pieces of the videos make an epoch.
        standardise: bring each feature to mean 0 and spread 1 by the training split; kept with the model.
        feature_noise: spread of the noise added to each feature in training, in units of its own spread.
    """

    group: ClassVar[str] = "prolepsis.action_detectors"

    sampling: SamplingConfig
    standardise: bool = True
    feature_noise: float = Field(0.0, ge=0)
    training: DetectorTraining
