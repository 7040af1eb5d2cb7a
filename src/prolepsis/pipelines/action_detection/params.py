"""What a user writes under `action_detection.<variant>`."""

from typing import ClassVar, Literal

from prolepsis.action.augmentation import AugmentationConfig
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
        augmentation: how features are changed at random in training.
    """

    group: ClassVar[str] = "prolepsis.action_detectors"

    sampling: SamplingConfig
    standardise: bool = True
    augmentation: AugmentationConfig = AugmentationConfig()
    training: DetectorTraining
