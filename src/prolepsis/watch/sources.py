"""What a person writes as the source of a watch, and what it means."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from prolepsis.errors import ProlepsisError
from prolepsis.video.image_folders import holds_image
from prolepsis.video.live import Clock, Cutting, LiveStream, OnFrame, Source, VideoFile, camera, stream
from prolepsis.watch.engine import FeatureSource
from prolepsis.watch.features_folder import FEATURE_SUFFIX, FeaturesFolder
from prolepsis.watch.model import WatchModel

_RATE_TOLERANCE = 1e-6
_SOURCES = "Give a video file, a folder, a camera's number, or an address such as rtsp://camera/stream."


@dataclass(frozen=True)
class Opening:
    """How a source is opened.

    Attributes:
        fast: a file as fast as it can be read; a folder of features as it is.
        rate: steps per second of the features in a folder, if they say so.
        image_folder_rate: frames per second of a folder of numbered images.
        on_problem: told what is passed over or broke.
        on_frame: shown each frame as it comes.
    """

    fast: bool
    image_folder_rate: float
    rate: float | None = None
    on_problem: Callable[[str], None] = logging.getLogger(__name__).warning
    on_frame: OnFrame | None = None
    clock: Clock = time.monotonic


def open_source(text: str, model: WatchModel, opening: Opening) -> Source | FeatureSource:
    """A camera's number, the address of a stream, a video, or a folder in which features arrive.

    Raises:
        ProlepsisError: there is no such thing, or an option does not go with it.
    """
    if not text:
        raise ProlepsisError("The source has no name.", where="SOURCE", remedy=_SOURCES)
    if text.startswith("file://"):
        text = url2pathname(urlsplit(text).path)
    path = Path(text)
    is_live = text.isdecimal() or "://" in text
    if opening.fast and is_live:
        raise ProlepsisError(
            "A camera or stream comes at its own pace.", where=source_name(text), remedy="Leave --fast away."
        )
    is_features = path.is_dir() and not holds_image(one.name for one in path.iterdir())
    if opening.rate is not None:
        _check_rate(opening.rate, model, source_name(text), is_features=is_features and not is_live)
    if is_live:
        address = camera(int(text)) if text.isdecimal() else stream(text)
        return LiveStream(address, _cutting(model, opening), _retried(opening.on_problem), opening.on_problem)
    if is_features:
        _check_folder(path)
        return FeaturesFolder(
            path,
            rate=model.rate,
            input_size=model.detector.input_size,
            fast=opening.fast,
            on_problem=opening.on_problem,
            clock=opening.clock,
        )
    if not path.exists():
        raise ProlepsisError("There is no such video or folder.", where=path, remedy=_SOURCES)
    return open_video(path, model, opening)


def check_video(path: Path) -> None:
    """Raises ProlepsisError where there is no video to be read to its end."""
    if path.exists():
        return
    if ":/" in str(path) and not str(path).startswith("file:"):  # an address, which may hold a password
        raise ProlepsisError(
            "A stream has no end: its best moments are found once it is a file.",
            where="VIDEO",
            remedy="Record it, and give the file.",
        )
    raise ProlepsisError(
        "There is no such video.",
        where=path,
        remedy="Give the path of a video file, or of a folder of numbered images.",
    )


def open_video(path: Path, model: WatchModel, opening: Opening) -> VideoFile:
    """A video file, or a folder of numbered images."""
    return VideoFile(
        path, _cutting(model, opening), fast=opening.fast, image_folder_rate=opening.image_folder_rate
    )


def source_name(text: str) -> str:
    """The source for people to read: an address without user and password."""
    return stream(text).shown if "://" in text else text


def _check_folder(folder: Path) -> None:
    """Refuses a folder in which features would be waited for in vain: it holds other things, and none."""
    names = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    if names and not any(FEATURE_SUFFIX in name for name in names):
        raise ProlepsisError(
            f"The folder holds neither features ({FEATURE_SUFFIX}) nor numbered images.",
            where=folder,
            remedy="Give one of the videos in it, or an empty folder in which features will arrive.",
        )


def _cutting(model: WatchModel, opening: Opening) -> Cutting:
    encoder = model.require_encoder()
    return Cutting(model.rate, encoder.offsets, encoder.size, opening.clock, opening.on_frame)


def _retried(on_problem: Callable[[str], None]) -> Callable[[str, float], None]:
    def tell(problem: str, pause: float) -> None:
        on_problem(f"{problem.rstrip('.')}; it is opened again in {pause:g} s")

    return tell


def _check_rate(rate: float, model: WatchModel, where: str, *, is_features: bool) -> None:
    if not is_features:
        raise ProlepsisError(
            "Only features that arrive in a folder have a rate of their own.",
            where=where,
            remedy="Leave --rate away: pictures are taken at the detector's rate.",
        )
    if abs(rate - model.rate) > _RATE_TOLERANCE * model.rate:
        raise ProlepsisError(
            f"The features have {rate:g} steps a second; the detector was trained at {model.rate:g}.",
            where=where,
            remedy=f"Make features at {model.rate:g} steps a second.",
        )
