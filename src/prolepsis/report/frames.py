"""The chapter on frames: videos, features, detectors, anticipation."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from prolepsis.report import curves as training
from prolepsis.report import formatting as f
from prolepsis.report.blocks import Bar, BarChart, Block, Cell, Details, Grid, Section, Table, Text, Tile
from prolepsis.report.charts import Curve, line_chart
from prolepsis.variants import BASELINE

CHAPTER = "Frames"

_SPLITS = ("train", "val", "test")
_MAP = "mean_average_precision"
_PERSISTENCE = "persistence_mean_average_precision"
_GOES_ON = "what is now goes on"
_BASELINE_AHEAD = "baseline_mean_average_precision"


_TEMPORAL = {
    "segment_map": (
        "temporal IoU",
        "segment mAP",
        "Segments begin and end where a class's probability crosses its thresholds. One is right if it "
        "shares this much with an action of its class.",
    ),
    "start_map": (
        "seconds",
        "mAP of starts",
        "A start is said where the most probable class changes, and right if an action begins within so many "
        "seconds.",
    ),
    "segmental_f1": (
        "IoU",
        "segmental F1",
        "Runs of the most probable class, each counted once, against the actions.",
    ),
    "stage_map": (
        "part of the action that has passed",
        "mean average precision",
        "Steps of one tenth of each action against all steps without it: does the belief come early?",
    ),
}


def describe_videos(
    video_manifest: pl.DataFrame,
    set_aside_videos: pl.DataFrame,
    action_instances: pl.DataFrame,
    class_names: list[str],
    video_metrics: dict[str, Any],
) -> Section:
    """How many videos of what kind, what was set aside, and how often each action occurs."""
    blocks: list[Block] = [
        _splits_table(video_manifest, action_instances),
        _classes_table(action_instances, class_names),
    ]
    if len(set_aside_videos):
        blocks.append(f.table(set_aside_videos, "Videos that could not be used were set aside:"))
    else:
        blocks.append(Text("Every video could be used."))
    if lost := video_metrics["actions_without_step"]:
        blocks.append(
            Text(
                f"{f.number(lost)} actions are too short to label a step: they are neither learnt nor scored."
            )
        )
    odd = video_manifest.select("video", "problems").explode("problems").drop_nulls("problems")
    if len(odd):
        blocks.append(f.table(odd, "Videos that are odd, but were used:"))
    columns = ["video", "split", "container", "codec", "width", "height", "rotation", "fps", "nominal_fps"]
    columns += ["duration", "num_frames", "num_steps"]
    blocks.append(Details("Every video", [f.table(video_manifest, columns=columns)]))
    blocks.append(Details("All figures of the videos", [f.figures(video_metrics)]))
    length = f.duration(float(video_manifest["duration"].sum()))
    note = f"{length}, {f.number(len(action_instances))} actions of {len(class_names) - 1} classes"
    return Section(
        CHAPTER,
        "videos",
        "The videos",
        "Untrimmed videos with actions from a start to an end; all other time is background.",
        blocks,
        (Tile("videos", f.number(len(video_manifest)), note),),
    )


def describe_features(feature_metrics: dict[str, Any]) -> Section:
    """What was encoded by what, and how fast."""
    note = str(feature_metrics["encoder"])
    if feature_metrics["frames_per_second"] is not None:
        note = f"{f.number(feature_metrics['frames_per_second'])} frames/s, {note}"
    tile = Tile("frames encoded", f.number(feature_metrics["steps"]), note)
    return Section(
        CHAPTER,
        "features",
        "Frame features",
        "The frame at each step's centre as one vector: all that the detectors see of a video.",
        [f.figures(feature_metrics)],
        (tile,),
    )


def describe_detectors(
    detection_metrics: dict[str, Any],
    per_class_table: pl.DataFrame,
    training_curves: dict[str, Any],
    training_metrics: dict[str, Any],
) -> Section:
    """All detectors beside the baseline that sees one frame; classes apart; how they were trained.

    Args:
        detection_metrics: figures by detector and split.
        training_curves, training_metrics: by detector.
    """
    split = shown_split(detection_metrics)
    figures = {name: splits[split] for name, splits in detection_metrics.items()}
    return Section(
        CHAPTER,
        "detectors",
        "Detectors",
        "Each step is judged by what was seen until then. The epoch was chosen on the validation videos, "
        "never on the test videos.",
        [
            _gains_chart(figures, split),
            _detectors_table(figures, split),
            _per_class(per_class_table.filter(pl.col("split") == split)),
            Details(
                "How they were trained",
                [Grid(_training_charts(training_curves)), f.comparison(training_metrics, "figure")],
            ),
            Details("All figures of all detectors", [f.comparison(detection_metrics, "figure")]),
        ],
        _detector_tiles(figures, split),
    )


def describe_anticipation(anticipation_table: pl.DataFrame, detection_metrics: dict[str, Any]) -> Section:
    """How well the steps ahead were foreseen, beside the guess that what is now goes on: the detector's own
    view of now, and that of the baseline.

    The metrics only tell the order of the detectors, so that each has one colour on the page.
    """
    splits = anticipation_table["split"].unique().to_list()
    split = "test" if "test" in splits else "val"
    ahead = anticipation_table.filter(pl.col("split") == split)
    curves = []
    for colour, name in enumerate(detection_metrics):
        part, label = ahead.filter(pl.col("detector") == name), f.words(name)
        if name == BASELINE and len(ahead):
            floor = ahead.unique("seconds").sort("seconds")  # the same whichever detector it is listed for
            curves.append(Curve(f"{label}, {_GOES_ON}", _known(floor, _BASELINE_AHEAD), colour, dashed=True))
        if part.is_empty():
            continue
        curves += [
            Curve(label, _known(part, _MAP), colour),
            Curve(f"{label}, {_GOES_ON}", _known(part, _PERSISTENCE), colour, dashed=True),
        ]
    blocks: list[Block] = [Text("No detector looks ahead.")]
    if curves:
        chart = line_chart(
            curves,
            x_label="seconds ahead",
            y_label=f"mean average precision, {_named(split)}",
            caption="What was believed at each step about those after it. A dashed line takes the belief "
            "about the present for the forecast: a detector above its own anticipates, and one above that of "
            f"{f.words(BASELINE)} foresees more than one frame tells.",
            from_zero=True,
        )
        blocks = [chart, Details("Every step ahead", [f.table(anticipation_table)])]
    return Section(CHAPTER, "anticipation", "Anticipation", "What has not happened yet, foreseen.", blocks)


def describe_temporal(temporal_table: pl.DataFrame, detection_metrics: dict[str, Any]) -> Section:
    """What the beliefs make of whole actions: segments, starts, and how early in an action they are right.

    The metrics only tell the order of the detectors, so that each has one colour on the page.
    """
    split = shown_split(detection_metrics)
    shown = temporal_table.filter(pl.col("split") == split)
    charts: list[Block] = []
    for measure, (x_label, y_label, caption) in _TEMPORAL.items():
        part = shown.filter(pl.col("measure") == measure).sort("at")
        curves = [
            Curve(f.words(name), list(zip(rows["at"], rows["value"], strict=True)), colour)
            for colour, name in enumerate(detection_metrics)
            if len(rows := part.filter(pl.col("detector") == name))
        ]
        if curves:
            charts.append(
                line_chart(
                    curves,
                    x_label=x_label,
                    y_label=f"{y_label}, {_named(split)}",
                    caption=caption,
                    from_zero=True,
                )
            )
    return Section(
        CHAPTER,
        "segments",
        "Actions as a whole",
        "A belief about each step says more if it does not flicker, and if it comes early.",
        [Grid(charts), Details("Every figure", [f.table(temporal_table)])],
    )


def shown_split(detection_metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """`test`, or `val` where there are no test videos."""
    return "test" if all("test" in splits for splits in detection_metrics.values()) else "val"


def _named(split: str) -> str:
    return {"val": "validation videos"}.get(split, f"{split} videos")


def _known(part: pl.DataFrame, figure: str) -> list[tuple[float, float]]:
    return list(part.select("seconds", figure).drop_nulls().iter_rows())


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
        (label, split): count
        for label, split, count in instances.group_by("label", "split").len().iter_rows()
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


def _gains_chart(figures: Mapping[str, Mapping[str, Any]], split: str) -> BarChart:
    baseline = figures.get(BASELINE, {}).get(_MAP)
    bars = []
    for colour, (name, values) in enumerate(figures.items()):
        text = f.percent(values[_MAP])
        if baseline is not None and name != BASELINE:
            text += f"  ({f.signed_points(values[_MAP] - baseline)})"
        bars.append(Bar(f.words(name), values[_MAP], text, colour))
    return BarChart(
        bars,
        f"Per-frame mean average precision, {_named(split)}. In brackets: the gain, in points, over the "
        "linear classifier that sees the current frame alone.",
    )


def _detectors_table(figures: Mapping[str, Mapping[str, Any]], split: str) -> Table:
    keys = list(dict.fromkeys(key for values in figures.values() for key in values))
    rows = []
    for key in keys:
        row = [values.get(key) for values in figures.values()]
        best = f.best(row) if _is_share(key) else None
        cells = (Cell(_figure(key, item), strong=best is not None and item == best) for item in row)
        rows.append((Cell(f.words(key)), *cells))
    names = [f.words(name) for name in figures]
    return Table((_named(split), *names), rows, frozenset(names))


def _figure(key: str, figure: float | None) -> str:
    if figure is None:
        return ""
    if "gain" in key:
        return f.signed_points(figure)
    return f.percent(figure) if _is_share(key) else f.value(figure)


def _is_share(key: str) -> bool:
    return any(word in key for word in ("precision", "accuracy", "score", "share")) and "gain" not in key


def _per_class(table: pl.DataFrame) -> Table:
    """A row per class, a column per detector; the best of a class is strong."""
    detectors = table["detector"].unique(maintain_order=True).to_list()
    rows = []
    for (name,), part in table.sort("class_index", maintain_order=True).group_by(
        ["class_name"], maintain_order=True
    ):
        found = dict(part.select("detector", "average_precision").iter_rows())
        best = f.best(found.values())
        cells = (
            Cell(
                f.percent(found[one]), share=found[one], strong=found[one] is not None and found[one] == best
            )
            for one in detectors
        )
        rows.append((Cell(f.words(str(name))), Cell(f.number(part["num_positives"][0])), *cells))
    names = [f.words(detector) for detector in detectors]
    return Table(
        ("class", "steps", *names), rows, frozenset({"steps", *names}), "Average precision of each class:"
    )


def _training_charts(curves: Mapping[str, training.Rows]) -> list[Block]:
    """The validation figure of all detectors together, and their training losses."""
    labels = {_MAP: "mean average precision, validation videos", "train_loss": "training loss"}
    return [
        line_chart(
            [
                Curve(f.words(name), training.points(rows, figure, "epoch"), colour)
                for colour, (name, rows) in enumerate(curves.items())
            ],
            x_label="epoch",
            y_label=label,
            from_zero=True,
        )
        for figure, label in labels.items()
    ]


def _detector_tiles(figures: Mapping[str, Mapping[str, Any]], split: str) -> list[Tile]:
    precisions = {name: values[_MAP] for name, values in figures.items()}
    winner = max(precisions, key=lambda name: precisions[name])
    tiles = [Tile(f"best mAP, {_named(split)}", f.percent(precisions[winner]), f.words(winner))]
    if BASELINE in precisions:
        gains = [value - precisions[BASELINE] for name, value in precisions.items() if name != BASELINE]
        above = sum(gain > 0 for gain in gains)
        note = f"the best by {f.signed_points(max(gains, default=0.0))} points of mAP"
        tiles.append(Tile("detectors above one frame alone", f"{above} of {len(gains)}", note))
    return tiles
