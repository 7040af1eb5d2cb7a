"""The format of this project: a CSV with times in seconds."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from prolepsis.video.annotations.base import Annotation, one_file, read_table, seconds


class CsvReader:
    """A CSV with a header and times in seconds: `video,start,end,label`; other columns are passed over.

    A video is named by its path in the folder; its suffix and a leading train, val or test may be left out.
    """

    class Config(BaseModel):
        """Names of the columns, and what separates them."""

        model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

        video: str = "video"
        """The column with the video's path or id."""
        start: str = "start"
        """The column with the action's start, in seconds."""
        end: str = "end"
        """The column with its end, in seconds."""
        label: str = "label"
        """The column with the name of its class."""
        delimiter: str = Field(",", min_length=1, max_length=1)
        """What stands between two columns."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def read(self, path: Path) -> list[Annotation]:
        config = self._config
        rows = read_table(
            one_file(path),
            [config.video, config.start, config.end, config.label],
            delimiter=config.delimiter,
            remedy="Name the columns in the first line, or give their names and the delimiter: "
            "video_ingestion.annotations.config.",
        )
        return [
            Annotation(
                video=row[config.video],
                start=seconds(row[config.start], config.start, f"{path}, line {line}"),
                end=seconds(row[config.end], config.end, f"{path}, line {line}"),
                label=row[config.label],
                place=f"line {line}",
            )
            for line, row in rows
        ]
