"""Training curves: rows with an `epoch` or a `step` and figures, as the training loop gives them."""

from collections.abc import Mapping, Sequence
from typing import Any

from prolepsis.report.blocks import LineChart
from prolepsis.report.charts import Curve, Points, line_chart
from prolepsis.report.formatting import words

Rows = Sequence[Mapping[str, Any]]

_NOT_FIGURES = {"epoch", "step", "learning_rate", "gradient_norm", "pairs"}


def names(rows: Rows) -> list[str]:
    """The figures of which the curves tell."""
    return [key for key in dict.fromkeys(key for row in rows for key in row) if key not in _NOT_FIGURES]


def points(rows: Rows, name: str, axis: str) -> Points:
    """One figure over the axis; rows without it are passed over."""
    return [(float(row[axis]), float(row[name])) for row in rows if row.get(name) is not None]


def chart(
    rows: Rows,
    chosen: Sequence[str],
    *,
    y_label: str,
    dashed: Sequence[str] = (),
    caption: str = "",
    from_zero: bool = False,
) -> LineChart:
    """Some figures of one training over its steps, or over its epochs where no steps are told."""
    axis = "step" if rows and "step" in rows[0] else "epoch"
    curves = [
        Curve(words(name), points(rows, name, axis), colour, name in dashed)
        for colour, name in enumerate([*chosen, *dashed])
    ]
    return line_chart(curves, x_label=axis, y_label=y_label, caption=caption, from_zero=from_zero)
