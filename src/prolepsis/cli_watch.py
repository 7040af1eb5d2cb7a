"""`kedro watch` and `kedro highlights`: trained detectors on a stream, and on a video."""

import math
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kedro.config import MissingConfigException
from kedro.framework.cli.utils import env_option
from kedro.framework.session import KedroSession
from kedro.framework.startup import ProjectMetadata
from pydantic import ValidationError
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from prolepsis.cli_messages import told
from prolepsis.errors import ProlepsisError

if TYPE_CHECKING:
    import polars as pl

    from prolepsis.action.hysteresis import Hysteresis
    from prolepsis.pipelines.detection_evaluation.params import SegmentParams
    from prolepsis.watch.alerts import AlertRule
    from prolepsis.watch.engine import Watch
    from prolepsis.watch.highlights import WatchedVideo
    from prolepsis.watch.model import WatchModel


class _Range(click.FloatRange):
    """A range that NaN is not in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail("nan is no number.", param, ctx)
        return number


_PROBABILITY = _Range(0, 1)
_SECONDS = _Range(0, 1e9)  # as steps they are whole numbers, which must not overflow
_RATE = _Range(0, min_open=True)
_MODELS = Path("06_models") / "detectors"
_REPORTS = Path("08_reporting")

_detector = click.option(
    "--detector", "-d", default="trn", show_default=True, help="A trained detector, by its variant's name."
)
_device = click.option("--device", help="cpu, cuda, cuda:1, mps or auto; by default as in globals.yml.")
_classes = click.option(
    "--class", "classes", multiple=True, help="Only this class; may be given several times."
)
_start_threshold = click.option(
    "--threshold",
    type=_PROBABILITY,
    help="The probability at which an action begins; this and the next three are by default as in "
    "detection_evaluation.segments.",
)
_end_threshold = click.option(
    "--end-threshold", type=_PROBABILITY, help="The probability below which it ends."
)
_min_seconds = click.option("--min-seconds", type=_SECONDS, help="How long it must last to count.")
_release_seconds = click.option(
    "--release-seconds", type=_SECONDS, help="How long it must be below before it has ended."
)


def _segment_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (_release_seconds, _min_seconds, _end_threshold, _start_threshold):
        command = option(command)
    return command


@click.command()
@click.argument("source")
@_detector
@click.option("--fast", is_flag=True, help="A file as fast as it can be read, every step of it.")
@_segment_options
@click.option(
    "--cool-down",
    type=_SECONDS,
    default=2.0,
    show_default=True,
    help="Seconds from one alert of a class to the next.",
)
@_classes
@click.option(
    "--rate", type=_RATE, help="Steps per second of features that arrive in a folder, to be checked."
)
@click.option(
    "--log",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file that lines are appended to; by default 08_reporting/watch/DETECTOR.jsonl of the data.",
)
@click.option("--page", is_flag=True, help="Serve a live page, until Ctrl-C.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address that the page is served at; beyond this machine it takes a token, which is printed.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    help="Of the page; 0 for any that is free.",
)
@_device
@env_option
@click.pass_obj
@told
def watch(metadata: ProjectMetadata, source: str, detector: str, env: str | None, **options: Any) -> None:
    """Watch SOURCE with a trained detector, and tell what it sees as JSON lines.

    SOURCE is a video file (played at its own pace, or with --fast), a camera's number, the address of a
    stream (rtsp://, http://, …), or a folder in which features arrive as .npy files.
    """
    from prolepsis.action.hysteresis import steps_of
    from prolepsis.watch.alerts import AlertRule

    settings = _settings(metadata, env)
    model = _model(settings, detector, options["device"])
    rule = AlertRule(
        _rule(settings, model, options),
        steps_of(options["cool_down"], model.rate),
        _chosen(options["classes"], model.class_names),
    )
    log = options["log"] or settings.data / _REPORTS / "watch" / f"{detector}.jsonl"
    _watch(settings, model, rule, source, log, options)


def _watch(
    settings: "_Settings",
    model: "WatchModel",
    rule: "AlertRule",
    source: str,
    log: Path,
    options: Mapping[str, Any],
) -> None:
    from prolepsis.watch.alerts import Alerts
    from prolepsis.watch.engine import Watch
    from prolepsis.watch.page import live_page
    from prolepsis.watch.sources import Opening, open_source, source_name
    from prolepsis.watch.telling import Teller, journal, told_to_all

    with ExitStack() as stack:
        tells = [stack.enter_context(journal(log, click.echo))]
        page = None
        if options["page"]:
            greeting = model.greeting(source_name(source), rule.hysteresis.start_threshold)
            page = stack.enter_context(live_page(greeting, options["host"], options["port"]))
            click.echo(f"The live page: {page.address}", err=True)
            tells.append(page.hub.tell)
        tell = told_to_all(tells)
        opening = Opening(
            fast=options["fast"],
            rate=options["rate"],
            image_folder_rate=settings.image_folder_rate,
            on_problem=lambda message: tell({"event": "problem", "message": message}),
            on_frame=page.pictures.offer if page else None,
        )
        running = Watch(model, open_source(source, model, opening))
        teller = Teller(running, model, Alerts(len(model.class_names), rule), tell)
        tell({"event": "start", "source": source_name(source), "detector": model.name, "rate": model.rate})
        with _stopped_by_signals(running):
            for moment in teller.moments():
                if page:
                    page.hub.show(moment)
        if page and not running.stopped:
            with suppress(KeyboardInterrupt):
                click.echo("The source has ended. Ctrl-C closes the page.", err=True)
                threading.Event().wait()


@contextmanager
def _stopped_by_signals(running: "Watch") -> Iterator[None]:
    """Ctrl-C and a polite kill end the watch as the end of its source would."""

    def stop(*_: object) -> None:
        running.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class _Settings:
    """What the project's configuration says."""

    data: Path
    device: str
    segments: "SegmentParams"
    image_folder_rate: float


def _settings(metadata: ProjectMetadata, env: str | None) -> _Settings:
    context = KedroSession.create(metadata.project_path, env=env, save_on_close=False).load_context()
    try:
        shared = context.config_loader["globals"]
    except MissingConfigException as error:
        raise ProlepsisError(
            f"There is no environment {context.env!r}.",
            where="--env",
            remedy="Give the name of a folder in conf.",
        ) from error
    return _Settings(
        data=metadata.project_path / str(shared["data"]),
        device=str(shared["device"]),
        segments=context.params["detection_evaluation"].segments,
        image_folder_rate=context.params["video_ingestion"].image_folder_rate,
    )


def _model(settings: _Settings, detector: str, device: str | None) -> "WatchModel":
    from prolepsis.plugins import offer
    from prolepsis.training.device import resolve_device
    from prolepsis.training.saved_model import SavedModel
    from prolepsis.watch.model import load_watch_model

    folder = settings.data / _MODELS
    trained = sorted(path.parent.name for path in folder.glob("*/metadata.json"))
    if not trained:
        raise ProlepsisError(
            "No detector has been trained.",
            where=folder,
            remedy="Run 'kedro run --pipelines video', or 'dvc repro'.",
        )
    if detector not in trained:
        raise ProlepsisError(
            f"There is no trained detector {detector!r}.", where=folder, remedy=offer(detector, trained)
        )
    return load_watch_model(
        detector, SavedModel.load(folder / detector), resolve_device(device or settings.device)
    )


def _rule(settings: _Settings, model: "WatchModel", options: Mapping[str, Any]) -> "Hysteresis":
    """The configured rule, with what the command line says of it."""
    from prolepsis.pipelines.detection_evaluation.params import SegmentParams
    from prolepsis.plugins import describe_validation_error

    given = {
        "start_threshold": options["threshold"],
        "end_threshold": options["end_threshold"],
        "min_seconds": options["min_seconds"],
        "release_seconds": options["release_seconds"],
    }
    chosen = settings.segments.model_dump() | {
        key: value for key, value in given.items() if value is not None
    }
    try:
        return SegmentParams.model_validate(chosen).rule(model.rate)
    except ValidationError as error:
        raise ProlepsisError(
            f"The rule for segments is wrong: {describe_validation_error(error)}",
            where="the command line, or detection_evaluation.segments",
            remedy="Give --threshold and --end-threshold so that the second is not above the first.",
        ) from error


def _chosen(names: Sequence[str], class_names: Sequence[str]) -> frozenset[int] | None:
    """The classes that are asked for by name; None for all.

    Raises:
        ProlepsisError: there is no such class.
    """
    from prolepsis.plugins import offer

    actions = list(class_names[1:])
    for name in names:
        if name not in actions:
            raise ProlepsisError(
                f"The detector knows no class {name!r}.", where="--class", remedy=offer(name, actions)
            )
    return frozenset(class_names.index(name) for name in names) or None


@click.command()
@click.argument("video", type=click.Path(path_type=Path))
@_detector
@click.option("--best", type=click.IntRange(1), default=3, show_default=True, help="Segments of each class.")
@_segment_options
@_classes
@click.option("--cut", is_flag=True, help="Also write the segments one after another as highlights.mp4.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to write; by default 08_reporting/highlights/VIDEO of the data.",
)
@_device
@env_option
@click.pass_obj
@told
def highlights(
    metadata: ProjectMetadata, video: Path, detector: str, env: str | None, **options: Any
) -> None:
    """Find the best moments of VIDEO: a table, pictures on one page, and with --cut a film of them."""
    from prolepsis.watch.highlights import check_writable, find_highlights, write_highlights
    from prolepsis.watch.sources import check_video

    settings = _settings(metadata, env)
    check_video(video)
    folder = options["output"] or settings.data / _REPORTS / "highlights" / _name(video)
    check_writable(folder, video)
    model = _model(settings, detector, options["device"])
    rule = _rule(settings, model, options)
    classes = _chosen(options["classes"], model.class_names)
    watched = _watched(settings, model, video)
    found = find_highlights(watched, rule, options["best"], classes)
    table = write_highlights(folder, watched, found, rule, cut=options["cut"])
    if found:
        Console().print(_highlights_table(table))
    else:
        click.echo("No action was probable enough for long enough. A lower --threshold finds more.")
    click.echo(folder / "index.html")


def _name(video: Path) -> str:
    """A file's name without its ending, or the whole name of a folder of images."""
    whole = Path(os.path.normpath(video.absolute()))  # a link keeps its own name
    return whole.name if whole.is_dir() else whole.stem


def _watched(settings: _Settings, model: "WatchModel", video: Path) -> "WatchedVideo":
    import numpy as np

    from prolepsis.training.progress import track
    from prolepsis.watch.engine import Watch
    from prolepsis.watch.highlights import WatchedVideo
    from prolepsis.watch.sources import Opening, open_video

    opening = Opening(fast=True, image_folder_rate=settings.image_folder_rate)
    beliefs = Watch(model, open_video(video, model, opening)).beliefs()
    scores = [belief.scores for belief in track(beliefs, f"Watching {video.name}", None, "steps")]
    return WatchedVideo(
        video, model.name, model.class_names, model.rate, np.stack(scores), settings.image_folder_rate
    )


def _highlights_table(table: "pl.DataFrame") -> Table:
    shown = Table("class", *(Column(name, justify="right") for name in ("start", "end", "mean", "highest")))
    for name, start, end, mean, peak, _ in table.iter_rows():
        shown.add_row(Text(name), f"{start:.2f} s", f"{end:.2f} s", f"{mean:.3f}", f"{peak:.3f}")
    return shown
