"""The validator that Kedro calls as a dataset is saved or loaded."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
from kedro.validation import CheckFailure, DataValidationError

from prolepsis.errors import ProlepsisError
from prolepsis.files import atomic_file
from prolepsis.validation.checks import Result, check
from prolepsis.validation.hooks import Place, place, project_path
from prolepsis.validation.rows import Rows, Sample, batch_of, is_stream, rows_of, select
from prolepsis.validation.suites import Suite, read_suite, suite_path


class SuiteValidator:
    """Holds data against a suite of `conf/base/expectations`, writes what came of it, and stops the run.

    A polars frame is checked whole, a lazy frame by a seeded sample of its rows, an object with `profile()`
    by that, and a stream while it is saved: the dataset drops its temporary file when the stream turns out
    wrong. See `prolepsis.validation.rows` for the rest.

    Args:
        suite: the name of the suite.
        results_path: a JSON file, relative to the project, for the results. It is written in a run only, and
            holds no time, so that the same data gives the same bytes. Use it with one mode ("on": save or
            load): a dataset has one file of results.
    """

    def __init__(self, suite: str, results_path: str | None = None) -> None:
        self._suite = suite
        self._results_path = results_path

    def files_read(self, project: Path, env: str) -> list[Path]:
        """What `kedro stages` must know as a dependency. The environment makes no difference."""
        return [suite_path(project, self._suite)]

    def validate(self, data: Any) -> Any:
        """Returns the data as it came, or, of a stream, the same stream watched.

        Raises:
            DataValidationError: the data breaks the suite; it says which column, how many rows, and examples.
            ProlepsisError: the suite is missing or wrong, or the data has no rows to look at.
        """
        project = project_path()
        path = suite_path(project, self._suite)
        suite = read_suite(path)
        judgement = _Judgement(suite, path, place(), self._results(project))
        if is_stream(data):
            return judgement.watch(data)
        judgement.pass_on(rows_of(data, judgement.columns))
        return data

    def _results(self, project: Path) -> Path | None:
        return None if self._results_path is None else project / self._results_path


class _Judgement:
    """One validation of one dataset."""

    def __init__(self, suite: Suite, path: Path, where: Place | None, results_path: Path | None) -> None:
        self._suite = suite
        self._path = path
        self._place = where
        self._results_path = results_path
        self.columns = sorted(
            {name for one in suite.expectations for name in (*one.columns, *one.condition_words)}
        )

    def watch(self, stream: Iterable[Any]) -> Iterator[Any]:
        """Passes a stream on, and judges it at its end, before the dataset puts the file in its place."""
        sample = Sample()
        schema: pl.Schema | None = None
        for item in stream:
            batch = batch_of(item)
            if schema is not None and batch.schema != schema:
                raise ProlepsisError(
                    f"The frames of one dataset differ: {dict(schema)}, then {dict(batch.schema)}.",
                    where=self._place.dataset if self._place else None,
                    remedy="Give all of them the same columns and dtypes.",
                )
            schema = batch.schema
            sample.add(select(batch, self.columns))
            yield item
        if schema is None:
            raise ProlepsisError(
                "There is nothing to save: the stream is empty.",
                where=self._place.dataset if self._place else None,
                remedy="Give one empty frame where there are no rows, so that the columns are known.",
            )
        self.pass_on(Rows(schema, sample.frame(), sample.total))

    def pass_on(self, rows: Rows) -> None:
        """Checks, writes the results, and raises if anything failed."""
        try:
            results = check(self._suite, rows)
        except ProlepsisError as error:
            error.where = error.where or self._path
            raise
        checked = rows.frame.height if rows.frame.width else rows.total
        self._write(results, checked, rows.total)
        failed = [result for result in results if not result.success]
        if failed:
            part = f" (in a sample of {checked} of {rows.total} rows)" if checked < rows.total else ""
            raise DataValidationError(
                f"The data breaks the suite {self._path.stem!r}.",
                dataset_name=self._place.dataset if self._place else None,
                failures=[_failure(result, part) for result in failed],
            )

    def _write(self, results: list[Result], checked: int, total: int) -> None:
        if self._results_path is None or self._place is None:
            return
        report = {
            "dataset": self._place.dataset,
            "suite": self._path.stem,
            "success": all(result.success for result in results),
            "checked_rows": checked,
            "total_rows": total,
            "when": self._place.when,
            "results": [asdict(result) for result in results],
        }
        text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        # Several stages may load the same dataset; the same results leave the file untouched for DVC.
        if self._results_path.is_file() and self._results_path.read_text(encoding="utf-8") == text:
            return
        with atomic_file(self._results_path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _failure(result: Result, part: str) -> CheckFailure:
    return CheckFailure(
        message=f"{result.column}: {result.expectation}",
        check=f"{result.expectation}{part}",
        column=result.column,
        failure_count=result.unexpected_count,
        failure_examples=result.examples,
    )
