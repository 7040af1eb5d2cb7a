"""The text files of THUMOS'14 and THUMOS'15: a folder with one file for each class."""

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from prolepsis.errors import ProlepsisError
from prolepsis.video.annotations.base import Annotation, files_of, read_lines, seconds

_SUBSET = re.compile(r"_(val|test|train|validation)$")


class ThumosTextReader:
    """A folder of files `<Class>_val.txt` and `<Class>_test.txt` with lines `video start end`, in seconds.

    `Ambiguous_test.txt` is a class like the others here: name it in `video_ingestion.ignored_classes`.
    """

    class Config(BaseModel):
        """Nothing to say."""

        model_config = ConfigDict(extra="forbid", frozen=True)

    def __init__(self, config: Config) -> None:
        self._config = config

    def read(self, path: Path) -> list[Annotation]:
        return [annotation for file in files_of(path, "*.txt") for annotation in self._read_file(file)]

    def _read_file(self, file: Path) -> list[Annotation]:
        label = _SUBSET.sub("", file.stem)
        annotations = []
        for number, line in read_lines(file):
            where = f"{file}, line {number}"
            words = line.split()
            if len(words) != 3:
                raise ProlepsisError(
                    f"This is not an annotation: {line!r}.",
                    where=where,
                    remedy="Its form is: video start end.",
                )
            start, end = seconds(words[1], "start", where), seconds(words[2], "end", where)
            annotations.append(Annotation(words[0], start, end, label, f"{file.name}, line {number}"))
        return annotations
