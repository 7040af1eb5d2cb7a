"""What a reader of annotations is, and what readers share."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable

from prolepsis.errors import ProlepsisError
from prolepsis.video.media import SUFFIXES

SPLITS = ("train", "val", "test")
_DELIMITERS = (",", ";", "\t", "|")


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


@runtime_checkable
class StatesDurations(Protocol):
    """A reader whose files say how long each video is, so that a wrong rate or file is noticed."""

    def durations(self, path: Path) -> Mapping[str, float]:
        """From each video to its seconds."""


def video_id(path: str) -> str:
    """A video's name: its path without a leading train, val or test and without the suffix of a video file.

    Any other ".x" is part of the name: the videos clip.2.mp4 and clip.3.mp4 are not both `clip`.
    """
    named = PurePosixPath(path)
    if named.suffix.lower() in SUFFIXES:
        named = named.with_suffix("")
    parts = named.parts
    return "/".join(parts[1:] if len(parts) > 1 and parts[0] in SPLITS else parts)


def one_file(path: Path) -> Path:
    """The path, for a reader that takes one file.

    Raises:
        ProlepsisError: it is a folder, nothing is there, or nothing is in it.
    """
    if path.is_file():
        return _filled(path)
    problem = "are a folder, and this reader takes one file" if path.is_dir() else "are not there"
    raise ProlepsisError(
        f"The annotations {problem}.",
        where=path,
        remedy="Put one file there, give its name (`annotations` in globals.yml), or choose another reader: "
        "video_ingestion.annotations.",
    )


def read_table(
    path: Path, columns: Sequence[str], *, delimiter: str = ",", remedy: str
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV with a header, each with the number of its last line; other columns are passed over.

    Raises:
        ProlepsisError: a column is missing, a row has more cells than the header, or the file is no CSV in
            UTF-8.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter=delimiter, strict=True)
        begins = 1
        try:
            header = next(rows, [])
            _check_header(header, columns, delimiter, path, remedy)
            place = {name: header.index(name) for name in columns}
            begins = rows.line_num + 1
            for cells in rows:
                if len(cells) > len(header):
                    raise ProlepsisError(
                        f"This row has {len(cells)} cells, and the header has {len(header)}.",
                        where=f"{path}, line {rows.line_num}",
                        remedy=f'Quote a cell that holds a {delimiter!r}: "pick up{delimiter} put down".',
                    )
                if cells:
                    filled = [*cells, *[""] * (len(header) - len(cells))]
                    yield rows.line_num, {name: filled[number].strip() for name, number in place.items()}
                begins = rows.line_num + 1
        except UnicodeDecodeError as error:
            raise ProlepsisError(
                f"The annotations are not a CSV in UTF-8: {error}.",
                where=path,
                remedy="Save them as UTF-8 text.",
            ) from error
        except csv.Error as error:
            raise ProlepsisError(
                f"The row that begins here is no CSV: {error}.",
                where=f"{path}, line {begins}",
                remedy='Close every quote that opens a cell, and double those inside of it: "say ""hello""".',
            ) from error


def _check_header(
    header: Sequence[str], columns: Sequence[str], delimiter: str, path: Path, remedy: str
) -> None:
    missing = [name for name in columns if name not in header]
    if not missing:
        return
    hint = ""
    if len(header) == 1:
        found = [other for other in _DELIMITERS if set(columns) <= set(header[0].split(other))]
        hint = f" What separates them seems to be {found[0]!r}, not {delimiter!r}." if found else ""
    raise ProlepsisError(
        f"There is no column {', '.join(missing)}; the columns are: {', '.join(header) or 'none'}.{hint}",
        where=f"{path}, line 1",
        remedy=remedy,
    )


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
        ProlepsisError: there are none, or one is empty.
    """
    if path.is_file():
        return [_filled(path)]
    found = sorted(file for file in path.rglob(pattern) if file.is_file() and not file.name.startswith("."))
    if not found:
        raise ProlepsisError(
            f"There is no file {pattern} in the folder of annotations.",
            where=path,
            remedy="Put the annotation files there, or choose another reader: video_ingestion.annotations.",
        )
    return [_filled(file) for file in found]


def _filled(file: Path) -> Path:
    if file.stat().st_size == 0:
        raise ProlepsisError(
            "The annotation file is empty.", where=file, remedy="Write annotations into it, or remove it."
        )
    return file


def seconds(text: str, column: str, where: str) -> float:
    """A time in seconds.

    Raises:
        ProlepsisError: it is no number.
    """
    try:
        # Python's own numbers may have underscores: "1_0e-1" is a slip of the pen, not one second.
        return float(text.replace("_", "?"))
    except ValueError:
        raise ProlepsisError(
            f"The {column} {text!r} is not a number of seconds.",
            where=where,
            remedy="Give times in seconds, with a point: 12.5.",
        ) from None
