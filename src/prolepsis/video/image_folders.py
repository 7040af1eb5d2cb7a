"""A folder of numbered images is a video: which images it has, and in which order."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from prolepsis.video.errors import UnreadableVideoError

IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png")

_NAME = re.compile(r"(?P<before>.*?)(?P<number>\d+)(?P<after>\D*)", re.ASCII)


def is_image_folder(folders: Sequence[str], files: Sequence[str]) -> bool:
    """Whether what a folder holds, hidden files left out, is images and nothing else."""
    return bool(files) and not folders and all(Path(name).suffix.lower() in IMAGE_SUFFIXES for name in files)


def numbered_images(folder: Path) -> list[Path]:
    """The images of a folder in the order of their numbers: 9 comes before 10, with or without zeros.

    The number is the last one in the name; the rest of the name is the same for all.

    Raises:
        UnreadableVideoError: an image has no number, two have the same or one is missing, or the names differ
            in more.
    """
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".")]
    if not is_image_folder([], names):
        raise UnreadableVideoError(
            "It is a folder that does not hold images alone.",
            where=folder,
            remedy=f"Leave only numbered images in it: {', '.join(IMAGE_SUFFIXES)}.",
        )
    numbers: dict[str, int] = {}
    patterns: Counter[str] = Counter()
    for name in names:
        match = _NAME.fullmatch(Path(name).stem)
        if match is None:
            raise UnreadableVideoError(f"The image {name} has no number.", where=folder)
        numbers[name] = int(match["number"])
        patterns[f"{match['before']}…{match['after']}"] += 1
    if len(patterns) > 1:
        (common, _), (other, _) = patterns.most_common(2)
        raise UnreadableVideoError(
            f"The names of its images differ in more than their number: {common} and {other}.", where=folder
        )
    ordered = sorted(names, key=lambda name: (numbers[name], name))
    _check_sequence(ordered, numbers, folder)
    return [folder / name for name in ordered]


def _check_sequence(ordered: list[str], numbers: dict[str, int], folder: Path) -> None:
    for name, following in pairwise(ordered):
        if numbers[name] == numbers[following]:
            raise UnreadableVideoError(
                f"The images {name} and {following} have the same number.", where=folder
            )
        first, last = numbers[name] + 1, numbers[following] - 1
        if first <= last:
            missing = f"image {first} is" if first == last else f"images {first} to {last} are"
            raise UnreadableVideoError(f"The {missing} missing.", where=folder)
