"""Axes have round numbers, curves lie where they should, and thinning loses no peak."""

import doctest
import math
import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prolepsis.report import charts, formatting
from prolepsis.report.charts import Curve, area, line_chart, thin, ticks


@pytest.mark.parametrize("module", [charts, formatting])
def test_the_examples_in_the_docstrings_hold(module: object) -> None:
    results = doctest.testmod(module)  # type: ignore[arg-type]  # a module
    assert results.attempted > 0
    assert results.failed == 0


@example(low=1.0, width=400001.0, count=2)  # no multiple of 500,000 lies within
@given(low=st.floats(-1e4, 1e4), width=st.floats(1e-2, 1e6), count=st.integers(2, 10))
def test_ticks_are_multiples_of_a_round_step_within_the_range(low: float, width: float, count: int) -> None:
    found = ticks(low, low + width, count)
    assert 1 <= len(found) <= 2 * count + 2
    assert low - 1e-6 * width <= found[0] <= found[-1] <= low + width * (1 + 1e-6)
    steps = np.diff(found)
    if len(steps):
        assert np.allclose(steps, steps[0], rtol=1e-4)
        assert f"{steps[0]:.2e}"[:4] in ("1.00", "2.00", "5.00")
        assert np.allclose(np.remainder(np.array(found) / steps[0] + 0.5, 1), 0.5, atol=1e-2)


def numbers(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", path)]


def test_a_curve_fills_its_axes() -> None:
    chart = line_chart([Curve("loss", [(10, 0.0), (20, 4.0), (30, 2.0)], colour=3)], x_label="x", y_label="y")
    assert numbers(chart.lines[0].path) == [(0, 1000), (500, 0), (1000, 500)]
    assert [(tick.text, tick.at) for tick in chart.y_ticks] == [
        ("0", 0),
        ("1", 25),
        ("2", 50),
        ("3", 75),
        ("4", 100),
    ]
    assert chart.lines[0].colour == 3


def test_curves_share_their_axes_and_may_begin_at_zero() -> None:
    curves = [Curve("a", [(0, 1.0), (1, 1.0)]), Curve("b", [(0, 2.0), (1, 2.0)], dashed=True)]
    chart = line_chart(curves, x_label="x", y_label="y", from_zero=True)
    assert [numbers(line.path)[0][1] for line in chart.lines] == [500, 0]
    assert [line.dashed for line in chart.lines] == [False, True]


def test_points_that_are_no_numbers_are_left_out() -> None:
    curves = [Curve("a", [(0, math.nan), (1, 1.0), (2, 2.0)]), Curve("b", [(0, math.inf)])]
    chart = line_chart(curves, x_label="x", y_label="y")
    assert [line.name for line in chart.lines] == ["a"]
    assert len(numbers(chart.lines[0].path)) == 2


def test_a_single_point_and_no_point_are_drawn_without_complaint() -> None:
    single = line_chart([Curve("a", [(3, 0.5)])], x_label="x", y_label="y")
    assert numbers(single.lines[0].path) == [(0, 500)]
    assert line_chart([], x_label="x", y_label="y").lines == []


def heights(path: str) -> list[tuple[int, int]]:
    """(top, end) of each stretch of an area."""
    return [(int(top), int(end)) for top, end in re.findall(r"V(\d+)H(\d+)", path)]


def test_an_area_has_a_step_per_value_and_is_closed() -> None:
    path = area([0.0, 1.0, 0.5, 0.5])
    assert heights(path) == [(1000, 250), (0, 500), (500, 1000)]
    assert path.startswith("M0,1000")
    assert path.endswith("V1000Z")


def test_values_beyond_a_probability_are_cut_off() -> None:
    assert heights(area([-1.0, 2.0])) == [(1000, 500), (0, 1000)]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=3000))
def test_thinning_keeps_the_peak_and_the_order(values: list[float]) -> None:
    array = np.array(values)
    thinned = thin(array, limit=50)
    assert len(thinned) <= max(50, 0) or len(array) <= 50
    assert thinned.max() == array.max()
    first = int(np.argmax(array)) * len(thinned) / len(array)
    assert abs(int(np.argmax(thinned)) - first) <= 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (0, "0"),
        (0.0, "0"),
        (1234567, "1,234,567"),
        (-0.5, "-0.500"),
        (0.000123456, "0.000123"),
        (99.96, "100.0"),
        (True, "yes"),
        (["a", 1.5], "a, 1.50"),
    ],
)
def test_values_read_as_a_person_writes_them(value: object, text: str) -> None:
    assert formatting.value(value) == text
