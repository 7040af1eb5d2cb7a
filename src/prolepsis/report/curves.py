"""Training curves: lists of rows with an `epoch` or a `step` and figures, as the training loop gives them."""

from collections.abc import Mapping, Sequence
from typing import Any

from prolepsis.report.blocks import LineChart
from prolepsis.report.charts import Points, line_chart
from prolepsis.report.formatting import words

Curves = Sequence[Mapping[str, Any]]

_NOT_FIGURES = {"epoch", "step", "learning_rate", "gradient_norm", "seconds"}


def names(curves: Curves) -> list[str]:
    """The figures of which the curves tell."""
    return [key for key in dict.fromkeys(key for row in curves for key in row) if key not in _NOT_FIGURES]


def points(curves: Curves, name: str) -> Points:
    """One figure over the steps, or over the epochs where no steps are told."""
    axis = axis_of(curves)
    return [(float(row[axis]), float(row[name])) for row in curves if row.get(name) is not None]


def axis_of(curves: Curves) -> str:
    return "step" if curves and "step" in curves[0] else "epoch"


def chart(
    curves: Curves,
    chosen: Sequence[str],
    *,
    y_label: str,
    references: Mapping[str, float] | None = None,
    caption: str = "",
    from_zero: bool = False,
) -> LineChart:
    """Some figures of a training over its steps."""
    return line_chart(
        {words(name): points(curves, name) for name in chosen},
        x_label=axis_of(curves),
        y_label=y_label,
        references=references,
        caption=caption,
        from_zero=from_zero,
    )
