"""The validator in a real Kedro catalog, and called by itself."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from kedro.framework.project import settings
from kedro.io import DatasetError
from kedro.validation import DataValidationError

from prolepsis.errors import ProlepsisError
from prolepsis.validation import SuiteValidator, hooks, rows
from prolepsis.validation.hooks import Place


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that Kedro takes for a project, called from inside, with no context alive."""
    (tmp_path / "pyproject.toml").write_text("[tool.kedro]\n")
    (tmp_path / "deeper" / "still").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deeper" / "still")
    monkeypatch.setattr(hooks.ValidationHooks, "context", None)
    return tmp_path


def write_suite(project: Path, name: str = "things", **suite: Any) -> None:
    path = project / settings.CONF_SOURCE / "base" / "expectations" / f"{name}.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(suite, sort_keys=False))


def expect(kind: str, **kwargs: Any) -> dict[str, Any]:
    return {"type": f"expect_{kind}", "kwargs": kwargs}


def failures_of(data: Any) -> list[tuple[str | None, str | None, int, list[Any]]]:
    with pytest.raises(DataValidationError) as caught:
        SuiteValidator("things").validate(data)
    return [(one.column, one.check, one.failure_count, one.failure_examples) for one in caught.value.failures]


def in_a_run(dataset: str = "things", when: str = "save") -> None:
    getattr(hooks.ValidationHooks(), "before_dataset_saved" if when == "save" else "before_dataset_loaded")(
        dataset
    )


@pytest.fixture(autouse=True)
def no_run() -> Iterator[None]:
    yield
    hooks.ValidationHooks().after_dataset_saved()


FRAME = pl.DataFrame(
    {"id": ["a", "b", None, "a"], "size": [1, 2, 3, -4], "labels": [[1], [2, 3], [], [4]]},
    schema={"id": pl.String, "size": pl.UInt8, "labels": pl.List(pl.UInt8)} | {"size": pl.Int32},
)


def test_good_data_comes_back_as_it_was(project: Path) -> None:
    write_suite(
        project, columns={"size": "Int32"}, expectations=[expect("column_values_to_be_unique", column="size")]
    )
    assert SuiteValidator("things").validate(FRAME) is FRAME


def test_a_dtype_that_is_not_the_promised_one_is_told_with_what_was_found(project: Path) -> None:
    write_suite(project, columns={"id": "String", "size": "UInt32", "labels": "List(UInt8)", "age": "Date"})
    assert failures_of(FRAME) == [
        ("size", "dtype is UInt32", 1, ["Int32"]),
        ("age", "dtype is Date", 1, ["there is no such column"]),
    ]


