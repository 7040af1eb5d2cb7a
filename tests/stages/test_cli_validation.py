"""`kedro validation run` on the data of a project."""

from typing import Any

import pytest

from prolepsis.cli_validation import validation


@pytest.fixture
def checked(mini: Any) -> Any:
    """The project with a suite for `numbers`, and one for the models by their pattern."""
    for catalog, entry, suite in (
        ("ingest", 'numbers.json"', "numbers"),
        ("train", "{variant}.json", "model"),
    ):
        lines = f', "on": save, options: {{suite: {suite}, results_path: data/results.json}}}}'
        validator = f"validator: {{class: prolepsis.validation.SuiteValidator{lines}"
        separator = ", " if catalog == "ingest" else "\n  "
        mini.replace(f"conf/base/catalog/{catalog}.yml", entry, f"{entry}{separator}{validator}", count=1)
    limits = "kwargs: {column: value, min_value: 1}"
    suite = f"expectations: [{{type: expect_column_values_to_be_between, {limits}}}]\n"
    mini.write("conf/base/expectations/numbers.yml", suite)
    mini.write("conf/base/expectations/model.yml", suite)
    return mini


def test_data_is_told_as_it_is_and_nothing_is_written(checked: Any) -> None:
    checked.write("conf/base/catalog/demo.yml", "{}")  # what is only in memory is not told
    checked.write("data/03_primary/numbers.json", "[1, 2, 3]")
    checked.write("data/06_models/mean.json", '{"value": 0.5}')
    code, output = checked.call(validation, "run")
    assert code == 1
    assert output.splitlines()[:2] == ["mean.metrics: no data yet", "mean.model: failed"]
    assert "    Validation failed for dataset 'mean.model' on api" in output
    assert "value: expect_column_values_to_be_between(min_value=1) — 1 case (e.g. 0.5)" in output
    assert output.splitlines()[-3:] == [
        "numbers: passed",
        "total.metrics: no data yet",
        "total.model: no data yet",
    ]
    assert not (checked.path / "data/results.json").exists()


def test_single_datasets_can_be_asked_for(checked: Any) -> None:
    checked.write("data/03_primary/numbers.json", "[1, 2, 3]")
    assert checked.call(validation, "run", "numbers") == (0, "numbers: passed\n")
    assert checked.call(validation, "run", "demo_manifest") == (0, "")
    assert checked.call(validation, "run", "nombers") == (
        1,
        "nombers: unknown\n    The catalog has no such dataset.\n",
    )


def test_data_that_cannot_be_read_is_a_failure(checked: Any) -> None:
    checked.write("data/03_primary/numbers.json", "[1, ")
    code, output = checked.call(validation, "run", "numbers")
    assert code == 1
    assert output.startswith("numbers: cannot be loaded\n    Failed while loading data from dataset")
