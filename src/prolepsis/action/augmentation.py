"""How a detector's features are changed at random in training, as a user writes it."""

from pydantic import BaseModel, ConfigDict, Field


class AugmentationConfig(BaseModel):
    """Random changes of the features of a training window, so that few videos are not learnt by heart.

    `noise` is drawn anew at every step, and averages out over the steps that a detector remembers; `shift`
    and `dropout` are drawn once for a window, the same at all of its steps, and do not.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    noise: float = Field(0.0, ge=0)
    """Spread of the noise added at every step, in units of the feature's own spread."""
    shift: float = Field(0.0, ge=0)
    """Spread of what is added to a feature in a whole window, in the same units: as another camera or another
    person would."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of a window's features that stay at their mean, so that none is relied on alone."""
