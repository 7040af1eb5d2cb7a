"""What a user may say about momentum contrast; apart from the model, so that it is checked without torch.

The defaults are those of MoCo v2 (Chen et al. 2020, "Improved Baselines with Momentum Contrastive Learning"),
as in github.com/facebookresearch/moco.
"""

from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from prolepsis.training.config import OptimizerConfig, ScheduleConfig, TrainingConfig

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class Augmentation(BaseModel):
    """How a view is drawn from a frame, in the order in which it is done.

    Attributes:
        crop_scale: the share of the frame's area that a crop has, from and to.
        crop_ratio: width by height of a crop, from and to.
        jitter_probability: of changing the colours at all.
        brightness, contrast, saturation: by how much a factor may differ from one.
        hue: by how much it may turn; 0.5 is half a circle.
        grayscale_probability: of taking the colours out.
        blur_probability: of a Gaussian blur.
        blur_sigma: its width in pixels of the view, from and to. The paper's is for views of 224 pixels.
        flip_probability: of exchanging left and right.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    crop_scale: tuple[PositiveFloat, PositiveFloat] = (0.2, 1.0)
    crop_ratio: tuple[PositiveFloat, PositiveFloat] = (3 / 4, 4 / 3)
    jitter_probability: Probability = 0.8
    brightness: Probability = 0.4
    contrast: Probability = 0.4
    saturation: Probability = 0.4
    hue: float = Field(0.1, ge=0.0, le=0.5)
    grayscale_probability: Probability = 0.2
    blur_probability: Probability = 0.5
    blur_sigma: tuple[PositiveFloat, PositiveFloat] = (0.1, 2.0)
    flip_probability: Probability = 0.5

    @model_validator(mode="after")
    def _check_ranges(self) -> Self:
        for name in ("crop_scale", "crop_ratio", "blur_sigma"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} goes from a smaller to a larger number, not from {low} to {high}")
        if self.crop_scale[1] > 1.0:
            raise ValueError("crop_scale is a share of the frame, at most 1")
        return self


class MocoConfig(BaseModel):
    """The network, and what it learns from.

    Attributes:
        backbone: the name of an image classifier's builder in `torchvision.models`.
        image_size: the side of a view, and of the whole frame where features are taken.
        dimension: of what is contrasted, behind the MLP head.
        queue_size: how many keys of earlier batches are the negatives.
        momentum: of the key encoder's weights.
        temperature: of the softmax over the positive and the negatives.
        batch_norm_splits: how many groups of a batch are normalised apart; the paper's eight GPUs are eight
            groups. One is ordinary batch norm, by which a query could know its key from the statistics they
            share.
        positive_seconds: the key is a view of a frame of the same video at most so far away; zero for two
            views of one frame, as in the paper.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: str = "resnet50"
    image_size: PositiveInt = 224
    dimension: PositiveInt = 128
    queue_size: PositiveInt = 65_536
    momentum: float = Field(0.999, ge=0.0, le=1.0)
    temperature: PositiveFloat = 0.2
    batch_norm_splits: PositiveInt = 8
    positive_seconds: NonNegativeFloat = 0.0
    augmentation: Augmentation = Augmentation()


class MocoTraining(TrainingConfig):
    """A training whose best epoch is that with the lowest contrastive loss on the frames of val."""

    epochs: PositiveInt = 200
    batch_size: PositiveInt = 256
    optimizer: OptimizerConfig = OptimizerConfig(name="sgd", learning_rate=0.03, weight_decay=1e-4)
    schedule: ScheduleConfig = ScheduleConfig(name="cosine")
    monitor: str = "validation_loss"
    monitor_mode: Literal["min", "max"] = "min"

    @model_validator(mode="after")
    def _check_accumulation(self) -> Self:
        if self.accumulation_steps > 1 or self.batch_warmup_steps > 0:
            raise ValueError(
                "accumulation_steps is 1 and batch_warmup_steps 0 in momentum contrast: with every batch the "
                "key encoder moves and the queue takes keys, so several small batches are not one large one; "
                "make batch_size smaller instead"
            )
        return self
