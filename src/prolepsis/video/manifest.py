"""The manifest: every video of a folder, which split it is in, and what it turned out to be."""

import hashlib
import logging
import os
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath

import polars as pl

from prolepsis.errors import ProlepsisError
from prolepsis.files import sha256_file
from prolepsis.training.progress import track
from prolepsis.video.annotations import SPLITS, video_id
from prolepsis.video.errors import UnreadableVideoError
from prolepsis.video.image_folders import IMAGE_SUFFIXES, numbered_images
from prolepsis.video.labels import num_steps
from prolepsis.video.media import (
    SUFFIXES,
    VideoInfo,
    check_inside,
    find_passed_over,
    find_videos,
    probe,
)
from prolepsis.video.precomputed import Description, split_sessions

_logger = logging.getLogger(__name__)

_MOST_SHOWN = 5
_SCHEMA: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "video": pl.String,
    "split": pl.String,
    "path": pl.String,
    "sha256": pl.String,
    "container": pl.String,
    "codec": pl.String,
    "width": pl.Int32,
    "height": pl.Int32,
    "rotation": pl.Int32,
    "fps": pl.Float64,
    "nominal_fps": pl.Float64,
    "duration": pl.Float64,
    "num_frames": pl.Int64,
    "num_steps": pl.Int32,
    "problems": pl.List(pl.String),
}


