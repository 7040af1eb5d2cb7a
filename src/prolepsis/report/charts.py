"""Curves as stretched SVG paths, and axes whose labels are HTML."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prolepsis.report.blocks import Line, LineChart, Tick

SIDE = 1000  # of the square in which paths are drawn
_MAXIMUM_POINTS = 400

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Curve:
    """Points (x, y) with x ascending; a `colour` is a number, the same for what belongs together."""

    name: str
    points: Points
    colour: int = 0
    dashed: bool = False


def line_chart(
    curves: Sequence[Curve],
    *,
    x_label: str,
    y_label: str,
    caption: str = "",
    from_zero: bool = False,
) -> LineChart:
    """Curves over common axes. Points that are not finite are left out; without points there are no lines."""
    curves = [replace(curve, points=[(x, y) for x, y in curve.points if isfinite(y)]) for curve in curves]
    curves = [curve for curve in curves if curve.points]
    if not curves:
        return LineChart([], [], [], x_label, y_label, caption)
    xs = [x for curve in curves for x, _ in curve.points]
    ys = [y for curve in curves for _, y in curve.points]
    left, width = min(xs), (max(xs) - min(xs)) or 1.0
    marks = _outward_ticks(0.0 if from_zero else min(ys), max(ys), 4)
    bottom, top = marks[0], marks[-1]

    def place(x: float, y: float) -> tuple[float, float]:
        return SIDE * (x - left) / width, SIDE * (top - y) / (top - bottom)

    return LineChart(
        [
            Line(curve.name, path([place(x, y) for x, y in curve.points]), curve.colour, curve.dashed)
            for curve in curves
        ],
        [Tick(f"{x:,.10g}", 100 * (x - left) / width) for x in ticks(left, left + width, 5)],
        [Tick(f"{y:,.10g}", 100 * (y - bottom) / (top - bottom)) for y in marks],
        x_label,
        y_label,
        caption,
    )


def ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers from `low` to `high`: multiples of 1, 2 or 5 times a power of ten.

    >>> ticks(0, 1, 5)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    if high <= low:
        return [low]
    # Two wide steps can miss a range that lies between multiples, four cannot.
    return _multiples(low, high, _round_step(low, high, count)) or _multiples(
        low, high, _round_step(low, high, 2 * count)
    )


def path(points: Sequence[tuple[float, float]]) -> str:
    """An SVG path through points."""
    return "M" + " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def area(values: ArrayLike) -> str:
    """An SVG path that fills what is below evenly spaced values from 0 to 1: value k spans step k's width.

    Heights are rounded to half a percent and stretches of equal height drawn at once, for the page's size;
    long curves are thinned to the largest value of each stretch, so that no peak is lost.
    """
    heights = thin(np.clip(np.asarray(values, dtype=np.float64), 0, 1))
    tops = SIDE - 5 * np.rint(heights * SIDE / 5).astype(int)
    starts = np.flatnonzero(np.diff(tops, prepend=-1))
    edges = np.rint(np.append(starts, len(tops)) * SIDE / len(tops)).astype(int)
    steps = "".join(f"V{top}H{end}" for top, end in zip(tops[starts], edges[1:], strict=True))
    return f"M0,{SIDE}{steps}V{SIDE}Z"


def thin(values: NDArray[np.float64], limit: int = _MAXIMUM_POINTS) -> NDArray[np.float64]:
    """At most `limit` values: the maximum of each of as many equal stretches."""
    if len(values) <= limit:
        return values
    starts = np.linspace(0, len(values), limit, endpoint=False).astype(int)
    return np.asarray(np.maximum.reduceat(values, starts))


def _round_step(low: float, high: float, count: int) -> float:
    """The smallest of 1, 2, 5 times a power of ten that divides the range into no more than `count` parts."""
    raw = (high - low) / count
    power: float = 10.0 ** math.floor(math.log10(raw))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * (1 - 1e-9))


def _multiples(low: float, high: float, step: float) -> list[float]:
    digits = max(0, -math.floor(math.log10(step)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, digits) for i in range(first, last + 1)]


def _outward_ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers of which the first is not above `low` and the last not below `high`."""
    if high <= low:
        return [low - 0.5, low, low + 0.5]
    step = _round_step(low, high, count)
    return _multiples(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, step)
