"""How many steps, or images, make a second: what a parameter of that kind may be."""

from typing import Annotated

from pydantic import Field

# Beyond a thousand a second no camera and no label goes; a typing error does, and fills the disk with steps.
Rate = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
