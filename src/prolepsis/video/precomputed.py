"""Features and labels that others computed, in the layout that LSTR, TeSTra and MiniROAD share.

    <folder>/
        rgb_kinetics_resnet50/<video>.npy        float [T, D], a folder for each stream
        flow_kinetics_bninception/<video>.npy    float [T, E]
        target_perframe/<video>.npy              [T, C], 0 or 1, several a row; or [T], the class's number
        data_info.json                           class names, lists of training and test videos

The rules, since each has moved results or stopped people:

- A map [T, D, H, W] (HDD's features) is averaged over H and W, or kept, all D·H·W values in the file's order.
- Streams and targets of a video that differ in length by no more than the tolerance are cut at the end to the
  shortest: off by one is what rounding at a video's end makes. More is refused.
- Column 0 becomes `background`, set where no action is. The targets' own background column is found by its
  name, "background" in any case where no other is given; where no class is called so and the targets have one
  column more than there are classes, it is the first.
- Steps of an ignored class (THUMOS' Ambiguous) are marked `ignore`, and its column goes.
- The lists know train and test only. A share of the training videos, drawn by a seed and the video's name,
  becomes val; a test video never does.
"""

import difflib
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from prolepsis.errors import ProlepsisError
from prolepsis.files import fingerprint, sha256_file
from prolepsis.plugins import offer
from prolepsis.video.labels import BACKGROUND, step_times

PUBLISHED = "published"
"""Stands in `frame_labels` where a rule's name would: whoever made the labels knows it."""

ENCODER_NAME = "precomputed"
"""Stands where the name of the encoder would."""

_VALUES_AT_ONCE = 1 << 24
_MOST_SHOWN = 5
_CLASS_KEYS = ("class_names", "class_index")  # LSTR and TeSTra; TRN and OadTR
_SESSION_KEYS = ("train_session_set", "test_session_set")
_MAGIC = b"\x93NUMPY"
_logger = logging.getLogger(__name__)


