"""What a user writes under `bert:`."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, PositiveInt

from prolepsis.plugins import PluginChoice
from prolepsis.text.bert.config import BertConfig, LengthWarmup
from prolepsis.training.config import TrainingConfig


class Objective(PluginChoice):
    """What the model is asked while it is pretrained."""

    group: ClassVar[str] = "prolepsis.pretraining_objectives"


class BertParams(BaseModel):
    """The pretraining of one BERT.

    Attributes:
        steps_per_epoch: optimizer steps from one validation to the next; null: one pass over the corpus.
        validation_rows: the most rows of the validation split that are measured each time.
        length_warmup: shorter rows for the first part of the run; null: rows of one length.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: BertConfig
    objective: Objective
    training: TrainingConfig
    steps_per_epoch: PositiveInt | None = None
    validation_rows: PositiveInt = 1024
    length_warmup: LengthWarmup | None = None
