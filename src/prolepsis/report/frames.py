"""The chapter on frames: videos, features, detectors."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from prolepsis.report import curves as training
from prolepsis.report import formatting as f
from prolepsis.report.blocks import Bar, BarChart, Block, Cell, Details, Section, Table, Text, Tile
from prolepsis.report.charts import line_chart

BASELINE = "frame_only"
_SPLITS = ("train", "val", "test")
_MAP, _MCAP = "mean_average_precision", "mean_calibrated_average_precision"


def videos_section(
    manifest: pl.DataFrame,
    set_aside: pl.DataFrame,
    instances: pl.DataFrame,
    class_names: Sequence[str],
    metrics: Mapping[str, Any],
) -> Section:
    """How many videos of what kind, what was set aside, and how often each action occurs."""
    blocks: list[Block] = [_splits_table(manifest, instances), _classes_table(instances, class_names)]
    if len(set_aside):
        blocks.append(f.table(set_aside, "Videos that could not be used were set aside:"))
    else:
        blocks.append(Text("Every video could be used."))
    columns = ["video", "split", "codec", "width", "height", "fps", "duration", "num_frames", "num_steps"]
    blocks.append(Details("Every video", [f.table(manifest, columns=columns)]))
    blocks.append(Details("All figures of the videos", [f.figures(metrics)]))
    seconds = float(manifest["duration"].sum())
    note = f"{f.duration(seconds)}, {f.number(len(instances))} actions of {len(class_names) - 1} classes"
    return Section(
        "videos",
        "The videos",
        "Untrimmed videos with actions from a start to an end; all other time is background.",
        blocks,
        (Tile("videos", f.number(len(manifest)), note),),
    )


def features_section(metrics: Mapping[str, Any]) -> Section:
    """What was encoded by what, and how fast."""
    return Section(
        "features",
        "Frame features",
        "Each step of each video as one vector; what the detectors see.",
        [f.figures(metrics)],
        (
            Tile(
                "steps encoded",
                f.number(metrics["steps"]),
                f"{f.number(metrics['frames_per_second'])} frames/s, {metrics['encoder']}",
            ),
        ),
    )


def detectors_section(
    metrics: Mapping[str, Any], per_class: pl.DataFrame, curves: Mapping[str, training.Curves]
) -> Section:
    """All detectors on the test videos beside the baseline that sees one frame; classes apart; training."""
    test = {name: splits["test"] for name, splits in metrics.items() if "test" in splits}
    blocks: list[Block] = [
        BarChart(
            [
                Bar(
                    f.words(name),
                    figures[_MAP] or 0.0,
                    _with_gain(figures.get(_MAP), _baseline(test, _MAP), name),
                    colour,
                )
                for colour, (name, figures) in enumerate(test.items())
            ],
            "Per-frame mean average precision on the test videos; in brackets the gain, in points, over the "
            "classifier that sees one frame alone.",
        ),
        _detectors_table(test),
        f.table(per_class, "Classes apart:"),
        *_training_charts(curves),
        Details("All figures of all detectors", [f.comparison(metrics, "figure")]),
    ]
    return Section(
        "detectors",
        "Detectors",
        "Each step is judged by what was seen until then. The checkpoint was chosen on the validation "
        "videos; the test videos were scored once.",
        blocks,
        _detector_tiles(test),
    )


def anticipation_section(table: pl.DataFrame, rate: float) -> Section:
    """How well the steps ahead were foreseen."""
    blocks: list[Block] = []
    ahead = table.filter(pl.col("split") == "test") if "split" in table.columns else table
    if len(ahead):
        curves = {
            f.words(str(name)): [
                (step / rate, value)
                for step, value in part.select("step", _MAP).iter_rows()
                if value is not None
            ]
            for (name,), part in ahead.group_by("detector", maintain_order=True)
        }
        blocks.append(
            line_chart(
                curves,
                x_label="seconds ahead",
                y_label="mean average precision",
                caption="What the detectors believed at each step about those after it, on the test videos.",
                from_zero=True,
            )
        )
        blocks.append(Details("Every step ahead", [f.table(table)]))
    else:
        blocks.append(Text("No detector anticipates."))
    return Section("anticipation", "Anticipation", "What has not happened yet, foreseen.", blocks)


def _splits_table(manifest: pl.DataFrame, instances: pl.DataFrame) -> Table:
    rows = []
    for split in _SPLITS:
        videos = manifest.filter(pl.col("split") == split)
        actions = instances.filter(pl.col("split") == split)
        rows.append(
            (
                Cell(split),
                Cell(f.number(len(videos))),
                Cell(f.duration(float(videos["duration"].sum()))),
                Cell(f.number(int(videos["num_steps"].sum()))),
                Cell(f.number(len(actions))),
                Cell(f.duration(float((actions["end"] - actions["start"]).sum()))),
            )
        )
    columns = ("split", "videos", "length", "steps", "actions", "length of the actions")
    return Table(columns, rows, frozenset(columns[1:]))


def _classes_table(instances: pl.DataFrame, class_names: Sequence[str]) -> Table:
    counts = {
        (label, split): number
        for label, split, number in instances.group_by("label", "split").len().iter_rows()
    }
    totals = {name: sum(counts.get((name, split), 0) for split in _SPLITS) for name in class_names[1:]}
    largest = max(totals.values(), default=0) or 1
    lengths = dict(instances.group_by("label").agg((pl.col("end") - pl.col("start")).mean()).iter_rows())
    rows = [
        (
            Cell(f.words(name)),
            *(Cell(f.number(counts.get((name, split), 0))) for split in _SPLITS),
            Cell(f.number(totals[name]), share=totals[name] / largest),
            Cell(f.duration(lengths[name]) if name in lengths else "–"),
        )
        for name in class_names[1:]
    ]
    columns = ("class", *_SPLITS, "all", "mean length")
    return Table(columns, rows, frozenset(columns[1:]), "Actions of each class:")


def _detectors_table(test: Mapping[str, Mapping[str, Any]]) -> Table:
    figures = [key for key in (_MAP, _MCAP) if any(key in values for values in test.values())]
    figures += [
        key
        for key in dict.fromkeys(key for values in test.values() for key in f.flatten(values))
        if key not in figures
    ]
    rows = []
    for key in figures:
        values = {name: f.flatten(figures_of).get(key) for name, figures_of in test.items()}
        best = f.best(v for v in values.values() if isinstance(v, float)) if "precision" in key else None
        rows.append(
            (
                Cell(f.words(key)),
                *(Cell(_figure(key, v), strong=best is not None and v == best) for v in values.values()),
            )
        )
    names = [f.words(name) for name in test]
    return Table(("on the test videos", *names), rows, frozenset(names))


def _figure(key: str, figure: Any) -> str:
    is_share = isinstance(figure, float) and ("precision" in key or "accuracy" in key)
    return f.percent(figure) if is_share else f.value(figure)


def _training_charts(curves: Mapping[str, training.Curves]) -> list[Block]:
    """The validation figure of all detectors together, and their training losses."""
    charts: list[Block] = []
    for figure, label in (
        (_MAP, "mean average precision on the validation videos"),
        ("train_loss", "training loss"),
    ):
        lines = {
            f.words(name): [(row["epoch"], row[figure]) for row in rows if row.get(figure) is not None]
            for name, rows in curves.items()
            if any(row.get(figure) is not None for row in rows)
        }
        if lines:
            charts.append(line_chart(lines, x_label="epoch", y_label=label, from_zero=True))
    return [Details("Training curves", charts)] if charts else []


def _baseline(test: Mapping[str, Mapping[str, Any]], figure: str) -> float | None:
    return test[BASELINE].get(figure) if BASELINE in test else None


def _with_gain(figure: float | None, baseline: float | None, name: str) -> str:
    if figure is None or baseline is None or name == BASELINE:
        return f.percent(figure)
    return f"{f.percent(figure)}  ({f.signed_points(figure - baseline)})"


def _detector_tiles(test: Mapping[str, Mapping[str, Any]]) -> list[Tile]:
    figures = {name: values.get(_MAP) for name, values in test.items()}
    best = f.best(figures.values())
    if best is None:
        return []
    winner = next(name for name, figure in figures.items() if figure == best)
    baseline = figures.get(BASELINE)
    beating = [name for name, v in figures.items() if v is not None and baseline is not None and v > baseline]
    tiles = [Tile("best detector: mAP on test", f.percent(best), f.words(winner))]
    if baseline is not None:
        note = f"{f.signed_points(best - baseline)} points for the best of them"
        tiles.append(Tile("detectors above one frame alone", f"{len(beating)} of {len(figures) - 1}", note))
    return tiles
