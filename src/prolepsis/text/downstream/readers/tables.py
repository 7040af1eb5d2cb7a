"""Examples in the rows of a Parquet, CSV, TSV or JSON-lines file."""

from pathlib import Path
from typing import Any

import polars as pl

from prolepsis.errors import ProlepsisError
from prolepsis.text.downstream.config import ColumnNames, FileFormat, Kind
from prolepsis.text.downstream.readers.questions import question_example
from prolepsis.text.downstream.tasks import Example


def read_table(path: Path, file_format: FileFormat, kind: Kind, columns: ColumnNames) -> list[Example]:
    """The rows as examples. Labels are read as text, so `1` and `"1"` are the same label.

    A TSV file has no quoting: a quotation mark is a character like any other.

    Raises:
        ProlepsisError: the file cannot be read, lacks a column, or has a row without a label or with an
            answer that does not stand in its context.
    """
    if file_format in ("csv", "tsv") and kind in _LISTS:
        raise ProlepsisError(
            f"The rows of a {file_format} file hold no lists, which {kind} needs.",
            where=path,
            remedy=_OTHER_FILES[kind],
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
    flat = [part for part in _LISTS.get(kind, ()) if not isinstance(rows.schema[part], pl.List)]
    if flat:
        raise ProlepsisError(
            f"The column {wanted[flat[0]]!r} does not hold lists.",
            where=path,
            remedy=f"give two lists of the same length in each row: {' and '.join(_LISTS[kind])}",
        )
    first = 2 if file_format in ("csv", "tsv") else 1  # as an editor counts them, with the header
    return [
        _example(row, f"{path}, row {number}", kind)
        for number, row in enumerate(rows.iter_rows(named=True), first)
    ]


# What holds lists where a row has several words or answers, and what to give where it cannot.
_LISTS: dict[Kind, tuple[str, str]] = {
    "token_tagging": ("words", "labels"),
    "question_answering": ("answers", "answer_starts"),
}
_OTHER_FILES: dict[Kind, str] = {
    "token_tagging": "give a CoNLL-U file, a .tsv of lines 'word <tab> tag', or Parquet or JSON lines with a "
    "list of words and one of labels",
    "question_answering": "give a .json file as SQuAD has it, or Parquet or JSON lines with a list of "
    "answers and one of where they begin",
}


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
    if kind == "question_answering":
        parts = ("context", "question", "answers", "answer_starts")
        return {part: getattr(columns, part) for part in parts}
    pair = {"second_text": columns.second_text} if kind == "sequence_pair_classification" else {}
    return {"text": columns.text, **pair, "label": columns.label}


def _example(row: dict[str, Any], source: str, kind: Kind) -> Example:
    if kind == "token_tagging":
        words, labels = (tuple(map(str, row[part] or ())) for part in ("words", "labels"))
        return Example(source, labels, words=words)
    if kind == "question_answering":
        return _question(row, source)
    if row["label"] is None:
        raise ProlepsisError("The row has no label.", where=source, remedy="fill it in, or take the row out")
    return Example(
        source,
        (str(row["label"]).strip(),),
        text=str(row["text"] or ""),
        second_text=str(row.get("second_text") or ""),
    )


def _question(row: dict[str, Any], source: str) -> Example:
    answers, starts = (list(row[part] or ()) for part in _LISTS["question_answering"])
    whole = all(isinstance(start, int) for start in starts) and None not in answers
    if not whole or len(answers) != len(starts):
        raise ProlepsisError(
            f"The row has {len(answers)} answers, and {len(starts)} numbers of where they begin.",
            where=source,
            remedy="give each answer a whole number: the character of the context where it begins, from 0",
        )
    context, question = (str(row[part] or "") for part in ("context", "question"))
    return question_example(source, context, question, list(map(str, answers)), starts)
