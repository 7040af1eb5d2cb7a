"""ActivityNet's JSON, in which THUMOS'14 is also passed on."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from prolepsis.errors import ProlepsisError
from prolepsis.video.annotations.base import Annotation, one_file


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
            # As floats, so that true is no number and one of 400 digits is infinite, which the checks refuse.
            content = json.loads(
                one_file(path).read_text(encoding="utf-8-sig"),
                parse_int=float,
                object_pairs_hook=_without_doubles,
            )
        except ValueError as error:
            raise _wrong_json(f"is not JSON as it should be: {error}", path) from error
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
            case {"segment": [float() as start, float() as end], "label": str() as label}:
                return Annotation(self._config.video_prefix + video, start, end, label.strip(), place)
        raise _wrong_json(f'has no "segment": [start, end] with a "label" at {place}', path)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of the JSON; of two values under one key, Python would keep the last without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise ValueError(f"an object has {twice!r} twice")
    return found


def _wrong_json(problem: str, path: Path) -> ProlepsisError:
    return ProlepsisError(
        f"The annotation file {problem}.",
        where=path,
        remedy='Its form is {"database": {video: {"annotations": [{"segment": [start, end], "label": …}]}}}.',
    )
