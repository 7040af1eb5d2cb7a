"""A folder of numbered images is a video: which images it has, and in which order."""

import os
import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from prolepsis.video.errors import UnreadableVideoError

IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png")

_NAME = re.compile(r"(?P<before>.*?)(?P<number>\d+)(?P<after>\D*)", re.ASCII)


# Images that are no frames of a sequence here, though a folder of them is meant as one.
_OTHER_IMAGE_SUFFIXES = (".bmp", ".exr", ".gif", ".ppm", ".tga", ".tif", ".tiff", ".webp")


def holds_image(names: Iterable[str]) -> bool:
    """Whether one of the files is an image, be it one that is read or not."""
    return any(Path(name).suffix.lower() in IMAGE_SUFFIXES + _OTHER_IMAGE_SUFFIXES for name in names)


def numbered_images(folder: Path) -> list[Path]:
    """The images of a folder in the order of their numbers: 9 comes before 10, with or without zeros.

    The number is the last one in the name; the rest of the name is the same for all.

    Raises:
        UnreadableVideoError: an image has no number, two have the same or one is missing, or the names differ
            in more.
    """
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".")]
    _check_only_images(sorted(names), folder)
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


def _check_only_images(names: list[str], folder: Path) -> None:
    others = [name for name in names if Path(name).suffix.lower() not in IMAGE_SUFFIXES]
    if names and not others:
        return
    what = f"that holds more than {', '.join(IMAGE_SUFFIXES)}: {others[0]}" if names else "with nothing in it"
    raise UnreadableVideoError(
        f"It is a folder {what}.",
        where=folder,
        remedy=f"Leave only numbered images in it: {', '.join(IMAGE_SUFFIXES)}.",
    )


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
