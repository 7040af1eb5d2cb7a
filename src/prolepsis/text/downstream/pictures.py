"""Pictures of what methods reach. matplotlib is imported when one is drawn."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from prolepsis.text.downstream.config import TEST

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 3


def draw_comparison(metrics: Mapping[str, Any]) -> "Figure":
    """For each task a bar per method: the mean of its main metric on test over the seeds, and the deviation.

    Args:
        metrics: as `evaluation.metrics` gives them.
    """
    from matplotlib.figure import Figure

    tasks: Mapping[str, Any] = metrics["tasks"]
    columns = min(_COLUMNS, len(tasks))
    num_rows = -(-len(tasks) // columns)
    figure = Figure(figsize=(4.2 * columns + 1, 3 * num_rows), layout="constrained")
    every = figure.subplots(num_rows, columns, squeeze=False).ravel()
    for axes, (name, task) in zip(every, tasks.items(), strict=False):
        _draw_task(axes, name, task)
    for axes in every[len(tasks) :]:
        axes.set_axis_off()
    figure.suptitle("Downstream tasks, test split")
    return figure


def _draw_task(axes: "Axes", name: str, task: Mapping[str, Any]) -> None:
    metric = task["main_metric"]
    methods = {method: figures[TEST] for method, figures in task["methods"].items()}
    deviations = [figures.get(f"{metric}_deviation", 0.0) for figures in methods.values()]
    bars = axes.barh(
        [method.replace("_", " ") for method in methods],
        [figures[metric] for figures in methods.values()],
        xerr=deviations,
        color=[f"C{place}" for place in range(len(methods))],
        capsize=3,
    )
    axes.bar_label(bars, fmt="%.3f", padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.2)  # room for the figures
    axes.set_title(name.replace("_", " "))
    axes.set_xlabel(f"{metric.replace('_', ' ')} (mean ± deviation over seeds)")
