"""A film is watched by a detector that has learnt from others, and a browser shows what it sees."""

from collections.abc import Iterator, Mapping
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
from prolepsis.video.labels import ActionInstance, rasterise
from prolepsis.watch.alerts import AlertRule, Alerts
from prolepsis.watch.engine import Watch
from prolepsis.watch.model import WatchModel, load_watch_model
from prolepsis.watch.page import live_page
from prolepsis.watch.sources import Opening, open_source
from prolepsis.watch.telling import Teller

from .conftest import CPU, DESCRIPTION, RATE, stored_features, write_film

FRAMES_PER_SECOND = 25
SECONDS = 5
ANNOTATIONS: Mapping[str, tuple[float, float]] = {
    "a": (1.0, 2.2),
    "b": (2.0, 3.4),
    "c": (0.6, 2.0),
    "film": (1.6, 3.2),
}
RULE = AlertRule(Hysteresis(0.5, 0.4, min_steps=2))


def annotated_film(folder: Path, name: str) -> Path:
    """Something moves during the annotated action, and nothing else does."""
    start, end = ANNOTATIONS[name]
    still = [not start <= number / FRAMES_PER_SECOND < end for number in range(SECONDS * FRAMES_PER_SECOND)]
    return write_film(folder / f"{name}.mp4", still, FRAMES_PER_SECOND, seed=sum(name.encode()))


def labelled(folder: Path, name: str) -> LabelledVideo:
    features = stored_features(annotated_film(folder, name), folder / f"{name}_features")["film"]
    labels = rasterise(
        [ActionInstance(*ANNOTATIONS[name], 1)],
        steps=len(features),
        rate=RATE,
        num_classes=2,
        frames_per_second=FRAMES_PER_SECOND,
    )
    return LabelledVideo(name, features, labels.labels, labels.ignore)


@pytest.fixture
def trained(tmp_path: Path) -> WatchModel:
    """It has learnt the action from three other films."""
    videos = [labelled(tmp_path, name) for name in ("a", "b", "c")]
    training = DetectorTraining.model_validate(
        {
            "epochs": 30,
            "batch_size": 3,
            "device": "cpu",
            "seed": 0,
            "optimizer": {"name": "adamw", "learning_rate": 0.02},
            "checkpoint_directory": tmp_path / "checkpoints",
        }
    )
    config = RNN.Config(cell="gru", hidden_size=8)
    sampling = SamplingConfig(window_steps=16, partial_windows=True)
    specification = DetectorSpecification("rnn", config, sampling, standardise=True)
    saved, _ = train_detector(specification, videos, videos, ["background", "wave"], training)
    saved.metadata["features"] = dict(DESCRIPTION)
    return load_watch_model("rnn", saved, CPU)


def watched(model: WatchModel, film: Path, tell: Any, **opening: Any) -> Teller:
    source = open_source(str(film), model, Opening(fast=True, image_folder_rate=25.0, **opening))
    return Teller(Watch(model, source), model, Alerts(2, RULE), tell)


def assert_promised(events: list[dict[str, Any]]) -> None:
    """One alert, within the annotated action, which is over about when the annotation says."""
    start, end = ANNOTATIONS["film"]
    [alert] = [event for event in events if event["event"] == "alert"]
    [over] = [event for event in events if event["event"] == "over"]
    assert alert["class"] == over["class"] == "wave"
    assert start < alert["time"] < start + 1.0
    assert over["start"] == pytest.approx(start, abs=2 / RATE)
    assert over["end"] == pytest.approx(end, abs=2 / RATE)


def test_the_alert_comes_that_the_annotation_promises(trained: WatchModel, tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    for _ in watched(trained, annotated_film(tmp_path, "film"), events.append).moments():
        pass
    assert_promised(events)


@pytest.fixture
def tab(chromium: str, tmp_path: Path) -> Iterator[Tab]:
    with opened_browser(chromium, tmp_path / "profile") as tab:
        yield tab


@pytest.mark.browser
def test_a_browser_shows_the_picture_the_curves_and_the_alert(
    tab: Tab, trained: WatchModel, tmp_path: Path
) -> None:
    film = annotated_film(tmp_path, "film")
    events: list[dict[str, Any]] = []

    with live_page(trained.greeting(str(film), 0.5), "127.0.0.1", 0) as page:

        def tell(event: dict[str, Any]) -> None:
            events.append(event)
            page.hub.tell(event)

        tab.show_as(1280, 900, "light")
        tab.open(page.address)
        tab.wait_until("document.getElementById('state').textContent === 'live'")
        for moment in watched(trained, film, tell, on_frame=page.pictures.offer).moments():
            page.hub.show(moment)
        assert_promised(events)

        tab.wait_until("document.getElementById('state').textContent === 'ended'")
        tab.wait_until("document.getElementById('picture').naturalWidth === 64")
        tab.wait_until(
            f"document.getElementById('time').textContent === '{(SECONDS * RATE // 1 - 0.5) / RATE:.1f} s'"
        )
        alerts = tab.evaluate("document.getElementById('alerts').innerText")
        [alert] = [event for event in events if event["event"] == "alert"]
        assert alerts.split()[:2] == [f"{alert['time']:.1f}", "s"]
        assert "wave" in alerts
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
        tab.wait_until("document.getElementById('alerts').innerText.includes('wave')")
