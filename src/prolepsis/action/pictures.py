"""Pictures of what detectors reach. matplotlib is imported when one is drawn."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def detection_picture(
    metrics: Mapping[str, Mapping[str, Mapping[str, float]]],
    per_class: pl.DataFrame,
    anticipation: pl.DataFrame,
    split: str,
) -> "Figure":
    """mAP per detector, average precision per class, and mAP over the time ahead, all of one split.

    The tables are those of `prolepsis.action.comparison`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 8), layout="constrained")
    # One grid for all three, or the layout does not keep them apart.
    grid = figure.add_gridspec(2, 2)
    overall, ahead = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
    classes = figure.add_subplot(grid[1, :])
    colours = {detector: f"C{place}" for place, detector in enumerate(metrics)}
    _draw_overall(overall, {name: splits[split] for name, splits in metrics.items()}, colours)
    _draw_ahead(ahead, anticipation.filter(pl.col("split") == split), colours)
    _draw_classes(classes, per_class.filter(pl.col("split") == split), colours)
    figure.suptitle(f"Online action detection on the {split} videos")
    return figure


def _draw_overall(
    axes: "Axes", metrics: Mapping[str, Mapping[str, float]], colours: Mapping[str, str]
) -> None:
    values = [figures["mean_average_precision"] for figures in metrics.values()]
    bars = axes.barh(list(metrics), values, color=[colours[name] for name in metrics])
    axes.bar_label(bars, fmt="%.3f", padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.15)  # room for the figures
    axes.set_xlabel("per-frame mAP")
    axes.set_title("Detection")


def _draw_ahead(axes: "Axes", table: pl.DataFrame, colours: Mapping[str, str]) -> None:
    axes.set_title("Anticipation (dotted: the present scores as the forecast)")
    axes.set_xlabel("seconds ahead")
    axes.set_ylabel("per-frame mAP")
    for (detector,), rows in table.group_by(["detector"], maintain_order=True):
        line: dict[str, Any] = {"color": colours[str(detector)]}
        axes.plot(rows["seconds"], rows["mean_average_precision"], marker="o", label=str(detector), **line)
        axes.plot(rows["seconds"], rows["persistence_mean_average_precision"], linestyle=":", **line)
    if table.is_empty():
        axes.text(0.5, 0.5, "no detector looks ahead", ha="center", transform=axes.transAxes)
    else:
        axes.legend()


def _draw_classes(axes: "Axes", table: pl.DataFrame, colours: Mapping[str, str]) -> None:
    names = table["class_name"].unique(maintain_order=True).to_list()
    width = 0.8 / len(colours)
    for place, (detector, colour) in enumerate(colours.items()):
        rows = table.filter(pl.col("detector") == detector)
        values = rows["average_precision"].fill_null(0.0)
        axes.bar(
            np.arange(len(names)) + (place + 0.5) * width - 0.4, values, width, color=colour, label=detector
        )
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set_ylim(0, 1)
    axes.set_ylabel("average precision")
    axes.set_title("By class")
    axes.legend(ncols=len(colours))
