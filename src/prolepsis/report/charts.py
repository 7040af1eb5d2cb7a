"""Curves as stretched SVG paths, and axes whose labels are HTML."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prolepsis.report.blocks import Line, LineChart, Tick
from prolepsis.report.formatting import number

SIDE = 1000  # of the square in which paths are drawn
_MAXIMUM_POINTS = 600

Points = Sequence[tuple[float, float]]


def line_chart(
    curves: Mapping[str, Points],
    *,
    x_label: str,
    y_label: str,
    references: Mapping[str, float] | None = None,
    caption: str = "",
    from_zero: bool = False,
) -> LineChart:
    """Curves by name, each with a colour of its own; `references` are dashed horizontal lines.

    Points that are not finite are left out. A chart without a point has no lines.
    """
    references = references or {}
    finite = {name: [(x, y) for x, y in points if math.isfinite(y)] for name, points in curves.items()}
    xs = [x for points in finite.values() for x, _ in points]
    ys = [y for points in finite.values() for _, y in points]
    if not ys:
        return LineChart([], [], [], x_label, y_label, caption)
    ys += references.values()
    bottom, top = _range(0.0 if from_zero else min(ys), max(ys))
    left, right = min(xs), max(xs)
    width = (right - left) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        return SIDE * (x - left) / width, SIDE * (top - y) / (top - bottom)

    lines = [
        Line(name, path([place(x, y) for x, y in points]), colour)
        for colour, (name, points) in enumerate(finite.items())
        if points
    ]
    for i, (name, y) in enumerate(references.items()):
        ends = [place(left, y), place(right, y)]
        lines.append(Line(f"{name} ({number(y)})", path(ends), len(curves) + i, dashed=True))
    return LineChart(
        lines,
        [Tick(number(x), 100 * (x - left) / width) for x in ticks(left, right, 5)],
        [Tick(number(y), 100 * (y - bottom) / (top - bottom)) for y in ticks(bottom, top, 4)],
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
    raw = (high - low) / count
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * (1 - 1e-9))
    digits = max(0, -math.floor(math.log10(step)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, digits) for i in range(first, last + 1)]


def path(points: Sequence[tuple[float, float]]) -> str:
    """An SVG path through points."""
    return "M" + " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def area(values: ArrayLike) -> str:
    """An SVG path that fills what is below evenly spaced values from 0 to 1: value k spans step k's width.

    Long curves are thinned to the largest value of each stretch, so that no peak is lost.
    """
    heights = thin(np.asarray(values, dtype=np.float64))
    width = SIDE / len(heights)
    points = [(0.0, float(SIDE))]
    for k, height in enumerate(heights):
        y = SIDE * (1 - min(1.0, max(0.0, float(height))))
        points += [(k * width, y), ((k + 1) * width, y)]
    return path([*points, (float(SIDE), float(SIDE))]) + "Z"


def thin(values: NDArray[np.float64], limit: int = _MAXIMUM_POINTS) -> NDArray[np.float64]:
    """At most `limit` values: the maximum of each of as many equal stretches."""
    if len(values) <= limit:
        return values
    starts = np.linspace(0, len(values), limit, endpoint=False).astype(int)
    return np.asarray(np.maximum.reduceat(values, starts))


def _range(low: float, high: float) -> tuple[float, float]:
    """The next round numbers outwards."""
    if high <= low:
        return low - 0.5, high + 0.5
    marks = ticks(low, high, 4)
    step = marks[1] - marks[0] if len(marks) > 1 else high - low
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
