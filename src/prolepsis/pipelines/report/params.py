"""What a user may say about the report."""

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt


class ReportParams(BaseModel):
    """The key `report`.

    Attributes:
        title: of the page.
        timelines: how many test videos are drawn; the others are left out, and the page says so.
        thumbnails: pictures along each timeline.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    timelines: NonNegativeInt
    thumbnails: int = Field(ge=0, le=40)
