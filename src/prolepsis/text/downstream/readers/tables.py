"""Examples in the rows of a Parquet, CSV, TSV or JSON-lines file."""

from pathlib import Path
from typing import Any

import polars as pl

from prolepsis.errors import ProlepsisError
from prolepsis.text.downstream.config import ColumnNames, FileFormat, Kind
from prolepsis.text.downstream.tasks import Example


def read_table(path: Path, file_format: FileFormat, kind: Kind, columns: ColumnNames) -> list[Example]:
    """The rows as examples. Labels are read as text, so `1` and `"1"` are the same label.

    A TSV file has no quoting: a quotation mark is a character like any other.

    Raises:
        ProlepsisError: the file cannot be read, lacks a column, or has a row without a label.
    """
    if kind == "question_answering":
        raise ProlepsisError(
            "Questions are read from JSON as SQuAD has it, not from a table.",
            where=path,
            remedy="give a .json file with 'data', 'paragraphs', 'qas', or write 'format: squad'",
        )
    if kind == "token_tagging" and file_format in ("csv", "tsv"):
        raise ProlepsisError(
            "Words with a label each cannot be told apart in such a table.",
            where=path,
            remedy="give a CoNLL-U file, or Parquet or JSON lines with a list of words and one of labels",
        )
    frame = _read(path, file_format)
    wanted = _wanted(kind, columns)
    missing = [column for column in wanted.values() if column not in frame.columns]
    if missing:
        raise ProlepsisError(
            f"The file has no column {missing[0]!r}; it has {', '.join(map(repr, frame.columns))}.",
            where=path,
            remedy="write which columns to read into the task's 'columns'",
        )
    rows = frame.select(pl.col(column).alias(part) for part, column in wanted.items())
    flat = [wanted[part] for part, dtype in rows.schema.items() if not isinstance(dtype, pl.List)]
    if kind == "token_tagging" and flat:
        raise ProlepsisError(
            f"The column {flat[0]!r} does not hold lists.",
            where=path,
            remedy="give a list of words and a list of as many labels in each row",
        )
    first = 2 if file_format in ("csv", "tsv") else 1  # as an editor counts them, with the header
    return [
        _example(row, f"{path}, row {number}", kind)
        for number, row in enumerate(rows.iter_rows(named=True), first)
    ]


def _read(path: Path, file_format: FileFormat) -> pl.DataFrame:
    try:
        if file_format == "parquet":
            return pl.read_parquet(path)
        if file_format == "jsonl":
            return pl.read_ndjson(path, infer_schema_length=None)
        if file_format == "tsv":
            return pl.read_csv(path, separator="\t", quote_char=None, infer_schema=False)
        return pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ProlepsisError(
            f"The file cannot be read as {file_format}: {error}",
            where=path,
            remedy="mend it, or write the 'format' that it has",
        ) from error


def _wanted(kind: Kind, columns: ColumnNames) -> dict[str, str]:
    if kind == "token_tagging":
        return {"words": columns.words, "labels": columns.labels}
    pair = {"second_text": columns.second_text} if kind == "sequence_pair_classification" else {}
    return {"text": columns.text, **pair, "label": columns.label}


def _example(row: dict[str, Any], source: str, kind: Kind) -> Example:
    if kind == "token_tagging":
        words, labels = (tuple(map(str, row[part] or ())) for part in ("words", "labels"))
        return Example(source, labels, words=words)
    if row["label"] is None:
        raise ProlepsisError("The row has no label.", where=source, remedy="fill it in, or take the row out")
    return Example(
        source,
        (str(row["label"]).strip(),),
        text=str(row["text"] or ""),
        second_text=str(row.get("second_text") or ""),
    )
