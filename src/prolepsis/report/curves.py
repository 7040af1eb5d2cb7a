"""Training curves: rows with an `epoch` or a `step` and figures, as the training loop gives them."""

from collections.abc import Mapping, Sequence
from typing import Any

from prolepsis.report.blocks import LineChart
from prolepsis.report.charts import Curve, Points, line_chart
from prolepsis.report.formatting import words

Rows = Sequence[Mapping[str, Any]]

_PARTS = ("validation_", "train_")
_NOT_FIGURES = {"epoch", "step", "learning_rate", "gradient_norm", "pairs"}


def names(rows: Rows) -> list[str]:
    """The figures of which the curves tell."""
    return [key for key in dict.fromkeys(key for row in rows for key in row) if key not in _NOT_FIGURES]


def points(rows: Rows, name: str, axis: str) -> Points:
    """One figure over the axis; rows without it are passed over."""
    return [(float(row[axis]), float(row[name])) for row in rows if row.get(name) is not None]


def quantities(rows: Rows) -> list[str]:
    """The losses and accuracies that are told of training or validation, without these words before them.

    The sum of the losses is left out where its parts are told.
    """
    bare = [name.removeprefix(prefix) for name in names(rows) for prefix in _PARTS if name.startswith(prefix)]
    found = [name for name in dict.fromkeys(bare) if name.endswith(("loss", "accuracy"))]
    parts = [name for name in found if name.endswith("loss") and name != "loss"]
    return [name for name in found if name != "loss" or not parts]


def chart(rows: Rows, quantity: str, reference: str | None = None) -> LineChart:
    """A quantity in training (dashed) and validation, and a figure that stays the same beside it.

    It is drawn over the steps, or over the epochs where no steps are told.
    """
    axis = "step" if rows and "step" in rows[0] else "epoch"
    curves = [
        Curve("validation", points(rows, f"validation_{quantity}", axis), 0),
        Curve("training", points(rows, f"train_{quantity}", axis), 0, dashed=True),
    ]
    if reference is not None:
        curves.append(Curve(words(reference), points(rows, reference, axis), 1, dashed=True))
    is_loss = quantity.endswith("loss")
    label = f"{words(quantity)}{' (nats)' if is_loss else ''}"
    return line_chart(curves, x_label=axis, y_label=label, from_zero=not is_loss)
