"""The CSV of EPIC-KITCHENS-55 and -100."""

import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from prolepsis.errors import ProlepsisError
from prolepsis.video.annotations.base import Annotation, files_of, read_table

_TIME = re.compile(r"(\d+):([0-5]\d):([0-5]\d(?:\.\d+)?)", re.ASCII)
_REMEDY = "Take the files as they are published, such as EPIC_100_train.csv."


class EpicKitchensReader:
    """`EPIC_100_train.csv` and `EPIC_100_validation.csv`, or a folder of them.

    With `EPIC_100_verb_classes.csv` and `EPIC_100_noun_classes.csv` in the folder classes have their names;
    without them, their numbers.
    """

    class Config(BaseModel):
        """What is to be detected."""

        model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

        label: Literal["verb", "noun", "action"] = "action"
        """`action` is a verb with a noun."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def read(self, path: Path) -> list[Annotation]:
        parts = ["verb", "noun"] if self._config.label == "action" else [self._config.label]
        names = {part: _class_names(path, part) for part in parts}
        _check_complete(names, path)
        annotations = []
        for file in files_of(path, "*.csv"):
            if not file.stem.endswith("_classes"):
                annotations += self._read_file(file, names)
        return annotations

    def _read_file(self, file: Path, names: dict[str, dict[str, str]]) -> list[Annotation]:
        columns = ["video_id", "start_timestamp", "stop_timestamp", *(f"{part}_class" for part in names)]
        annotations = []
        for line, row in read_table(file, columns, remedy=_REMEDY):
            where = f"{file}, line {line}"
            label = " ".join(_name(row[f"{part}_class"], known, part, where) for part, known in names.items())
            start, end = _seconds(row["start_timestamp"], where), _seconds(row["stop_timestamp"], where)
            annotations.append(Annotation(row["video_id"], start, end, label, f"{file.name}, line {line}"))
        return annotations


def _class_names(path: Path, part: str) -> dict[str, str]:
    """From a class's number to its name; empty where the folder has no such file."""
    files = sorted(path.rglob(f"*{part}_classes.csv")) if path.is_dir() else []
    return {
        row["id"]: row["key"] for file in files for _, row in read_table(file, ["id", "key"], remedy=_REMEDY)
    }


def _check_complete(names: dict[str, dict[str, str]], path: Path) -> None:
    """Refuses names of verbs with numbers of nouns: "take 2"."""
    absent = [part for part, known in names.items() if not known]
    if absent and len(absent) < len(names):
        raise ProlepsisError(
            f"There are names of classes, but none of the {absent[0]}s.",
            where=path,
            remedy=f"Put EPIC_100_{absent[0]}_classes.csv there too, or remove the other file of classes: "
            "then classes have their numbers.",
        )


def _name(number: str, names: dict[str, str], part: str, where: str) -> str:
    if not names:
        return number
    if number not in names:
        raise ProlepsisError(f"There is no {part} class {number!r}.", where=where, remedy=_REMEDY)
    return names[number]


def _seconds(text: str, where: str) -> float:
    match = _TIME.fullmatch(text)
    if match is None:
        raise ProlepsisError(
            f"{text!r} is not a time.", where=where, remedy="Its form is hours:minutes:seconds, 00:01:02.50."
        )
    hours, minutes, rest = match.groups()
    return 3600 * int(hours) + 60 * int(minutes) + float(rest)
