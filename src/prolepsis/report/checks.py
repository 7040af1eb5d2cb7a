"""The chapter on the data's contracts: what was expected of each dataset and what was found."""

from collections.abc import Mapping, Sequence
from typing import Any

from prolepsis.report import formatting as f
from prolepsis.report.blocks import Block, Cell, Details, Section, Table, Text, Tile

CHAPTER = "Contracts"


def describe_checks(results: Sequence[Mapping[str, Any]]) -> Section:
    """A row per dataset, every expectation folded away.

    Args:
        results: what `prolepsis.validation` wrote, one mapping per dataset: dataset, suite, success,
            checked_rows, total_rows, when, and results with expectation, column, success, unexpected_count
            and examples.
    """
    results = sorted(results, key=lambda result: (result["success"], result["dataset"]))
    if not results:
        return Section(CHAPTER, "checks", "Expectations", "No dataset was checked in this run.", [])
    checks = [check for result in results for check in result["results"]]
    passed = sum(check["success"] for check in checks)
    blocks: list[Block] = [_datasets_table(results)]
    failed = [_failed_table(result) for result in results if not result["success"]]
    if failed:
        blocks = [Text("These expectations were not met:"), *failed, *blocks]
    blocks.append(Details("Every expectation", [_expectations_table(result) for result in results]))
    datasets = sum(result["success"] for result in results)
    return Section(
        CHAPTER,
        "checks",
        "Expectations",
        "Every dataset that goes from one stage to the next is held against its suite of expectations.",
        blocks,
        (
            Tile(
                "expectations met",
                f"{f.number(passed)} of {f.number(len(checks))}",
                f"{datasets} of {len(results)} datasets pass",
            ),
        ),
    )


def _datasets_table(results: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            Cell(result["dataset"]),
            Cell("passed" if result["success"] else "failed", strong=not result["success"]),
            Cell(f"{sum(check['success'] for check in result['results'])} of {len(result['results'])}"),
            Cell(_rows(result)),
            Cell(str(result["when"])),
        )
        for result in results
    ]
    return Table(
        ("dataset", "", "expectations met", "rows", "when"), rows, frozenset({"expectations met", "rows"})
    )


def _rows(result: Mapping[str, Any]) -> str:
    checked, total = result["checked_rows"], result["total_rows"]
    return f.number(total) if checked == total else f"{f.number(checked)} of {f.number(total)}"


def _failed_table(result: Mapping[str, Any]) -> Table:
    rows = [
        (
            Cell(str(check["column"] or "")),
            Cell(_expectation(check)),
            Cell(f.value(check["unexpected_count"])),
            Cell(f.value(check["examples"])),
        )
        for check in result["results"]
        if not check["success"]
    ]
    return Table(("column", "expectation", "rows", "examples"), rows, frozenset({"rows"}), result["dataset"])


def _expectations_table(result: Mapping[str, Any]) -> Table:
    rows = [
        (
            Cell(str(check["column"] or "")),
            Cell(_expectation(check)),
            Cell("met" if check["success"] else "not met"),
        )
        for check in result["results"]
    ]
    return Table(("column", "expectation", ""), rows, caption=result["dataset"])


def _expectation(check: Mapping[str, Any]) -> str:
    name = str(check["expectation"]).removeprefix("expect_").removeprefix("column_values_")
    return f.words(name.removeprefix("to_"))