def build_manifest(
    folder: Path,
    *,
    rate: float,
    split_shares: Mapping[str, float],
    val_share: float,
    seed: int,
    max_bad_share: float,
    image_folder_rate: float,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Decodes every video of `folder` once, in parallel threads.

    A folder of numbered images is a video of `image_folder_rate` frames per second.

    A first folder named train, val or test decides a video's split; for others a hash of the id does, so that
    a video keeps its split when others come or go. Where there is a folder train and none called val, as in
    data sets that publish two splits, `val_share` of train becomes val, drawn by `seed` and the id: the same
    videos that `precomputed_features` draws.

    Returns:
        the manifest, a row for each readable video, sorted by path; and those set aside: path, reason.

    Raises:
        ProlepsisError: there are no videos, two have one id, images lie straight in a split's folder, or more
            than `max_bad_share` cannot be read.
    """
    files = find_videos(folder)
    if not files:
        raise ProlepsisError(
            "There are no videos.",
            where=folder,
            remedy=f"Put videos there ({', '.join(SUFFIXES)}, or a folder of numbered images for each: "
            f"{', '.join(IMAGE_SUFFIXES)}), or make the demo data.",
        )
    _report_passed_over(find_passed_over(folder, files), folder)
    paths = [file.relative_to(folder).as_posix() for file in files]
    _check_split_folders(paths, folder)
    _check_ids(paths, folder)
    rows, set_aside = [], []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(partial(_examine, folder=folder, image_folder_rate=image_folder_rate), files)
        for path, result in track(
            zip(paths, results, strict=True), "Decoding videos", total=len(paths), unit="videos"
        ):
            if isinstance(result, UnreadableVideoError):
                set_aside.append((path, result.message))
                _logger.warning("%s is set aside: %s", path, result.message)
            else:
                if result[0].problems:
                    _logger.info("%s is used, though odd: %s", path, "; ".join(result[0].problems))
                rows.append(_row(path, *result, rate, split_shares))
    _check_bad_share(set_aside, len(files), max_bad_share, folder)
    manifest = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
    if not any(_folder_split(path) == "val" for path in paths):
        manifest = _draw_validation(manifest, val_share, seed)
    for split in SPLITS:
        if split not in manifest["split"]:
            _logger.warning("there is no readable video in the split %r", split)
    return manifest, pl.DataFrame(set_aside, schema={"path": pl.String, "reason": pl.String}, orient="row")


def choose_split(path: str, shares: Mapping[str, float]) -> str:
    """The split of a video by its path: its first folder's, or by chance, the same for the same id."""
    if (split := _folder_split(path)) is not None:
        return split
    digest = hashlib.sha256(video_id(path).encode()).digest()
    chance = int.from_bytes(digest[:8], "big") / 2**64
    if chance < shares["train"]:
        return "train"
    return "val" if chance < shares["train"] + shares["val"] else "test"


def _folder_split(path: str) -> str | None:
    parts = PurePosixPath(path).parts
    return parts[0] if len(parts) > 1 and parts[0] in SPLITS else None


def _draw_validation(manifest: pl.DataFrame, share: float, seed: int) -> pl.DataFrame:
    """The manifest with a share of the folder train as val; a single video is left to train on."""
    train = [
        video
        for path, video in manifest.select("path", "video").iter_rows()
        if _folder_split(path) == "train"
    ]
    if len(train) < 2:
        return manifest
    drawn = split_sessions(Description((), train=tuple(train), test=()), share, seed)
    _logger.info(
        "There is no folder val: %d of the %d videos in train are it (video_ingestion.val_share)",
        sum(split == "val" for split in drawn.values()),
        len(drawn),
    )
    return manifest.with_columns(
        split=pl.col("video").replace_strict(drawn, default=pl.col("split"), return_dtype=pl.String)
    )


def _examine(
    path: Path, folder: Path, image_folder_rate: float
) -> tuple[VideoInfo, str] | UnreadableVideoError:
    try:
        check_inside(path, folder)
        return probe(path, image_folder_rate), video_sha256(path)
    except UnreadableVideoError as error:
        return error


def video_sha256(path: Path) -> str:
    """Of a file's content, or of the names and contents of a folder's images."""
    if not path.is_dir():
        return sha256_file(path)
    digest = hashlib.sha256()
    for image in numbered_images(path):
        digest.update(f"{sha256_file(image)}  {image.name}\n".encode())
    return digest.hexdigest()


def _row(
    path: str, info: VideoInfo, sha256: str, rate: float, split_shares: Mapping[str, float]
) -> tuple[str | int | float | list[str] | None, ...]:
    return (
        video_id(path),
        choose_split(path, split_shares),
        path,
        sha256,
        info.container,
        info.codec,
        info.width,
        info.height,
        info.rotation,
        info.frames_per_second,
        info.nominal_frames_per_second,
        info.duration,
        info.num_frames,
        num_steps(info.duration, rate),
        list(info.problems),
    )


def _report_passed_over(files: list[Path], folder: Path) -> None:
    if not files:
        return
    shown = ", ".join(file.relative_to(folder).as_posix() for file in files[:_MOST_SHOWN])
    more = f" and {len(files) - _MOST_SHOWN} more" if len(files) > _MOST_SHOWN else ""
    _logger.warning(
        "%d files among the videos are none by their suffix, and are passed over: %s%s",
        len(files),
        shown,
        more,
    )


def _check_split_folders(paths: list[str], folder: Path) -> None:
    for path in paths:
        if path in SPLITS:
            raise ProlepsisError(
                f"Images lie straight in the folder {path!r}: of which video they are, nothing says.",
                where=folder / path,
                remedy=f"Put the images of each video into a folder of its own: {path}/walk/0001.png.",
            )


def _check_ids(paths: list[str], folder: Path) -> None:
    same: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        same[video_id(path)].append(path)
    for video, claimants in same.items():
        if len(claimants) > 1:
            raise ProlepsisError(
                f"{' and '.join(claimants)} would both be the video {video!r}.",
                where=folder,
                remedy="Rename one: a video is known by its path without train, val or test and the suffix.",
            )


def _check_bad_share(set_aside: list[tuple[str, str]], total: int, most: float, folder: Path) -> None:
    if len(set_aside) > most * total or len(set_aside) == total:
        shown = "\n".join(f"    {path}: {reason}" for path, reason in set_aside[:_MOST_SHOWN])
        more = f"\n    and {len(set_aside) - _MOST_SHOWN} more" if len(set_aside) > _MOST_SHOWN else ""
        raise ProlepsisError(
            f"{len(set_aside)} of {total} videos cannot be read:\n{shown}{more}",
            where=folder,
            remedy="Mend or remove them, or allow more: video_ingestion.max_bad_share.",
        )
