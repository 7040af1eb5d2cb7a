"""Everybody's predictions to figures: a table of scores, means with deviations, and the classes apart."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from prolepsis.text.downstream.config import SCORED_SPLITS
from prolepsis.text.downstream.metrics import MAIN_METRIC, PER_CLASS_SCHEMA, measure, per_class

PREDICTIONS_SCHEMA = pl.Schema(
    {
        "task": pl.String(),
        "method": pl.String(),
        "seed": pl.Int64(),
        "split": pl.String(),
        "example": pl.Int64(),
        "prediction": pl.List(pl.String()),
    }
)
SCORES_SCHEMA = pl.Schema(
    {
        "task": pl.String(),
        "method": pl.String(),
        "seed": pl.Int64(),
        "split": pl.String(),
        "metric": pl.String(),
        "value": pl.Float64(),
    }
)
DOWNSTREAM_PER_CLASS_SCHEMA = pl.Schema(
    {"task": pl.String(), "method": pl.String(), "seed": pl.Int64(), "split": pl.String(), **PER_CLASS_SCHEMA}
)
_RUN = ["task", "method", "seed", "split"]


def predictions_table(
    task: str, method: str, seed: int | None, predictions: Mapping[str, Sequence[tuple[str, ...]]]
) -> pl.DataFrame:
    """What one method said (`PREDICTIONS_SCHEMA`); `seed` is None for a method without chance in it."""
    rows = [
        (task, method, seed, split, number, list(said))
        for split, members in predictions.items()
        for number, said in enumerate(members)
    ]
    return pl.DataFrame(rows, schema=PREDICTIONS_SCHEMA, orient="row")


def scores_table(examples: pl.DataFrame, predictions: pl.DataFrame) -> pl.DataFrame:
    """A row per task, method, seed, split and metric (`SCORES_SCHEMA`); see `metrics.measure`."""
    rows = [
        (*run, metric, value)
        for run, kind, truth, said in _runs(examples, predictions)
        for metric, value in measure(kind, truth, said).items()
    ]
    return pl.DataFrame(rows, schema=SCORES_SCHEMA, orient="row")


def per_class_table(examples: pl.DataFrame, predictions: pl.DataFrame) -> pl.DataFrame:
    """A row per task, method, seed, split and label; questions have none."""
    tables = [
        per_class(truth, said).select(
            *(pl.lit(part, dtype=DOWNSTREAM_PER_CLASS_SCHEMA[name]).alias(name)
              for name, part in zip(_RUN, run, strict=True)),
            pl.all(),
        )
        for run, kind, truth, said in _runs(examples, predictions)
        if kind != "question_answering"
    ]  # fmt: skip
    return pl.concat(tables) if tables else pl.DataFrame(schema=DOWNSTREAM_PER_CLASS_SCHEMA)


def summary(scores: pl.DataFrame) -> pl.DataFrame:
    """A row per task, method, split and metric: `mean`, `deviation` (of a sample) and `runs` over the seeds.

    The deviation of a single run is null. Tasks and methods stay in the order of their first row.
    """
    return scores.group_by(["task", "method", "split", "metric"], maintain_order=True).agg(
        mean=pl.col("value").mean(),
        deviation=pl.when(pl.len() > 1).then(pl.col("value").std(ddof=1)),
        runs=pl.len().cast(pl.Int64),
    )


def metrics(examples: pl.DataFrame, scores: pl.DataFrame) -> dict[str, Any]:
    """The figures by task, method and split, as JSON: each metric's mean, its deviation, and the runs.

    `tasks.<task>` also has how many examples there are, and which metric the task goes by.
    """
    tasks: dict[str, Any] = {}
    for (task, kind), rows in examples.group_by(["task", "kind"], maintain_order=True):
        counts = dict(rows["split"].value_counts().iter_rows())
        tasks[str(task)] = {
            "main_metric": MAIN_METRIC[kind],
            "examples": {split: int(counts[split]) for split in rows["split"].unique(maintain_order=True)},
            "methods": {},
        }
    for row in summary(scores).iter_rows(named=True):
        method = tasks[row["task"]]["methods"].setdefault(row["method"], {"runs": row["runs"]})
        figures = method.setdefault(row["split"], {})
        figures[row["metric"]] = row["mean"]
        if row["deviation"] is not None and math.isfinite(row["deviation"]):
            figures[f"{row['metric']}_deviation"] = row["deviation"]
    return {"num_tasks": len(tasks), "tasks": tasks}


def _runs(examples: pl.DataFrame, predictions: pl.DataFrame) -> Any:
    """Each run on each split: its key, the task's kind, the truth and what was said, example by example."""
    truth = {
        (task, split): (kind, [tuple(labels) for labels in rows.sort("example")["labels"].to_list()])
        for (task, split, kind), rows in examples.filter(pl.col("split").is_in(SCORED_SPLITS)).group_by(
            ["task", "split", "kind"], maintain_order=True
        )
    }
    for run, rows in predictions.group_by(_RUN, maintain_order=True):
        kind, labels = truth[run[0], run[3]]
        said = [tuple(one) for one in rows.sort("example")["prediction"].to_list()]
        yield run, kind, labels, said
