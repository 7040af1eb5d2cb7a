"""What a user may say about the ingestion of videos."""

from collections import Counter
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, model_validator

from prolepsis.plugins import PluginChoice
from prolepsis.video.labels import BACKGROUND
from prolepsis.video.rates import Rate


class AnnotationReaderChoice(PluginChoice):
    """A reader of annotation files and its configuration."""

    group: ClassVar[str] = "prolepsis.annotation_readers"


class SplitShares(BaseModel):
    """How videos that lie in no folder train, val or test are shared out, by a hash of their id."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: NonNegativeFloat
    val: NonNegativeFloat
    test: NonNegativeFloat

    @model_validator(mode="after")
    def _check_sum(self) -> "SplitShares":
        if abs(self.train + self.val + self.test - 1.0) > 1e-6:
            raise ValueError("train, val and test must add up to 1")
        return self


class VideoIngestionParams(BaseModel):
    """The key `video_ingestion`.

    Attributes:
        rate: steps per second of labels, features and scores; set it in `globals.yml`.
        rule: which steps an action labels; a name in `prolepsis.video.labels.RULES`.
        classes: the labels and their order; None takes those of the file, sorted.
        ignored_classes: labels whose steps are neither trained on nor scored, such as THUMOS' "Ambiguous".
        unknown_videos: what to do with annotations of videos that are not there.
        duplicates: what to do with an annotation that is there twice.
        ends_beyond_video: what to do with actions that last longer than their videos.
        overlaps_of_one_class: whether actions of one class may overlap in a video.
        max_bad_share: the share of videos that may be unreadable before the run stops.
        image_folder_rate: frames per second of the videos that are folders of numbered images.
        split_shares: of the videos in no folder train, val or test.
        val_share: of the videos in the folder train, that becomes val where there is no folder val.
        seed: of that draw.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    annotations: AnnotationReaderChoice
    rate: Rate
    rule: Literal["centre", "inclusive", "chunk"]
    classes: tuple[str, ...] | None
    ignored_classes: tuple[str, ...]
    unknown_videos: Literal["refuse", "leave_out"]
    duplicates: Literal["refuse", "leave_out"]
    ends_beyond_video: Literal["refuse", "clip"]
    overlaps_of_one_class: Literal["refuse", "allow"]
    max_bad_share: float = Field(ge=0.0, le=1.0)
    image_folder_rate: Rate
    split_shares: SplitShares
    val_share: float = Field(gt=0.0, lt=1.0)
    seed: int

    @model_validator(mode="after")
    def _check_classes(self) -> "VideoIngestionParams":
        named = Counter([*(self.classes or ()), *self.ignored_classes])
        if BACKGROUND in named:
            raise ValueError(f"{BACKGROUND!r} is no class to name: it is what no annotation covers")
        if twice := sorted(name for name, times in named.items() if times > 1):
            raise ValueError(
                f"a class stands once, in classes or in ignored_classes: remove {', '.join(twice)} from one"
            )
        return self
