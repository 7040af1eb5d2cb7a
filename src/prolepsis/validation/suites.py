"""Suites: what a dataset promises, as `conf/base/expectations/<suite>.yml` says it.

```yaml
columns: {id: String, num_words: UInt32}      # polars dtypes, compared as text
expectations:                                 # types and arguments are those of Great Expectations
  - type: expect_column_values_to_be_unique
    kwargs: {column: id}
    notes: Later stages join by it.
```
"""

import difflib
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from prolepsis.errors import ProlepsisError
from prolepsis.plugins import describe_validation_error

FOLDER = "expectations"
_COLUMN_ARGUMENTS = ("column", "column_A", "column_B", "column_list")


class Expectation(BaseModel):
    """One expectation by its Great Expectations name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    kwargs: dict[str, Any] = {}
    notes: str | None = None

    @property
    def label(self) -> str:
        """Its name with the arguments that are not columns, such as `expect_…_to_be_between(min_value=0)`."""
        rest = {name: value for name, value in self.kwargs.items() if name not in _COLUMN_ARGUMENTS}
        arguments = ", ".join(f"{name}={value!r}" for name, value in rest.items())
        return f"{self.type}({arguments})" if arguments else self.type

    @property
    def columns(self) -> list[str]:
        """The columns it names; those of a `row_condition` are in `condition_words`."""
        values = [self.kwargs[name] for name in _COLUMN_ARGUMENTS if name in self.kwargs]
        return [name for value in values for name in (value if isinstance(value, list) else [value])]

    @property
    def condition_words(self) -> set[str]:
        """The words of its `row_condition`, among which are the names of columns."""
        return set(re.findall(r"[\w.]+", str(self.kwargs.get("row_condition", ""))))

    @property
    def counts_rows(self) -> bool:
        """Whether it is about the number of rows, which a sample does not have."""
        return self.type.startswith("expect_table_row_count_to_")


class Suite(BaseModel):
    """What a dataset promises: the dtypes of columns, and expectations of their values.

    Columns that are not listed may be there too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: dict[str, str] = {}
    expectations: list[Expectation] = []


def suite_path(project_path: Path, name: str) -> Path:
    """The file of a suite. A promise is the same in all environments, so it lies in the base environment."""
    from kedro.framework.project import settings

    base = settings.CONFIG_LOADER_ARGS.get("base_env", "base")
    path: Path = project_path / settings.CONF_SOURCE / base / FOLDER / f"{name}.yml"
    return path


def read_suite(path: Path) -> Suite:
    """Reads a suite.

    Raises:
        ProlepsisError: there is no such file, or it is not a suite.
    """
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob("*.yml"))
        near = difflib.get_close_matches(path.stem, known, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise ProlepsisError(
            f"There is no expectation suite {path.stem!r}.",
            where=path,
            remedy=f"{hint}Known: {', '.join(known) or 'none'}.",
        )
    try:
        return Suite.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except ValidationError as error:
        raise ProlepsisError(
            f"The expectation suite is wrong: {describe_validation_error(error)}",
            where=path,
            remedy="Keys: columns (name: polars dtype) and expectations (type, kwargs, notes).",
        ) from error
    except yaml.YAMLError as error:
        raise ProlepsisError(f"The expectation suite is not YAML: {error}", where=path) from error
