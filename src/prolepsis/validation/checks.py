"""A suite held against rows: dtypes by polars, expectations by Great Expectations."""

import difflib
import logging
import math
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import polars as pl

from prolepsis.errors import ProlepsisError
from prolepsis.validation.rows import Rows, has_column
from prolepsis.validation.suites import Expectation, Suite

_EXAMPLES = 5
_EXAMPLE_CHARACTERS = 200
_lock = threading.Lock()


@dataclass(frozen=True)
class Result:
    """What came of one expectation.

    `unexpected_count` is the number of rows that break it (1 where it is about the whole), `examples` a few
    of their values, or what was found instead.
    """

    expectation: str
    column: str | None
    success: bool
    unexpected_count: int = 0
    examples: list[Any] = field(default_factory=list)


def check(suite: Suite, rows: Rows) -> list[Result]:
    """Every dtype and every expectation of a suite, in its order.

    Raises:
        ProlepsisError: the suite asks for what Great Expectations does not know or cannot compute.
    """
    results = [_dtype(name, dtype, rows.schema) for name, dtype in suite.columns.items()]
    evaluated = _evaluate(suite.expectations, rows)
    for position, expectation in enumerate(suite.expectations):
        missing = [name for name in expectation.columns if not has_column(rows.schema, name)]
        if missing:
            results.append(Result(expectation.label, missing[0], False, 1, ["there is no such column"]))
        else:
            results.append(evaluated[position])
    return results


def _dtype(name: str, wanted: str, schema: Mapping[str, pl.DataType]) -> Result:
    found = str(schema[name]) if name in schema else "there is no such column"
    right = found == wanted
    return Result(f"dtype is {wanted}", name, right, 0 if right else 1, [] if right else [found])


def _evaluate(expectations: list[Expectation], rows: Rows) -> dict[int, Result]:
    """The results of expectations by their position; those whose columns are missing are not among them."""
    of_values: dict[int, Expectation] = {}
    of_counts: dict[int, Expectation] = {}
    for position, expectation in enumerate(expectations):
        if expectation.counts_rows:
            of_counts[position] = expectation
        elif all(has_column(rows.schema, name) for name in expectation.columns):
            of_values[position] = expectation
    results = _run(of_values, rows.frame) if of_values else {}
    if of_counts:
        # The number of all rows as a value, since the frame may be a sample.
        count = pl.DataFrame({"rows": [rows.total]})
        results |= _run({place: _about_count(one) for place, one in of_counts.items()}, count, of_counts)
    return results


def _about_count(expectation: Expectation) -> Expectation:
    limits = dict(expectation.kwargs)
    if "value" in limits:
        limits["min_value"] = limits["max_value"] = limits.pop("value")
    return Expectation(type="expect_column_values_to_be_between", kwargs={"column": "rows", **limits})


def _run(
    expectations: Mapping[int, Expectation],
    frame: pl.DataFrame,
    told_as: Mapping[int, Expectation] | None = None,
) -> dict[int, Result]:
    """Asks Great Expectations; `told_as` are the expectations that results are reported under."""
    with _lock:  # its registry and contexts are shared by all threads
        gx, context = _engine()
        known = [_build(expectation, position) for position, expectation in expectations.items()]
        source = context.data_sources.add_or_update_pandas(name="frames")
        definition = source.add_dataframe_asset("frame").add_batch_definition_whole_dataframe("whole")
        batch = definition.get_batch({"dataframe": frame.to_pandas(use_pyarrow_extension_array=True)})
        outcome = batch.validate(gx.ExpectationSuite(name="suite", expectations=known))
    results = {}
    for one in outcome.results:
        position = one.expectation_config.meta["position"]
        results[position] = _result((told_as or expectations)[position], one)
    return results


@cache
def _engine() -> tuple[Any, Any]:
    """Great Expectations and a context that leaves nothing behind: no files, no telemetry, no bars."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return gx, context


def _build(expectation: Expectation, position: int) -> Any:
    from great_expectations.expectations import registry

    if expectation.type.startswith("expect_table_column"):
        raise ProlepsisError(
            f"{expectation.type} is not for this place: only the columns that a suite names are looked at.",
            remedy="List the columns under `columns:`.",
        )
    known = registry.list_registered_expectation_implementations()
    if expectation.type not in known:
        near = difflib.get_close_matches(expectation.type, known, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise ProlepsisError(
            f"There is no expectation {expectation.type!r}.",
            remedy=f"{hint}https://greatexpectations.io/expectations lists them.",
        )
    build = registry.get_expectation_impl(expectation.type)
    try:
        return build(**expectation.kwargs, meta={"position": position})
    except ValueError as error:
        reasons = " ".join(line.strip() for line in str(error).splitlines()[1:])
        raise ProlepsisError(f"The arguments of {expectation.type} are wrong: {reasons}") from error


def _result(expectation: Expectation, outcome: Any) -> Result:
    problem = _exception(outcome.exception_info)
    if problem is not None:
        raise ProlepsisError(f"{expectation.label} cannot be computed: {problem}")
    found = outcome.result
    count = int(found.get("unexpected_count", 0 if outcome.success else 1))
    examples = found.get("partial_unexpected_list", [found.get("observed_value")])
    return Result(
        expectation=expectation.label,
        column=", ".join(expectation.columns) or None,
        success=bool(outcome.success),
        unexpected_count=count,
        examples=[] if outcome.success else [_plain(value) for value in examples[:_EXAMPLES]],
    )


def _exception(information: Any) -> str | None:
    """The message of an exception inside Great Expectations, which it tells flat or by metric."""
    found = information or {}
    for one in [found, *found.values()]:
        if isinstance(one, dict) and one.get("raised_exception"):
            return str(one.get("exception_message"))
    return None


def _plain(value: Any) -> Any:
    """A value as JSON can hold it, and short."""
    if hasattr(value, "item"):
        value = value.item()  # a numpy scalar
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    text = "null" if str(value) == "<NA>" else str(value)
    return text if len(text) <= _EXAMPLE_CHARACTERS else f"{text[: _EXAMPLE_CHARACTERS - 1]}…"
