"""Any data as rows that can be checked: bounded in memory however large the data is."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from prolepsis.errors import ProlepsisError

SAMPLE_ROWS = 50_000
_LENGTH = ".len"
_ORDER, _KEY = "__order__", "__key__"


@dataclass(frozen=True)
class Rows:
    """What is checked of a dataset.

    `schema` is that of the data; `frame` holds the columns asked for, of all rows or of a sample of them;
    `total` is the number of all rows.
    """

    schema: Mapping[str, pl.DataType]
    frame: pl.DataFrame
    total: int


def rows_of(data: Any, names: Iterable[str]) -> Rows:
    """The rows of data that is whole: a frame, a lazy frame, a folder, a mapping, a list, or its profile.

    Args:
        data: a polars frame, taken whole; a lazy frame, of which `Sample` takes a part; a path, as one row
            (file, bytes) for each file; a mapping, as one row of its scalar leaves under dotted names; a list
            of mappings, as a row each; a list of scalars, as a column `value`; text or bytes, as one row
            (bytes); or an object with `profile() -> pl.DataFrame`.
        names: the columns to keep; `x.len` stands for the lengths of the lists in `x`.

    Raises:
        ProlepsisError: there is no way to see rows in the data.
    """
    if isinstance(data, pl.LazyFrame):
        schema = data.collect_schema()
        selected = data.select(_selection(schema, names))
        if not selected.collect_schema():
            return Rows(schema, pl.DataFrame(), int(data.select(pl.len()).collect().item()))
        sample = Sample()
        for batch in selected.collect_batches():
            sample.add(batch)
        frame = sample.frame() if sample.total else pl.DataFrame(schema=selected.collect_schema())
        return Rows(schema, frame, sample.total)
    frame = _frame(data)
    return Rows(frame.schema, frame.select(_selection(frame.schema, names)), frame.height)


class Sample:
    """A uniform random sample of at most `SAMPLE_ROWS` of the rows that pass by, in their order.

    Each row draws a random key from a fixed seed, and those with the smallest keys are kept: the same rows
    give the same sample, however they are cut into batches.
    """

    def __init__(self) -> None:
        self.total = 0
        self._random = np.random.default_rng(seed=0)
        self._kept: list[pl.DataFrame] = []
        self._held = 0

    def add(self, batch: pl.DataFrame) -> None:
        order = pl.int_range(self.total, self.total + batch.height, eager=True).alias(_ORDER)
        key = pl.Series(_KEY, self._random.random(batch.height))
        self._kept.append(batch.with_columns(order, key))
        self.total += batch.height
        self._held += batch.height
        if self._held > 2 * SAMPLE_ROWS:
            self._shrink()

    def frame(self) -> pl.DataFrame:
        if not self._kept:
            return pl.DataFrame()
        self._shrink()
        return self._kept[0].sort(_ORDER).drop(_ORDER, _KEY)

    def _shrink(self) -> None:
        whole = pl.concat(self._kept, how="vertical_relaxed")
        if whole.height > SAMPLE_ROWS:
            whole = whole.bottom_k(SAMPLE_ROWS, by=_KEY)
        self._kept, self._held = [whole], whole.height


def is_stream(data: Any) -> bool:
    """Whether data is saved piece by piece, such as what a generator gives."""
    whole = (pl.DataFrame, pl.LazyFrame, Mapping, list, tuple, str, bytes, Path)
    return isinstance(data, Iterable) and not isinstance(data, whole) and not hasattr(data, "profile")


def batch_of(item: Any) -> pl.DataFrame:
    """A frame, or a file as (name, content), of a stream that is being saved.

    Raises:
        ProlepsisError: it is neither.
    """
    if isinstance(item, pl.DataFrame):
        return item
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], bytes):
        return pl.DataFrame({"file": [str(item[0])], "bytes": [len(item[1])]})
    raise ProlepsisError(
        f"A stream of {type(item).__name__} cannot be validated while it is saved.",
        remedy='Validate it as it is loaded: "on": load.',
    )


def select(batch: pl.DataFrame, names: Iterable[str]) -> pl.DataFrame:
    """The columns of a batch that are asked for and there."""
    return batch.select(_selection(batch.schema, names))


def has_column(schema: Mapping[str, pl.DataType], name: str) -> bool:
    """Whether a column is there, or can be derived as the lengths of lists."""
    return name in schema or _is_length(schema, name)


def _selection(schema: Mapping[str, pl.DataType], names: Iterable[str]) -> list[pl.Expr]:
    return [
        pl.col(name) if name in schema else _length(schema, name)
        for name in dict.fromkeys(names)
        if has_column(schema, name)
    ]


def _is_length(schema: Mapping[str, pl.DataType], name: str) -> bool:
    base = name.removesuffix(_LENGTH)
    return base != name and isinstance(schema.get(base), pl.List | pl.Array)


def _length(schema: Mapping[str, pl.DataType], name: str) -> pl.Expr:
    column = pl.col(name.removesuffix(_LENGTH))
    is_list = isinstance(schema[name.removesuffix(_LENGTH)], pl.List)
    return (column.list.len() if is_list else column.arr.len()).alias(name)


def _frame(data: Any) -> pl.DataFrame:
    if isinstance(data, pl.DataFrame):
        return data
    profile = getattr(data, "profile", None)  # a store of features is a mapping too: its profile says more
    if callable(profile):
        return _frame(profile())
    if isinstance(data, Path):
        files = sorted(_files(data))
        paths = [file.relative_to(data).as_posix() if data.is_dir() else file.name for file in files]
        # A name that is not UTF-8 is legal on Linux but cannot be written into a table.
        names = [os.fsencode(path).decode("utf-8", "backslashreplace") for path in paths]
        sizes = [file.stat().st_size for file in files]
        return pl.DataFrame({"file": names, "bytes": sizes}, {"file": pl.String, "bytes": pl.Int64})
    if isinstance(data, Mapping):
        return pl.DataFrame([dict(_leaves(data))])
    if isinstance(data, str | bytes):
        return pl.DataFrame({"bytes": [len(data if isinstance(data, bytes) else data.encode())]})
    if isinstance(data, list):
        rows = [dict(_leaves(row)) if isinstance(row, Mapping) else {"value": row} for row in data]
        return pl.DataFrame(rows, infer_schema_length=None)
    raise ProlepsisError(
        f"Data of the type {type(data).__name__} cannot be validated: it has no rows.",
        remedy="Give the class a method `profile() -> pl.DataFrame`, or remove the validator.",
    )


def _files(path: Path) -> Iterator[Path]:
    return (file for file in path.rglob("*") if file.is_file()) if path.is_dir() else iter([path])


def _leaves(data: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The scalar leaves of nested mappings under dotted names; of a list, its length as `name.len`."""
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{name}.")
        elif isinstance(value, list | tuple):
            yield f"{name}{_LENGTH}", len(value)
        elif value is None or isinstance(value, str | bool | int | float):
            yield name, value
