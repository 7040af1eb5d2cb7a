"""What a user may say about features that others computed."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from prolepsis.video.rates import Rate


class Sessions(BaseModel):
    """The videos to train on and to test on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: tuple[str, ...] = Field(min_length=1)
    test: tuple[str, ...] = Field(min_length=1)


class PrecomputedFeaturesParams(BaseModel):
    """The key `precomputed_features`.

    Attributes:
        streams: folders of features, whose vectors are put one after another.
        maps: whether maps `[T, D, H, W]` are averaged over H and W, or kept, D·H·W numbers a step.
        targets: the folder of labels.
        dataset: which of the datasets in `data_info.json`; None where there is one.
        classes: in the order of the targets' columns; None for those of `data_info.json`.
        background: which of them is the background; None for the one called so, in any case.
        sessions: None for the lists of `data_info.json`.
        ignored_classes: whose steps are neither trained on nor scored.
        missing_videos: what to do when a listed video has no files.
        length_tolerance: by how many steps the files of a video may differ; they are cut to the shortest.
        val_share: of the training list, that becomes the validation split.
        seed: of that draw.
        rate: steps per second of the features; set it in `globals.yml`.
        dtype: of the features in the store.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    streams: tuple[str, ...] = Field(min_length=1)
    maps: Literal["averaged", "kept"]
    targets: str
    dataset: str | None
    classes: tuple[str, ...] | None
    background: str | None
    sessions: Sessions | None
    ignored_classes: tuple[str, ...]
    missing_videos: Literal["refuse", "leave_out"]
    length_tolerance: NonNegativeInt
    val_share: float = Field(gt=0.0, lt=1.0)
    seed: int
    rate: Rate
    dtype: Literal["float16", "float32"]
