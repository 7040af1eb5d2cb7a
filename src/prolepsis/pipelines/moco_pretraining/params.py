"""What a user may say about pretraining on frames."""

from typing import Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from prolepsis.video.moco.config import MocoConfig, MocoTraining


class FramesParams(BaseModel):
    """The frames that are taken out of the videos.

    Attributes:
        rate: steps per second; the manifest's, so set it in `globals.yml`.
        size: the side of the square to which frames are squeezed; 3 · size² bytes a frame on the disk.
        decoder_threads: videos decoded side by side.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rate: PositiveFloat
    size: PositiveInt
    decoder_threads: PositiveInt


class EvaluationParams(BaseModel):
    """How the features are measured.

    Attributes:
        neighbours: k of the nearest-neighbour classifier, at most all frames of the split train.
        neighbour_temperature: a neighbour of cosine similarity s weighs exp(s / temperature).
        inverse_penalties: C of the linear classifiers, of which the best on val is taken.
        batch_size: frames encoded at once.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    neighbours: PositiveInt
    neighbour_temperature: PositiveFloat
    inverse_penalties: tuple[PositiveFloat, ...] = Field(min_length=1)
    batch_size: PositiveInt


class MocoPretrainingParams(BaseModel):
    """The key `moco_pretraining`.

    Attributes:
        num_workers: processes that draw views beside the training; zero for none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    frames: FramesParams
    model: MocoConfig
    training: MocoTraining
    num_workers: NonNegativeInt
    evaluation: EvaluationParams

    @model_validator(mode="after")
    def _check_batch(self) -> Self:
        batch, splits = self.training.batch_size, self.model.batch_norm_splits
        if batch % splits or batch // splits < 2:
            raise ValueError(
                f"training.batch_size {batch} is not {splits} equal groups of two or more "
                "(model.batch_norm_splits)"
            )
        if batch > self.model.queue_size:
            raise ValueError(
                f"training.batch_size {batch} is more than model.queue_size {self.model.queue_size}"
            )
        return self
