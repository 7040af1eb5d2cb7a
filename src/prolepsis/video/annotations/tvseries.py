"""The text files of TVSeries (De Geest et al. 2016)."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from prolepsis.errors import ProlepsisError
from prolepsis.video.annotations.base import Annotation, files_of, read_lines, seconds


class TVSeriesReader:
    """`GT-train.txt`, `GT-val.txt` and `GT-test.txt`, or a folder of them.

    Their lines have tabs between the columns: episode, class, start and end in seconds. The columns behind
    them (one person, atypical, moving camera, occluded, truncated, …, comments) are passed over.
    """

    class Config(BaseModel):
        """Nothing to say."""

        model_config = ConfigDict(extra="forbid", frozen=True)

    def __init__(self, config: Config) -> None:
        self._config = config

    def read(self, path: Path) -> list[Annotation]:
        return [annotation for file in files_of(path, "GT-*.txt") for annotation in self._read_file(file)]

    def _read_file(self, file: Path) -> list[Annotation]:
        annotations = []
        for number, line in read_lines(file):
            where = f"{file}, line {number}"
            columns = [column.strip() for column in line.split("\t")]
            if len(columns) < 4:
                raise ProlepsisError(
                    f"This line has {len(columns)} of the four columns.",
                    where=where,
                    remedy="Its form is: episode, class, start, end, …, with tabs between them.",
                )
            video, label, start, end = columns[:4]
            annotations.append(
                Annotation(
                    video,
                    seconds(start, "start", where),
                    seconds(end, "end", where),
                    label,
                    f"{file.name}, line {number}",
                )
            )
        return annotations
