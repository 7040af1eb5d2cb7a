"""A watch believes what the pipelines believe of the same video, and never falls behind what is live."""

import threading
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prolepsis.action.scoring import score_videos
from prolepsis.errors import ProlepsisError
from prolepsis.video.errors import UnreadableVideoError
from prolepsis.video.live import StepClip
from prolepsis.watch.engine import StepFeature, Watch
from prolepsis.watch.model import WatchModel, load_watch_model
from prolepsis.watch.sources import Opening, open_source

from .conftest import CONFIGS, CPU, DIMENSION, RATE, MakeModel, MakeSaved, stored_features

FAST = Opening(fast=True, image_folder_rate=25.0)


@pytest.mark.parametrize("plugin", CONFIGS)
def test_the_beliefs_are_the_scores_of_the_pipelines(
    plugin: str, film: Path, tmp_path: Path, make_model: MakeModel
) -> None:
    model = make_model(plugin)
    store = stored_features(film, tmp_path / "store")
    [expected] = score_videos(model.detector, store, ["film"], CPU)
    beliefs = list(Watch(model, open_source(str(film), model, FAST)).beliefs())
    assert [one.step for one in beliefs] == list(range(len(expected.scores)))
    np.testing.assert_allclose(np.stack([one.scores for one in beliefs]), expected.scores, atol=1e-5)
    assert len(np.unique(expected.scores.round(4), axis=0)) > 10  # they say something
    if expected.anticipation is None:
        assert all(one.anticipation is None for one in beliefs)
    else:
        ahead = np.stack([one.anticipation for one in beliefs])
        np.testing.assert_allclose(ahead, expected.anticipation, atol=1e-5)


def test_features_that_arrive_in_a_folder_are_believed_like_those_of_the_film(
    film: Path, tmp_path: Path, make_model: MakeModel
) -> None:
    model = make_model()
    features = stored_features(film, tmp_path / "store")["film"]
    folder = tmp_path / "arrived"
    folder.mkdir()
    for step in range(9):
        np.save(folder / f"step_{step}.npy", features[step])
    np.save(folder / "step_10.npy", features[9:])  # after 9, though its name sorts before
    (folder / "notes.txt").write_text("not a feature")
    problems: list[str] = []
    opening = replace(FAST, on_problem=problems.append)
    found = [one.scores for one in Watch(model, open_source(str(folder), model, opening)).beliefs()]
    film_scores = [one.scores for one in Watch(model, open_source(str(film), model, FAST)).beliefs()]
    np.testing.assert_array_equal(np.stack(found), np.stack(film_scores))
    assert problems == ["notes.txt is passed over: it is no .npy file"]


class Camera:
    """Shows so many steps at once, and then says that it has."""

    name = "camera"
    live = True

    def __init__(self, connections: list[int]) -> None:
        self._connections = connections
        self.shown = threading.Event()

    def clips(self, stop: threading.Event) -> Generator[StepClip]:
        picture = np.zeros((16, 16, 3), np.uint8)
        for connection, steps in enumerate(self._connections):
            for step in range(steps):
                bright = picture + np.uint8(step)
                yield StepClip(connection, step, (step + 0.5) / RATE, 0.0, (picture, bright))
        self.shown.set()


def test_a_slow_encoder_on_a_live_source_drops_the_oldest_and_counts_them(make_model: MakeModel) -> None:
    model = make_model()
    source = Camera([100])
    encoder = model.require_encoder()
    encode = encoder.encode
    warm = []

    def slow(clips: Any) -> Any:
        if warm:  # the first call warms up, before anything is shown
            source.shown.wait(30)
        warm.append(1)
        return encode(clips)

    encoder.encode = slow  # type: ignore[method-assign]
    watch = Watch(model, source)
    steps = [one.step for one in watch.beliefs()]
    assert steps == sorted(set(steps))
    assert steps[-1] == 99
    assert watch.num_seen == len(steps)
    assert watch.num_dropped == 100 - len(steps)
    assert watch.num_dropped >= 100 - 16 - 4 - 4  # a batch, and what fits into the queues


