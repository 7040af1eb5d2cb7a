"""A demonstration video, a detector that has learnt from others, and a browser that shows what it sees."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from browser import Tab, opened_browser
from prolepsis.action.detectors.rnn import RNN
from prolepsis.action.hysteresis import Hysteresis
from prolepsis.action.sampling import SamplingConfig
from prolepsis.action.training import DetectorSpecification, train_detector
from prolepsis.action.windows import LabelledVideo
from prolepsis.pipelines.action_detection.params import DetectorTraining
from prolepsis.video.demo import DemoVideo, DemoVideoConfig, plan_videos, render_video
from prolepsis.video.labels import ActionInstance, rasterise
from prolepsis.watch.alerts import AlertRule, Alerts
from prolepsis.watch.engine import Watch
from prolepsis.watch.model import WatchModel, load_watch_model
from prolepsis.watch.page import live_page
from prolepsis.watch.sources import Opening, open_source
from prolepsis.watch.telling import Teller

from .conftest import CPU, DESCRIPTION, RATE, stored_features

DEMO = DemoVideoConfig(
    **{"train": 4, "val": 1, "test": 1, "seed": 1, "actions": ("backflip",)},
    **{"shortest": 9.0, "longest": 9.0, "size": 96, "two_people_share": 0.0},
)
SECONDS = 9
RULE = AlertRule(Hysteresis(0.5, 0.4, min_steps=2))


@dataclass(frozen=True)
class Film:
    """A rendered video, and when somebody turns a somersault in it."""

    path: Path
    actions: list[tuple[float, float]]


def rendered(video: DemoVideo, folder: Path) -> Film:
    path = folder / f"{video.identifier}.mp4"
    path.write_bytes(render_video(video, DEMO))
    return Film(path, [(one.start, one.end) for one in video.instances])


def labelled(film: Film) -> LabelledVideo:
    features = stored_features(film.path, film.path.with_suffix(""))["film"]
    labels = rasterise(
        [ActionInstance(start, end, 1) for start, end in film.actions],
        steps=len(features),
        rate=RATE,
        num_classes=2,
        frames_per_second=DEMO.frames_per_second,
    )
    return LabelledVideo(film.path.stem, features, labels.labels, labels.ignore)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Film]]:
    folder = tmp_path_factory.mktemp("films")
    by_split: dict[str, list[Film]] = {}
    for video in plan_videos(DEMO):
        by_split.setdefault(video.split, []).append(rendered(video, folder))
    return by_split


@pytest.fixture(scope="module")
def film(films: dict[str, list[Film]]) -> Film:
    return films["test"][0]


@pytest.fixture(scope="module")
def trained(films: dict[str, list[Film]], tmp_path_factory: pytest.TempPathFactory) -> WatchModel:
    """It has learnt somersaults from other videos, by how the picture changes."""
    training = DetectorTraining.model_validate(
        {
            "epochs": 60,
            "batch_size": 4,
            "device": "cpu",
            "seed": 0,
            "optimizer": {"name": "adamw", "learning_rate": 0.02},
            "checkpoint_directory": tmp_path_factory.mktemp("checkpoints"),
        }
    )
    config = RNN.Config(cell="gru", hidden_size=16)
    sampling = SamplingConfig(window_steps=32, partial_windows=True)
    specification = DetectorSpecification("rnn", config, sampling, standardise=True)
    train, validation = ([labelled(film) for film in films[split]] for split in ("train", "val"))
    saved, _ = train_detector(specification, train, validation, ["background", "backflip"], training)
    saved.metadata["features"] = dict(DESCRIPTION)
    return load_watch_model("rnn", saved, CPU)


def watched(model: WatchModel, film: Path, tell: Any, **opening: Any) -> Teller:
    source = open_source(str(film), model, Opening(fast=True, image_folder_rate=25.0, **opening))
    return Teller(Watch(model, source), model, Alerts(2, RULE), tell)


def assert_promised(events: list[dict[str, Any]], film: Film) -> None:
    """An alert for each annotated action, in it, and over about when the annotation says."""
    alerts = [event for event in events if event["event"] == "alert"]
    ends = [event for event in events if event["event"] == "over"]
    assert len(alerts) == len(ends) == len(film.actions) == 2
    for alert, over, (start, end) in zip(alerts, ends, film.actions, strict=True):
        assert alert["class"] == over["class"] == "backflip"
        assert start < alert["time"] < start + 1.0
        assert over["start"] == pytest.approx(start, abs=3 / RATE)
        assert over["end"] == pytest.approx(end, abs=3 / RATE)


def test_the_alerts_come_that_the_annotation_promises(trained: WatchModel, film: Film) -> None:
    events: list[dict[str, Any]] = []
    for _ in watched(trained, film.path, events.append).moments():
        pass
    assert_promised(events, film)


@pytest.fixture
def tab(chromium: str, tmp_path: Path) -> Iterator[Tab]:
    with opened_browser(chromium, tmp_path / "profile") as tab:
        yield tab


@pytest.mark.browser
def test_a_browser_shows_the_picture_the_curves_and_the_alert(
    tab: Tab, trained: WatchModel, film: Film, tmp_path: Path
) -> None:
    events: list[dict[str, Any]] = []

    with live_page(trained.greeting(str(film.path), 0.5), "127.0.0.1", 0) as page:

        def tell(event: dict[str, Any]) -> None:
            events.append(event)
            page.hub.tell(event)

        tab.show_as(1280, 900, "light")
        tab.open(page.address)
        tab.wait_until("document.getElementById('state').textContent === 'live'")
        for moment in watched(trained, film.path, tell, on_frame=page.pictures.offer).moments():
            page.hub.show(moment)
        assert_promised(events, film)

        tab.wait_until("document.getElementById('state').textContent === 'ended'")
        tab.wait_until("document.getElementById('picture').naturalWidth === 96")
        tab.wait_until(
            f"document.getElementById('time').textContent === '{(SECONDS * RATE // 1 - 0.5) / RATE:.1f} s'"
        )
        alerts = tab.evaluate("document.getElementById('alerts').innerText")
        for alert in (event for event in events if event["event"] == "alert"):
            assert f"{alert['time']:.1f} s" in alerts
        assert "backflip" in alerts
        drawn = tab.evaluate(
            "(canvas => new Set(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)"
            ".data).size)(document.getElementById('curves'))"
        )
        assert drawn > 20  # shades: axes and a curve, not an empty canvas

        for name, width, scheme in (("light", 1280, "light"), ("dark", 1280, "dark"), ("phone", 390, "dark")):
            tab.show_as(width, 844, scheme, mobile=name == "phone")
            tab.screenshot(tmp_path / f"{name}.png")
            assert (tmp_path / f"{name}.png").stat().st_size > 10_000
            assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
            paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
            assert paper == ("rgb(252, 251, 248)" if scheme == "light" else "rgb(20, 22, 26)")
        # Whoever comes later sees it, too.
        tab.open(page.address)
        tab.wait_until("document.getElementById('alerts').innerText.includes('backflip')")
