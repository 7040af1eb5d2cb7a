"""What a reader of annotations is, and what readers share."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from prolepsis.errors import ProlepsisError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Annotation:
    """One line of an annotation file: `label` from `start` to `end` seconds; `place` is where it stands."""

    video: str
    start: float
    end: float
    label: str
    place: str


class AnnotationReader(Protocol):
    """A plugin of the group `prolepsis.annotation_readers`."""

    def read(self, path: Path) -> list[Annotation]:
        """All annotations of a file or a folder, unchecked but for their form.

        Raises:
            ProlepsisError: it is not of the reader's format.
        """


def video_id(path: str) -> str:
    """A video's name: its path without a leading train, val or test and without the suffix."""
    parts = PurePosixPath(path).with_suffix("").parts
    return "/".join(parts[1:] if len(parts) > 1 and parts[0] in SPLITS else parts)


def read_table(
    path: Path, columns: Sequence[str], *, delimiter: str = ",", remedy: str
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV with a header, each with the number of its last line; other columns are passed over.

    Raises:
        ProlepsisError: a column is missing, or the file is no CSV in UTF-8.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, delimiter=delimiter, restval="")
        try:
            names = rows.fieldnames or []
            missing = [name for name in columns if name not in names]
            if missing:
                there = ", ".join(names) or "none"
                raise ProlepsisError(
                    f"There is no column {', '.join(missing)}; the columns are: {there}.",
                    where=f"{path}, line 1",
                    remedy=remedy,
                )
            for row in rows:
                yield rows.line_num, {name: row[name].strip() for name in columns}
        except (UnicodeDecodeError, csv.Error) as error:
            raise ProlepsisError(
                f"The annotations are not a CSV in UTF-8: {error}.",
                where=path,
                remedy="Save them as UTF-8 text.",
            ) from error


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text with their numbers, without those that are empty.

    Raises:
        ProlepsisError: it is not UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ProlepsisError(
            f"The annotations are not text in UTF-8: {error}.", where=path, remedy="Save them as UTF-8 text."
        ) from error


def files_of(path: Path, pattern: str) -> list[Path]:
    """The path itself if it is a file; of a folder, the files that match the pattern, sorted.

    Raises:
        ProlepsisError: there are none.
    """
    if path.is_file():
        return [path]
    found = sorted(file for file in path.rglob(pattern) if file.is_file() and not file.name.startswith("."))
    if not found:
        raise ProlepsisError(
            f"There is no file {pattern} in the folder of annotations.",
            where=path,
            remedy="Put the annotation files there, or choose another reader: video_ingestion.annotations.",
        )
    return found


def seconds(text: str, column: str, where: str) -> float:
    """A time in seconds.

    Raises:
        ProlepsisError: it is no number.
    """
    try:
        return float(text)
    except ValueError:
        raise ProlepsisError(
            f"The {column} {text!r} is not a number of seconds.",
            where=where,
            remedy="Give times in seconds, with a point: 12.5.",
        ) from None