def test_a_new_connection_forgets_the_stream_before(make_model: MakeModel) -> None:
    camera = Camera([7, 7])
    camera.live = False  # so that nothing is dropped, and both connections are the same stream
    first, second = np.split(np.stack([one.scores for one in Watch(make_model(), camera).beliefs()]), 2)
    np.testing.assert_allclose(second, first, atol=1e-6)
    assert np.abs(first[6] - first[0]).max() > 1e-3  # a state that was kept would show


class Endless:
    """Features without end, which never drops any."""

    name = "features"
    live = False

    def features(self, stop: threading.Event) -> Generator[StepFeature]:
        step = 0
        while not stop.is_set():
            yield StepFeature(0, step, step / RATE, 0.0, np.zeros(DIMENSION, np.float32))
            step += 1


def test_a_watch_ends_when_it_is_told_to(make_model: MakeModel) -> None:
    watch = Watch(make_model(), Endless())
    before = threading.active_count()
    seen = 0
    for belief in watch.beliefs():
        seen = belief.step
        if seen == 40:
            watch.stop()
    assert seen >= 40
    assert watch.stopped
    assert watch.num_dropped == 0
    assert threading.active_count() <= before


def test_whoever_stops_looking_ends_the_threads_though_the_source_is_silent(make_model: MakeModel) -> None:
    class Silent(Camera):
        def clips(self, stop: threading.Event) -> Generator[StepClip]:
            yield from super().clips(stop)
            stop.wait()

    before = threading.active_count()
    beliefs = Watch(make_model(), Silent([2])).beliefs()
    next(beliefs)
    beliefs.close()
    assert threading.active_count() <= before


def test_latency_counts_from_when_the_step_was(make_model: MakeModel) -> None:
    now = iter(range(10_000))

    class Two(Endless):
        def features(self, stop: threading.Event) -> Generator[StepFeature]:
            yield StepFeature(0, 0, 0.08, -3.0, np.zeros(DIMENSION, np.float32))
            yield StepFeature(0, 1, 0.24, 0.5, np.zeros(DIMENSION, np.float32))

    beliefs = list(Watch(make_model(), Two(), clock=lambda: float(next(now))).beliefs())
    assert [one.latency for one in beliefs] == [3.0, 0.5]


def test_a_film_that_breaks_off_is_told_of_after_what_was_seen(make_model: MakeModel) -> None:
    class Broken(Camera):
        live = False

        def clips(self, stop: threading.Event) -> Generator[StepClip]:
            yield from super().clips(stop)
            raise UnreadableVideoError("It cannot be decoded beyond 1.12 s.")

    seen: list[int] = []
    watch = Watch(make_model(), Broken([7]))
    with pytest.raises(UnreadableVideoError, match="beyond 1.12 s"):
        for belief in watch.beliefs():
            seen.append(belief.step)
    assert seen == list(range(7))


def test_what_is_no_film_is_refused(tmp_path: Path, make_model: MakeModel) -> None:
    (tmp_path / "text.mp4").write_bytes(b"no video at all")
    model = make_model()
    with pytest.raises(UnreadableVideoError, match="cannot be opened"):
        list(Watch(model, open_source(str(tmp_path / "text.mp4"), model, FAST)).beliefs())


def test_features_of_another_size_are_refused(tmp_path: Path, make_model: MakeModel) -> None:
    np.save(tmp_path / "a.npy", np.zeros(DIMENSION + 1, np.float32))
    model = make_model()
    with pytest.raises(ProlepsisError, match=rf"shape \[{DIMENSION + 1}\]") as error:
        list(Watch(model, open_source(str(tmp_path), model, FAST)).beliefs())
    assert str(tmp_path / "a.npy") in str(error.value)


