"""What a user may say about the pieces of videos to learn from; read before torch is imported."""

from pydantic import BaseModel, ConfigDict, Field


class SamplingConfig(BaseModel):
    """Which pieces of the training videos make an epoch."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window_steps: int = Field(64, ge=1, description="steps of a window whose predictions are learnt from")
    partial_windows: bool = Field(
        False,
        description="also use the shorter windows at a video's start and end, and windows whose history"
        " begins before the video (with zero features); without them short videos may give nothing",
    )
    scored_fraction: float = Field(
        1.0, gt=0, le=1, description="share of a window's steps that is learnt from, drawn anew every epoch"
    )
