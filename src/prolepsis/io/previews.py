"""Tables as Kedro-Viz shows them."""

from typing import Any

import polars as pl
from kedro_datasets._typing import TablePreview

_CHARACTERS = 200


def table(frame: pl.DataFrame) -> TablePreview:
    """All rows of a frame. Kedro-Viz takes JSON scalars: lists and long texts become short text."""
    rows = [[_cell(value) for value in row] for row in frame.rows()]
    return TablePreview({"index": list(range(len(rows))), "columns": frame.columns, "data": rows})


def _cell(value: Any) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= _CHARACTERS else text[: _CHARACTERS - 1] + "…"