def test_dtypes_alone_do_not_import_great_expectations(project: Path) -> None:
    import subprocess
    import sys

    write_suite(project, columns={"a": "Int64"})
    program = """if True:
        import sys
        import polars as pl
        from prolepsis.validation import SuiteValidator
        SuiteValidator("things").validate(pl.DataFrame({"a": [1]}))
        assert "great_expectations" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", program], check=True)


def test_each_broken_expectation_names_column_rows_and_examples(project: Path) -> None:
    write_suite(
        project,
        expectations=[
            expect("column_values_to_not_be_null", column="id"),
            expect("column_values_to_be_between", column="size", min_value=0),
            expect("column_values_to_be_unique", column="id"),
            expect("column_mean_to_be_between", column="size", min_value=10),
            expect("column_values_to_be_in_set", column="id", value_set=["a", "b"]),
        ],
    )
    assert failures_of(FRAME) == [
        ("id", "expect_column_values_to_not_be_null", 1, ["null"]),
        ("size", "expect_column_values_to_be_between(min_value=0)", 1, [-4]),
        ("id", "expect_column_values_to_be_unique", 2, ["a", "a"]),
        ("size", "expect_column_mean_to_be_between(min_value=10)", 1, [0.5]),
    ]


def test_list_columns_are_looked_at_by_their_lengths(project: Path) -> None:
    write_suite(
        project,
        expectations=[expect("column_values_to_be_between", column="labels.len", min_value=1, max_value=1)],
    )
    assert [(column, count, found) for column, _, count, found in failures_of(FRAME)] == [
        ("labels.len", 2, [2, 0])
    ]


def test_a_column_that_is_not_there_fails_its_expectation(project: Path) -> None:
    write_suite(project, expectations=[expect("column_values_to_not_be_null", column="ID")])
    assert failures_of(FRAME) == [
        ("ID", "expect_column_values_to_not_be_null", 1, ["there is no such column"])
    ]


def test_a_row_condition_may_name_other_columns(project: Path) -> None:
    condition = {"row_condition": "size > 0", "condition_parser": "pandas"}
    write_suite(
        project,
        expectations=[expect("column_values_to_be_in_set", column="id", value_set=["b"], **condition)],
    )
    assert [(column, count) for column, _, count, _ in failures_of(FRAME)] == [("id", 1)]


def test_an_empty_frame_keeps_its_promises(project: Path) -> None:
    write_suite(
        project,
        columns={"size": "Int32"},
        expectations=[expect("column_values_to_be_between", column="size", min_value=0)],
    )
    SuiteValidator("things").validate(FRAME.clear())
    SuiteValidator("things").validate(FRAME.clear().lazy())


@pytest.mark.parametrize("form", ["lazy", "stream"])
def test_large_data_is_sampled_and_says_so(project: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setattr(rows, "SAMPLE_ROWS", 100)
    write_suite(
        project,
        expectations=[
            expect("column_values_to_be_between", column="n", min_value=5000),
            expect("table_row_count_to_equal", value=10_000),
            expect("table_row_count_to_be_between", min_value=20_000),
        ],
    )
    frame = pl.DataFrame({"n": range(10_000), "unread": "x"})
    in_a_run()
    validator = SuiteValidator("things", results_path="results.json")
    with pytest.raises(DataValidationError) as caught:
        if form == "lazy":
            validator.validate(frame.lazy())
        else:
            list(validator.validate(iter(frame.iter_slices(1_234))))
    values, count = caught.value.failures
    assert values.check is not None and values.check.endswith("(in a sample of 100 of 10000 rows)")
    assert 30 < values.failure_count < 70
    assert count.failure_examples == [10_000]
    results = json.loads((project / "results.json").read_text())
    assert (results["checked_rows"], results["total_rows"]) == (100, 10_000)
    assert [one["success"] for one in results["results"]] == [False, True, False]


def test_the_sample_does_not_depend_on_how_rows_are_cut_into_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "SAMPLE_ROWS", 50)
    frame = pl.DataFrame({"n": range(1_000)})
    samples = []
    for size in (1_000, 333, 7):
        sample = rows.Sample()
        for batch in frame.iter_slices(size):
            sample.add(batch)
        samples.append(sample.frame()["n"].to_list())
    assert samples[0] == samples[1] == samples[2] == sorted(samples[0])
    assert len(samples[0]) == 50


def test_a_stream_is_passed_on_and_judged_at_its_end(project: Path) -> None:
    write_suite(project, expectations=[expect("column_values_to_be_between", column="n", max_value=2)])
    frames = [pl.DataFrame({"n": [1]}), pl.DataFrame({"n": [2]}), pl.DataFrame({"n": [3]})]
    stream = SuiteValidator("things").validate(iter(frames))
    assert [next(stream) is frame for frame in frames] == [True, True, True]
    with pytest.raises(DataValidationError, match="n: expect_column_values_to_be_between"):
        next(stream)


def test_an_iterable_that_is_no_iterator_is_a_stream_too(project: Path) -> None:
    class Shards:
        def __iter__(self) -> Iterator[pl.DataFrame]:
            yield pl.DataFrame({"n": [1]})

    write_suite(project, columns={"n": "Int64"})
    assert [frame["n"].to_list() for frame in SuiteValidator("things").validate(Shards())] == [[1]]


def test_frames_of_a_stream_that_differ_are_refused(project: Path) -> None:
    write_suite(project, columns={"n": "Int64"})
    with pytest.raises(ProlepsisError, match=r"differ: \{'n': Int64\}, then \{'n': String\}"):
        list(SuiteValidator("things").validate(iter([pl.DataFrame({"n": [1]}), pl.DataFrame({"n": ["1"]})])))


def test_an_empty_stream_is_refused(project: Path) -> None:
    write_suite(project)
    with pytest.raises(ProlepsisError, match="stream is empty"):
        list(SuiteValidator("things").validate(iter([])))


def test_files_are_rows_of_name_and_size_while_saved_and_when_loaded(project: Path) -> None:
    write_suite(
        project,
        columns={"file": "String", "bytes": "Int64"},
        expectations=[
            expect("column_values_to_match_regex", column="file", regex=r"\.txt$"),
            expect("column_values_to_be_between", column="bytes", min_value=1),
        ],
    )
    expected = [("file", 1, ["b/c.csv"]), ("bytes", 1, [0])]
    folder = project / "folder"
    (folder / "b").mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"")
    (folder / "b" / "c.csv").write_bytes(b"12")
    assert [(column, count, found) for column, _, count, found in failures_of(folder)] == expected

    stream = SuiteValidator("things").validate(iter([("a.txt", b""), ("b/c.csv", b"12")]))
    with pytest.raises(DataValidationError) as caught:
        list(stream)
    assert [
        (one.column, one.failure_count, one.failure_examples) for one in caught.value.failures
    ] == expected


def test_mappings_lists_and_profiles_are_rows_too(project: Path) -> None:
    write_suite(project, expectations=[expect("column_values_to_be_between", column="a.b", min_value=1)])
    assert [(column, found) for column, _, _, found in failures_of({"a": {"b": 0.5, "c": [1]}})] == [
        ("a.b", [0.5])
    ]

    class Model:
        def profile(self) -> pl.DataFrame:
            return pl.DataFrame({"a.b": [2.0, 0.25]})

    assert [(column, found) for column, _, _, found in failures_of(Model())] == [("a.b", [0.25])]
    assert [found for *_, found in failures_of([{"a": {"b": 3}}, {"a": {"b": 0}}])] == [[0]]

    write_suite(project, expectations=[expect("column_values_to_be_unique", column="value")])
    assert [found for *_, found in failures_of(["x", "y", "x"])] == [["x", "x"]]

    write_suite(project, expectations=[expect("column_values_to_be_between", column="a.len", min_value=2)])
    assert [found for *_, found in failures_of({"a": [1]})] == [[1]]


def test_data_without_rows_is_refused(project: Path) -> None:
    write_suite(project)
    with pytest.raises(ProlepsisError, match="Data of the type object cannot be validated"):
        SuiteValidator("things").validate(object())


def test_results_are_written_in_a_run_before_it_stops_and_are_the_same_for_the_same_data(
    project: Path,
) -> None:
    write_suite(
        project, columns={"id": "String"}, expectations=[expect("column_values_to_be_unique", column="id")]
    )
    path = project / "reports" / "things.json"
    validator = SuiteValidator("things", results_path="reports/things.json")
    with pytest.raises(DataValidationError):
        validator.validate(FRAME)
    assert not path.exists()  # nobody runs anything: a look in a notebook leaves DVC's files alone

    in_a_run("trn.things", "load")
    for _ in range(2):
        with pytest.raises(DataValidationError):
            validator.validate(FRAME)
        assert json.loads(path.read_text()) == {
            "dataset": "trn.things",
            "suite": "things",
            "success": False,
            "checked_rows": 4,
            "total_rows": 4,
            "when": "load",
            "results": [
                {
                    "expectation": "dtype is String",
                    "column": "id",
                    "success": True,
                    "unexpected_count": 0,
                    "examples": [],
                },
                {
                    "expectation": "expect_column_values_to_be_unique",
                    "column": "id",
                    "success": False,
                    "unexpected_count": 2,
                    "examples": ["a", "a"],
                },
            ],
        }
        written = path.stat().st_mtime_ns
    with pytest.raises(DataValidationError):
        validator.validate(FRAME)
    assert path.stat().st_mtime_ns == written


def test_a_suite_that_is_missing_names_the_nearest(project: Path) -> None:
    write_suite(project, "things")
    with pytest.raises(ProlepsisError, match="no expectation suite 'thing'") as caught:
        SuiteValidator("thing").validate(FRAME)
    assert "Did you mean 'things'?" in str(caught.value)


@pytest.mark.parametrize(
    ("suite", "message"),
    [
        ({"colums": {}}, "colums: Extra inputs are not permitted"),
        ({"expectations": [{"kwargs": {}}]}, "expectations.0.type: Field required"),
        (
            {"expectations": [expect("column_values_to_be_unik", column="id")]},
            "There is no expectation 'expect_column_values_to_be_unik'.*'expect_column_values_to_be_unique'",
        ),
        (
            {"expectations": [expect("column_values_to_be_between", column="size", min=1)]},
            "arguments of expect_column_values_to_be_between are wrong: min extra fields not permitted",
        ),
        (
            {"expectations": [expect("column_values_to_match_regex", column="id", regex="(")]},
            r"expect_column_values_to_match_regex\(regex='\('\) cannot be computed",
        ),
        (
            {"expectations": [expect("table_columns_to_match_set", column_set=["id"])]},
            "List the columns under `columns:`",
        ),
    ],
)
def test_a_suite_that_is_wrong_says_what_and_where(
    project: Path, suite: dict[str, Any], message: str
) -> None:
    write_suite(project, **suite)
    with pytest.raises(ProlepsisError) as caught:
        SuiteValidator("things").validate(FRAME)
    import re

    assert re.search(message, str(caught.value), re.DOTALL)
    assert "things.yml" in str(caught.value.where)


def test_in_a_catalog_a_broken_save_leaves_the_old_file(project: Path) -> None:
    from kedro.io import DataCatalog

    write_suite(
        project, columns={"n": "Int64"}, expectations=[expect("column_values_to_be_unique", column="n")]
    )
    entry = {
        "type": "prolepsis.io.ParquetShardsDataset",
        "filepath": str(project / "things"),
        "validator": {
            "class": "prolepsis.validation.SuiteValidator",
            "on": "save",
            "options": {"suite": "things"},
        },
    }
    catalog = DataCatalog.from_config({"things": entry})
    catalog.save("things", iter([pl.DataFrame({"n": [1, 2]}), pl.DataFrame({"n": [3]})]))
    with pytest.raises(DatasetError, match=r"things: .*\n.*\n.*n: expect_column_values_to_be_unique"):
        catalog.save("things", iter([pl.DataFrame({"n": [1]}), pl.DataFrame({"n": [1]})]))
    with pytest.raises(DataValidationError, match="'things' on save"):
        catalog.save("things", pl.DataFrame({"n": [7, 7]}))
    assert catalog.load("things").collect()["n"].to_list() == [1, 2, 3]
    assert [path.name for path in project.glob("*things*")] == ["things"]


def test_the_project_is_that_of_the_context_while_there_is_one(project: Path, tmp_path: Path) -> None:
    class Context:
        project_path = tmp_path / "elsewhere"

    context = Context()
    hooks.ValidationHooks().after_context_created(context)
    assert hooks.project_path() == tmp_path / "elsewhere"
    del context
    assert hooks.project_path() == project
    hooks.ValidationHooks().before_dataset_loaded("x")
    assert hooks.place() == Place("x", "load")