def test_features_that_are_no_numbers_are_refused(tmp_path: Path, make_model: MakeModel) -> None:
    np.save(tmp_path / "a.npy", np.full(DIMENSION, 1e6, np.float32))
    model = make_model()
    with pytest.raises(ProlepsisError, match="do not fit float16"):
        list(Watch(model, open_source(str(tmp_path), model, FAST)).beliefs())


@pytest.mark.parametrize(
    ("source", "opening", "message"),
    [
        ("nothing.mp4", FAST, "no such video"),
        ("0", FAST, "comes at its own pace"),
        ("rtsp://camera/1", FAST, "comes at its own pace"),
        ("features", replace(FAST, rate=25.0), "25 steps a second; the detector was trained at 6.25"),
        ("film.mp4", replace(FAST, rate=6.25), "Only features"),
        ("features", FAST, "no features in the folder"),
        ("", FAST, "The source has no name"),
        (".", FAST, "neither features"),
    ],
)
def test_a_source_that_does_not_fit_is_refused(
    source: str,
    opening: Opening,
    message: str,
    film: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_model: MakeModel,
) -> None:
    monkeypatch.chdir(film.parent)
    Path("features").mkdir()
    model = make_model()
    with pytest.raises(ProlepsisError, match=message):
        list(Watch(model, open_source(source, model, opening)).beliefs())


@pytest.mark.parametrize("opening", [FAST, replace(FAST, fast=False, rate=25.0)])
def test_a_refusal_does_not_show_the_password_of_an_address(opening: Opening, make_model: MakeModel) -> None:
    with pytest.raises(ProlepsisError) as caught:
        open_source("rtsp://user:secret@camera/1", make_model(), opening)
    assert "rtsp://camera/1" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_features_may_be_on_their_way_into_a_folder(tmp_path: Path, make_model: MakeModel) -> None:
    (tmp_path / "0.npy.part").write_bytes(b"")
    open_source(str(tmp_path), make_model(), FAST)


def test_the_address_of_a_file_is_that_file(film: Path, make_model: MakeModel) -> None:
    model = make_model()
    renamed = film.rename(film.with_name("a film.mp4"))
    found = list(Watch(model, open_source(renamed.as_uri(), model, FAST)).beliefs())
    assert [one.step for one in found] == list(range(20))


def test_pictures_need_the_encoder_of_the_features(film: Path, make_model: MakeModel) -> None:
    model = make_model(encoder="precomputed")
    with pytest.raises(ProlepsisError, match="no encoder here makes them"):
        open_source(str(film), model, FAST)
    features: WatchModel = make_model(encoder="precomputed")
    assert features.encoder is None


def test_an_encoder_that_is_not_installed_is_named(make_model: MakeModel) -> None:
    with pytest.raises(ProlepsisError, match="frame_diference") as caught:
        make_model(encoder="frame_diference")
    assert "frame_difference" in str(caught.value)


def test_an_encoder_with_other_weights_is_refused(make_model: MakeModel) -> None:
    with pytest.raises(ProlepsisError, match="its weights differ"):
        make_model(weights_sha256="0" * 64)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"class_names": ["background", "wave"]}, "tells 4 classes apart, and names 2"),
        ({"class_names": None}, "lacks 'class_names'"),
        ({"standardised": None}, "lacks 'standardised'"),
    ],
)
def test_a_model_that_is_not_whole_is_refused(
    make_saved: MakeSaved, changes: dict[str, Any], said: str
) -> None:
    saved = make_saved()
    for key, value in changes.items():
        saved.metadata[key] = value
        if value is None:
            del saved.metadata[key]
    with pytest.raises(ProlepsisError, match=said) as error:
        load_watch_model("rnn", saved, CPU)
    assert "Train it again" in str(error.value)


def test_a_model_that_does_not_know_its_features_is_refused(make_saved: MakeSaved) -> None:
    saved = make_saved()
    del saved.metadata["features"]
    with pytest.raises(ProlepsisError, match="does not say how the features were made") as error:
        load_watch_model("rnn", saved, CPU)
    assert "--namespaces rnn" in str(error.value)