class _Published(BaseModel):
    """What counts of a dataset in a `data_info.json`; whatever else stands there is passed over."""

    model_config = ConfigDict(frozen=True)

    class_names: tuple[str, ...] = Field(min_length=1)
    train_session_set: tuple[str, ...] = Field(min_length=1)
    test_session_set: tuple[str, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Description:
    """A dataset's classes, in the order of the targets' columns, and its videos."""

    class_names: tuple[str, ...]
    train: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class PrecomputedVideo:
    """A video's files, and how many steps all of them have."""

    video: str
    split: str
    num_steps: int
    streams: tuple[Path, ...]
    targets: Path
    keep_maps: bool = False

    @property
    def source_sha256(self) -> str:
        return fingerprint([sha256_file(path) for path in self.streams])

    def features(self) -> Iterator[NDArray[Any]]:
        """The streams side by side, some rows at a time, float [n, D].

        Raises:
            ProlepsisError: a number is NaN or infinite.
        """
        opened = [open_array(path) for path in self.streams]
        rows_at_once = max(1, _VALUES_AT_ONCE // sum(stream[0].size for stream in opened))
        for start in range(0, self.num_steps, rows_at_once):
            rows = slice(start, min(start + rows_at_once, self.num_steps))
            blocks = [_flat(stream[rows], keep_maps=self.keep_maps) for stream in opened]
            for path, block in zip(self.streams, blocks, strict=True):
                _check_finite(block, path, start)
            yield np.concatenate(blocks, axis=1)


def read_description(path: Path, dataset: str | None) -> Description:
    """Reads a `data_info.json`: one dataset's description, or several by their names.

    Args:
        dataset: the name of one of several; None where there is only one.

    Raises:
        ProlepsisError: the file is absent or lacks something, or the dataset is not in it.
    """
    if not path.is_file():
        raise ProlepsisError(
            "There is no description of the dataset.",
            where=path,
            remedy="Put the data_info.json there that came with the features, or set classes and sessions.",
        )
    content = _parse(path)
    if "train_session_set" not in content:
        content = _chosen(content, dataset, path)
    names = next((content[key] for key in _CLASS_KEYS if key in content), None)
    missing = [key for key in _SESSION_KEYS if key not in content]
    if names is None:
        missing.append(" or ".join(_CLASS_KEYS))
    if missing:
        raise ProlepsisError(f"The description lacks {', '.join(missing)}.", where=path)
    try:
        published = _Published.model_validate({**content, "class_names": names})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ProlepsisError(
            f"The description is not as it should be, at {place}: {first['msg']}.",
            where=path,
            remedy="Class names and sessions are lists of names in quotes, none of them empty.",
        ) from error
    return Description(published.class_names, published.train_session_set, published.test_session_set)


def split_sessions(description: Description, val_share: float, seed: int) -> dict[str, str]:
    """The split of each video. A share of the training list is val: those that a hash puts first.

    Raises:
        ProlepsisError: a video is listed twice, or nothing is left to train on.
    """
    listed = Counter([*description.train, *description.test])
    if twice := sorted(video for video, count in listed.items() if count > 1):
        raise ProlepsisError(
            f"Videos are listed twice: {', '.join(twice[:_MOST_SHOWN])}.",
            where="train and test lists",
            remedy="A video is in one list, once.",
        )
    drawn = sorted(description.train, key=lambda video: hashlib.sha256(f"{seed}:{video}".encode()).digest())
    num_val = max(1, round(val_share * len(drawn)))
    if num_val >= len(drawn):
        raise ProlepsisError(
            f"Of {len(drawn)} training videos, {num_val} would be for validation: none is left to train on.",
            where="val_share",
        )
    val = set(drawn[:num_val])
    splits = {video: "val" if video in val else "train" for video in description.train}
    return splits | dict.fromkeys(description.test, "test")


def find_videos(
    folder: Path,
    splits: Mapping[str, str],
    *,
    streams: Sequence[str],
    targets: str,
    length_tolerance: int,
    leave_out_missing: bool,
    keep_maps: bool = False,
) -> list[PrecomputedVideo]:
    """The files of all listed videos, sorted by name, checked against each other by their headers.

    Args:
        keep_maps: keep all values of maps `[T, D, H, W]` instead of their means over H and W.

    Raises:
        ProlepsisError: a folder is absent, a video lacks a file, or its files differ too much in length.
    """
    for name in (*streams, targets):
        if not (folder / name).is_dir():
            present = (
                sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
            )
            raise ProlepsisError(f"There is no folder {name!r}.", where=folder, remedy=offer(name, present))
    complete: list[str] = []
    missing: list[str] = []
    for video in sorted(splits):
        files = [folder / name / f"{video}.npy" for name in (*streams, targets)]
        (complete if all(file.is_file() for file in files) else missing).append(video)
    if missing:
        _report_missing(folder, missing, (*streams, targets), leave_out_missing)
    found = [
        replace(
            _examine(folder, video, splits[video], streams, targets, length_tolerance), keep_maps=keep_maps
        )
        for video in complete
    ]
    if not found:
        raise ProlepsisError("Not one listed video is there.", where=folder)
    cut = sum(
        any(one.num_steps < len(open_array(file)) for file in (*one.streams, one.targets)) for one in found
    )
    if cut:
        _logger.warning("%d videos have features and targets of different lengths: cut to the shorter", cut)
    return found


def arrange_classes(
    class_names: Sequence[str], ignored: Sequence[str], background: str | None = None
) -> list[str]:
    """The classes that detectors learn: `background` first, the others in their order, none ignored.

    Args:
        background: what the dataset calls it; None for "background", in any case.

    Raises:
        ProlepsisError: the ignored classes or the background are not among them, or two have one name.
    """
    for place, names in (("ignored_classes", ignored), ("background", [background] if background else [])):
        for name in names:
            if name not in class_names:
                raise ProlepsisError(
                    f"The class {name!r} of {place} is not one of the dataset's.",
                    where=place,
                    remedy=offer(name, list(class_names)),
                )
    arranged = [BACKGROUND, *(class_names[number] for number in _actions(class_names, ignored, background))]
    if twice := sorted(name for name, count in Counter(arranged).items() if count > 1):
        raise ProlepsisError(
            f"More than one class would be called {', '.join(twice)}.",
            where="classes",
            remedy="Give each column of the targets a name of its own; background says which is that.",
        )
    return arranged


def label_steps(
    video: PrecomputedVideo,
    class_names: Sequence[str],
    ignored: Sequence[str],
    rate: float,
    background: str | None = None,
) -> pl.DataFrame:
    """The rows of a video in `frame_labels`.

    Raises:
        ProlepsisError: the targets do not fit the classes.
    """
    columns = list(class_names)
    targets = open_array(video.targets)[: video.num_steps]
    has_background = any(_is_background(name, background) for name in columns)
    if targets.ndim == 2 and targets.shape[1] == len(columns) + 1 and not has_background:
        columns.insert(0, BACKGROUND)
    shown = _multi_hot(targets, len(columns), video.targets)
    actions = _actions(columns, ignored, background)
    labels = np.zeros((video.num_steps, len(actions) + 1), dtype=np.uint8)
    labels[:, 1:] = shown[:, actions]
    labels[:, 0] = ~labels[:, 1:].any(axis=1)
    ignore = shown[:, [number for number, name in enumerate(columns) if name in ignored]].any(axis=1)
    return pl.DataFrame(
        {
            "video": [video.video] * video.num_steps,
            "split": [video.split] * video.num_steps,
            "step": np.arange(video.num_steps, dtype=np.int32),
            "time": step_times(video.num_steps, rate),
            "labels": pl.Series(labels).arr.to_list(),
            "ignore": ignore,
            "rule": [PUBLISHED] * video.num_steps,
        }
    )


def open_array(path: Path) -> NDArray[Any]:
    """A NumPy file, mapped; never unpickled.

    Raises:
        ProlepsisError: it is no NumPy file, is cut off, or holds Python objects.
    """
    with path.open("rb") as file:
        beginning = file.read(len(_MAGIC))
    if beginning != _MAGIC:
        what = "The file is empty" if not beginning else "This is no NumPy file of one array (.npy)"
        raise ProlepsisError(f"{what}.", where=path, remedy="Save it with numpy.save, or get it again.")
    try:
        array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OSError) as error:
        if "Python objects" in str(error):
            raise ProlepsisError(
                "The array is of Python objects, which are not read: they can run code.",
                where=path,
                remedy="Save the numbers by themselves: numpy.save(path, numpy.stack(array)).",
            ) from error
        raise ProlepsisError(
            "The NumPy file is damaged or cut off.", where=path, remedy="Get or save it again."
        ) from error
    return array


def feature_size(video: PrecomputedVideo) -> int:
    """The length of a video's feature vectors: the streams' added up."""
    opened = [open_array(path) for path in video.streams]
    return sum(array[0].size if video.keep_maps else array.shape[1] for array in opened)


def _parse(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ProlepsisError(
            f"The description is no JSON in UTF-8: {error}.", where=path, remedy="Mend it, or get it again."
        ) from error
    return _object(content, path)


def _object(content: Any, path: Path) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ProlepsisError(
            f"A description is an object, {{…}}, with {', '.join(_SESSION_KEYS)}; here is: {content!r:.40}.",
            where=path,
        )
    return content


def _chosen(content: Mapping[str, Any], dataset: str | None, path: Path) -> dict[str, Any]:
    if dataset is None and len(content) == 1:
        return _object(next(iter(content.values())), path)
    if dataset is None or dataset not in content:
        raise ProlepsisError(
            f"The description has several datasets; {dataset!r} is none of them.",
            where=path,
            remedy=f"Set dataset. {offer(dataset or '', list(content))}",
        )
    return _object(content[dataset], path)


def _report_missing(folder: Path, missing: Sequence[str], parts: Sequence[str], leave_out: bool) -> None:
    if leave_out:
        _logger.warning("%d listed videos are left out: their files are missing", len(missing))
        return
    shown = "\n".join(f"    {_what_is_missing(folder, video, parts)}" for video in missing[:_MOST_SHOWN])
    more = f"\n    and {len(missing) - _MOST_SHOWN} more" if len(missing) > _MOST_SHOWN else ""
    raise ProlepsisError(
        f"{len(missing)} listed videos lack files:\n{shown}{more}",
        where=folder,
        remedy="Get the files, take the videos off the lists, or set missing_videos: leave_out.",
    )


def _what_is_missing(folder: Path, video: str, parts: Sequence[str]) -> str:
    absent = [part for part in parts if not (folder / part / f"{video}.npy").is_file()]
    present = [path.stem for path in (folder / absent[0]).glob("*.npy")]
    near = difflib.get_close_matches(video, present, n=1, cutoff=0.8)
    return f"{video}: not in {', '.join(absent)}" + (f" (there is {near[0]!r})" if near else "")


def _examine(
    folder: Path, video: str, split: str, streams: Sequence[str], targets: str, tolerance: int
) -> PrecomputedVideo:
    paths = {name: folder / name / f"{video}.npy" for name in (*streams, targets)}
    for name, path in paths.items():
        _check_numbers(path, fewest_axes=1 if name == targets else 2)
    lengths = {name: len(open_array(path)) for name, path in paths.items()}
    if max(lengths.values()) - min(lengths.values()) > tolerance:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ProlepsisError(
            f"The files of {video!r} have different numbers of steps: {told}.",
            where=folder,
            remedy="Take features and targets of one rate. Differences up to length_tolerance are cut off.",
        )
    own = tuple(paths[name] for name in streams)
    return PrecomputedVideo(video, split, min(lengths.values()), own, paths[targets])


def _check_numbers(path: Path, *, fewest_axes: int) -> None:
    """Refuses an array that cannot be features or targets, by its header."""
    array = open_array(path)
    if array.dtype.kind not in "biuf":
        raise ProlepsisError(
            f"The array is of {array.dtype}; features and targets are real numbers.",
            where=path,
            remedy="Save it as float32, float16 or uint8.",
        )
    if array.ndim < fewest_axes or array.size == 0:
        wanted = "steps and numbers" if fewest_axes > 1 else "steps, and classes where there are several"
        raise ProlepsisError(
            f"The array has the shape {list(array.shape)}; its axes are {wanted}, none of length zero.",
            where=path,
            remedy="Compute the video's features and targets again, or take it off the lists.",
        )


def _check_finite(block: NDArray[Any], path: Path, start: int) -> None:
    finite = np.isfinite(block).all(axis=1)
    if not finite.all():
        raise ProlepsisError(
            f"The features of step {start + int(np.argmin(finite))} are not numbers: NaN, or infinite.",
            where=path,
            remedy="Compute the video's features again, or take it off the lists.",
        )


def _flat(rows: NDArray[Any], *, keep_maps: bool) -> NDArray[Any]:
    if keep_maps:
        return rows.reshape(len(rows), -1)
    return rows.mean(axis=tuple(range(2, rows.ndim)), dtype=np.float32) if rows.ndim > 2 else rows


def _multi_hot(targets: NDArray[Any], num_classes: int, path: Path) -> NDArray[np.bool_]:
    if targets.ndim == 1 and np.issubdtype(targets.dtype, np.integer):
        if targets.size and not 0 <= targets.min() <= targets.max() < num_classes:
            raise ProlepsisError(
                f"The targets name classes from {targets.min()} to {targets.max()}; there are {num_classes}.",
                where=path,
                remedy="Set classes to those of the targets, background included, in their order.",
            )
        one_hot: NDArray[np.bool_] = np.eye(num_classes, dtype=np.bool_)[targets]
        return one_hot
    if targets.ndim != 2 or targets.shape[1] != num_classes:
        raise ProlepsisError(
            f"The targets have the shape {list(targets.shape)}; there are {num_classes} classes.",
            where=path,
            remedy="Set classes to those of the columns, background included, in their order.",
        )
    if not np.isin(targets, (0, 1)).all():
        raise ProlepsisError("The targets have values that are neither 0 nor 1.", where=path)
    shown: NDArray[np.bool_] = np.asarray(targets) > 0
    return shown


def _actions(class_names: Sequence[str], ignored: Sequence[str], background: str | None) -> list[int]:
    """The columns of classes that are neither the background nor ignored."""
    return [
        number
        for number, name in enumerate(class_names)
        if not _is_background(name, background) and name not in ignored
    ]


def _is_background(name: str, background: str | None) -> bool:
    return name.lower() == BACKGROUND if background is None else name == background
