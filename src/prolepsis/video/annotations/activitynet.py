"""ActivityNet's JSON, in which THUMOS'14 is also passed on."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from prolepsis.errors import ProlepsisError
from prolepsis.video.annotations.base import Annotation


class ActivityNetReader:
    """The JSON of ActivityNet and of the THUMOS'14 files in its form.

    `{"database": {video: {"annotations": [{"segment": [start, end], "label": …}, …], …}, …}}`, in seconds.
    Other keys, the subset among them, are passed over: the folder of a video says its split.
    """

    class Config(BaseModel):
        """What the file leaves out."""

        model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

        video_prefix: str = ""
        """Put before each video's name: `v_` for ActivityNet, whose files have it and whose JSON has not."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def read(self, path: Path) -> list[Annotation]:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise _wrong_json(f"is not JSON: {error}", path) from error
        database = content.get("database") if isinstance(content, dict) else None
        if not isinstance(database, dict):
            raise _wrong_json('has no object "database"', path)
        annotations = []
        for video, entry in database.items():
            listed = entry.get("annotations") if isinstance(entry, dict) else None
            if not isinstance(listed, list):
                raise _wrong_json(f'has no list "annotations" for the video {video!r}', path)
            for number, item in enumerate(listed):
                annotations.append(self._annotation(video, number, item, path))
        return annotations

    def _annotation(self, video: str, number: int, item: Any, path: Path) -> Annotation:
        place = f"database.{video}.annotations[{number}]"
        match item:
            case {"segment": [int() | float() as start, int() | float() as end], "label": str() as label}:
                return Annotation(
                    self._config.video_prefix + video, float(start), float(end), label.strip(), place
                )
        raise _wrong_json(f'has no "segment": [start, end] with a "label" at {place}', path)


def _wrong_json(problem: str, path: Path) -> ProlepsisError:
    return ProlepsisError(
        f"The annotation file {problem}.",
        where=path,
        remedy='Its form is {"database": {video: {"annotations": [{"segment": [start, end], "label": …}]}}}.',
    )
