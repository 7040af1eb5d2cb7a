"""A label for each frame, as Breakfast, 50 Salads and GTEA are passed on for action segmentation."""

from itertools import groupby
from operator import itemgetter
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from prolepsis.errors import ProlepsisError
from prolepsis.video.annotations.base import Annotation, files_of, read_lines


class PerFrameTextReader:
    """A folder of files `<video>.txt` with one frame's label in each line; a run of a label is an action."""

    class Config(BaseModel):
        """How many lines a second has, and which of them are no action."""

        model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

        frames_per_second: float = Field(gt=0)
        """Lines per second: 15 for Breakfast and GTEA, 30 for 50 Salads."""
        background_labels: tuple[str, ...] = ("background", "SIL", "action_start", "action_end")
        """Labels that stand for no action: GTEA's, Breakfast's, and the two of 50 Salads."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def read(self, path: Path) -> list[Annotation]:
        return [
            annotation
            for video, file in self._files(path).items()
            for annotation in self._read_file(file, video)
        ]

    def durations(self, path: Path) -> dict[str, float]:
        """The seconds that the lines of each video's file make up."""
        rate = self._config.frames_per_second
        return {video: len(_frame_labels(file)) / rate for video, file in self._files(path).items()}

    def _files(self, path: Path) -> dict[str, Path]:
        folder = path if path.is_dir() else path.parent
        return {file.relative_to(folder).with_suffix("").as_posix(): file for file in files_of(path, "*.txt")}

    def _read_file(self, file: Path, video: str) -> list[Annotation]:
        rate = self._config.frames_per_second
        annotations = []
        for label, run in groupby(enumerate(_frame_labels(file)), key=itemgetter(1)):
            frames = [number for number, _ in run]
            if label not in self._config.background_labels:
                first, last = frames[0], frames[-1]
                place = f"{file.name}, lines {first + 1} to {last + 1}"
                annotations.append(Annotation(video, first / rate, (last + 1) / rate, label, place))
        return annotations


def _frame_labels(file: Path) -> list[str]:
    """The label of each frame; empty lines are borne at the end only, since elsewhere a line is a frame."""
    labels: list[str] = []
    for number, line in read_lines(file):
        if number != len(labels) + 1:
            raise ProlepsisError(
                "This line is empty, and each line is a frame.",
                where=f"{file}, line {len(labels) + 1}",
                remedy="Write the frame's label there, or remove the line if it stands for no frame.",
            )
        labels.append(line.strip())
    return labels
