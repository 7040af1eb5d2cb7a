"""What a user writes under `detection_evaluation`."""

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat


class DetectionEvaluationParams(BaseModel):
    """How the detectors are compared.

    Attributes:
        rate: steps per second; set it in `globals.yml`.
        skip_first: how many steps at each video's start are not scored; 63 in OadTR's official evaluation.
        skip_last: likewise at its end; 9 there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rate: PositiveFloat
    skip_first: int = Field(0, ge=0)
    skip_last: int = Field(0, ge=0)
