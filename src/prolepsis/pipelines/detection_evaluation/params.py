"""What a user writes under `detection_evaluation`."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator

from prolepsis.action.hysteresis import Hysteresis, steps_of
from prolepsis.video.rates import Rate


class SegmentParams(BaseModel):
    """How probabilities become segments: see `prolepsis.action.hysteresis`.

    Attributes:
        start_threshold: the probability at which a segment of a class begins.
        end_threshold: the probability below which it ends.
        min_seconds: how long a segment is at least; as steps rounded up.
        release_seconds: how long the probability must stay below that; likewise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    start_threshold: float = Field(ge=0, le=1)
    end_threshold: float = Field(ge=0, le=1)
    min_seconds: float = Field(ge=0, allow_inf_nan=False)
    release_seconds: float = Field(ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end_threshold > self.start_threshold:
            raise ValueError(
                f"end_threshold ({self.end_threshold}) must not be above "
                f"start_threshold ({self.start_threshold})"
            )
        return self

    def rule(self, rate: float) -> Hysteresis:
        """At `rate` steps per second."""
        steps = (max(1, steps_of(seconds, rate)) for seconds in (self.min_seconds, self.release_seconds))
        return Hysteresis(self.start_threshold, self.end_threshold, *steps)


class DetectionEvaluationParams(BaseModel):
    """How the detectors are compared.

    Attributes:
        rate: steps per second; set it in `globals.yml`.
        protocol: whose evaluation is followed: see `prolepsis.action.evaluation.videos.PROTOCOLS`.
        segments: how probabilities become segments.
        tiou_thresholds: at which segment mAP is measured.
        ambiguous_segments: whether a false segment that overlaps ignored steps counts; the official
            evaluation of THUMOS'14 does not count it.
        start_offsets: seconds within which a start is found.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rate: Rate
    protocol: Literal["lstr", "oadtr", "colar", "idn", "idn_tvseries"]
    segments: SegmentParams
    tiou_thresholds: tuple[float, ...] = Field(min_length=1)
    ambiguous_segments: Literal["uncounted", "counted"] = "uncounted"
    start_offsets: tuple[PositiveFloat, ...] = Field(min_length=1)
