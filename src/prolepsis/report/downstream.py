"""The section on downstream tasks: every method on every task, with its spread over the seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from prolepsis.report import curves as training
from prolepsis.report import formatting as f
from prolepsis.report.blocks import Block, Cell, Details, Grid, LineChart, Section, Table, Tile
from prolepsis.report.charts import Curve, line_chart
from prolepsis.report.words import CHAPTER

_SPLIT = "test"
_ENCODER, _UNTRAINED = "encoder", "untrained_encoder"
_NAMES = {_ENCODER: "BERT", _UNTRAINED: "the same without pretraining", "tf_idf": "TF-IDF"}
_PER_CLASS_METHODS = 6


def describe_downstream(
    downstream_metrics: dict[str, Any],
    downstream_per_class: pl.DataFrame,
    downstream_curves: list[dict[str, Any]],
    downstream_picture: bytes,
) -> Section:
    """One table of all methods on all tasks, the best in bold; classes apart; how the encoder was trained."""
    tasks: Mapping[str, Any] = downstream_metrics["tasks"]
    blocks: list[Block] = [
        _comparison(tasks),
        f.picture(
            downstream_picture,
            "a bar for each method on each task",
            "The same on the test split; a whisker is the standard deviation over the seeds.",
        ),
        *(
            Details(f"{f.words(name)}: all figures", [_figures(task), *_classes(downstream_per_class, name)])
            for name, task in tasks.items()
        ),
        Details("How the encoder was fine-tuned", [Grid(_charts(downstream_curves, tasks))]),
    ]
    return Section(
        CHAPTER,
        "downstream",
        "Downstream tasks",
        "The encoder, fine-tuned on labelled text, beside simple methods and the same encoder without "
        "pretraining. The epoch was chosen on the validation split; the test split chose nothing.",
        blocks,
        [_tile(name, task) for name, task in tasks.items() if _ENCODER in task["methods"]],
    )


def _comparison(tasks: Mapping[str, Any]) -> Table:
    """A row per method, a column per task."""
    methods = list(dict.fromkeys(method for task in tasks.values() for method in task["methods"]))
    best = {name: f.best(_mean(task, method) for method in task["methods"]) for name, task in tasks.items()}
    rows = [
        (
            Cell(_name(method)),
            *(
                Cell(
                    _with_deviation(task, method),
                    share=_mean(task, method),
                    strong=best[name] is not None and _mean(task, method) == best[name],
                )
                for name, task in tasks.items()
            ),
        )
        for method in methods
    ]
    titles = [f"{f.words(name)} ({f.words(task['main_metric'])})" for name, task in tasks.items()]
    return Table(
        ("method", *titles),
        rows,
        frozenset(titles),
        "On the test split, in percent, as mean ± standard deviation over the seeds; the best mean is in "
        "bold. Two methods that are no further apart than their deviations cannot be told apart by it.",
    )


def _figures(task: Mapping[str, Any]) -> Table:
    """A row per method, a column per metric, of the test split."""
    metrics = list(
        dict.fromkeys(
            metric
            for figures in task["methods"].values()
            for metric in figures[_SPLIT]
            if not metric.endswith("_deviation")
        )
    )
    rows = [
        (
            Cell(_name(method)),
            Cell(f.number(figures["runs"])),
            *(Cell(_with_deviation(task, method, metric)) for metric in metrics),
        )
        for method, figures in task["methods"].items()
    ]
    titles = [f.words(metric) for metric in metrics]
    counts = ", ".join(f"{f.number(count)} {split}" for split, count in task["examples"].items())
    return Table(("method", "runs", *titles), rows, frozenset(("runs", *titles)), f"Examples: {counts}.")


def _classes(per_class: pl.DataFrame, task: str) -> list[Table]:
    """F1 of each class by each method, as means over the seeds; none for tasks without classes."""
    rows = per_class.filter(task=task, split=_SPLIT)
    if rows.is_empty():
        return []
    means = rows.group_by("method", "label", maintain_order=True).agg(pl.col("support", "f1").mean())
    methods = means["method"].unique(maintain_order=True).to_list()[-_PER_CLASS_METHODS:]
    support: dict[str, float] = dict(means.select("label", "support").iter_rows())
    f1 = {(method, label): value for method, label, value in means.select("method", "label", "f1").rows()}
    cells = []
    for label in sorted(support, key=lambda one: (-support[one], one)):
        best = f.best(f1.get((method, label)) for method in methods)
        scores = [f1.get((method, label)) for method in methods]
        cells.append(
            (
                Cell(label),
                Cell(f.number(int(support[label]))),
                *(Cell(f.percent(one), share=one, strong=one is not None and one == best) for one in scores),
            )
        )
    titles = [_name(method) for method in methods]
    return [Table(("label", "examples", *titles), cells, frozenset(("examples", *titles)), "F1 by label:")]


def _charts(curves: Sequence[Mapping[str, Any]], tasks: Mapping[str, Any]) -> list[LineChart]:
    """For each task the score on validation over the epochs, a line per method and seed."""
    charts = []
    for task in tasks:
        lines = []
        for colour, method in enumerate((_ENCODER, _UNTRAINED)):
            rows = [row for row in curves if row["task"] == task and row["method"] == method]
            for place, seed in enumerate(dict.fromkeys(row["seed"] for row in rows)):
                points = training.points(
                    [row for row in rows if row["seed"] == seed], "validation_score", "epoch"
                )
                lines.append(Curve(f"{_name(method)}, seed {seed}", points, colour, dashed=place > 0))
        label = f"{f.words(task)}: validation {f.words(tasks[task]['main_metric'])}"
        charts.append(line_chart(lines, x_label="epoch", y_label=label, from_zero=False))
    return charts


def _tile(name: str, task: Mapping[str, Any]) -> Tile:
    value = _mean(task, _ENCODER)
    untrained = _mean(task, _UNTRAINED)
    note = f"test {f.words(task['main_metric'])}"
    if value is not None and untrained is not None:
        note += f"; pretraining makes {f.signed_points(value - untrained)} points"
    return Tile(f"BERT on {f.words(name)}", f.percent(value), note)


def _mean(task: Mapping[str, Any], method: str, metric: str | None = None) -> float | None:
    figures = task["methods"].get(method, {}).get(_SPLIT, {})
    value: float | None = figures.get(metric or task["main_metric"])
    return value


def _with_deviation(task: Mapping[str, Any], method: str, metric: str | None = None) -> str:
    value = _mean(task, method, metric)
    if value is None:
        return "–"
    deviation = _mean(task, method, f"{metric or task['main_metric']}_deviation")
    return f"{100 * value:.1f}" + ("" if deviation is None else f" ± {100 * deviation:.1f}")


def _name(method: str) -> str:
    return _NAMES.get(method, f.words(method))
