"""Steps cut from frames as they come are those that are cut from the whole video."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prolepsis.errors import ProlepsisError
from prolepsis.video import live, media
from prolepsis.video.encoders.clips import clips_at
from prolepsis.video.errors import UnreadableVideoError
from prolepsis.video.labels import num_steps, step_times
from prolepsis.video.live import Address, ClipCutter, Cutting, LiveStream, VideoFile, camera, stream

SIZE = (8, 8)


class Clock:
    """Goes on only when somebody waits."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Waiting(threading.Event):
    """Waits by setting the clock forward; is set after so many waits."""

    def __init__(self, clock: Clock, most: int = 10_000) -> None:
        super().__init__()
        self.waits: list[float] = []
        self._clock = clock
        self._most = most

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        self._clock.now += timeout
        if len(self.waits) >= self._most:
            self.set()
        return self.is_set()


def write(path: Path, ticks: list[int], gop: int = 250) -> Path:
    """A grey picture at each of the milliseconds, each a little lighter; a key frame every `gop` pictures."""
    with av.open(str(path), "w") as container:
        out = container.add_stream("libx264", options={"bf": "2", "g": str(gop)})
        out.width = out.height = 16
        out.pix_fmt = "yuv420p"
        out.codec_context.time_base = out.time_base = Fraction(1, 1000)
        for number, tick in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(
                np.full((16, 16, 3), 20 + 2 * number % 220, np.uint8), format="rgb24"
            )
            frame.pts, frame.time_base = tick, out.codec_context.time_base
            container.mux(out.encode(frame))
        container.mux(out.encode())
    return path


@pytest.fixture
def uneven(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    return write(tmp_path / "uneven.mp4", np.cumsum(random.integers(10, 120, 80)).tolist())


@pytest.mark.parametrize("offsets", [(0.0,), (-0.1, 0.0), (-0.8, -0.4, 0.0), (-0.1, 0.2)])
@pytest.mark.parametrize("rate", [2.0, 6.25, 24.0])
def test_a_file_is_cut_as_the_whole_of_it_is(uneven: Path, offsets: tuple[float, ...], rate: float) -> None:
    total = num_steps(media.probe(uneven).duration, rate)
    expected = list(clips_at(uneven, step_times(total, rate), offsets, SIZE))
    found = list(VideoFile(uneven, Cutting(rate, offsets, SIZE), fast=True).clips(threading.Event()))
    assert [one.step for one in found] == list(range(total))
    assert [one.time for one in found] == step_times(total, rate).tolist()
    for clip, one in zip(expected, found, strict=True):
        np.testing.assert_array_equal(np.stack(clip), np.stack(one.clip))


@given(
    st.lists(st.integers(1, 90), min_size=1, max_size=40),
    st.sampled_from([1.0, 6.25, 10.0, 25.0]),
    st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=3, unique=True).map(sorted),
)
def test_every_step_shows_the_last_frames_that_began_before_its_moments(
    gaps: list[int], rate: float, offsets: list[float]
) -> None:
    starts = np.concatenate([[0], np.cumsum(gaps)]) / 100
    duration = float(starts[-1]) + 0.04
    cutter = ClipCutter(rate, offsets, (2, 2), whole_steps=True)
    found = []
    for number, start in enumerate(starts):
        frame = av.VideoFrame.from_ndarray(np.full((2, 2, 3), number, np.uint8), format="rgb24")
        found += cutter.add(float(start), frame, 0.0)
    found += cutter.finish(duration, 0.0)
    assert [one.step for one in found] == list(range(num_steps(duration, rate)))
    for one in found:
        shown = [int(picture[0, 0, 0]) for picture in one.clip]
        moments = np.array(offsets) + (one.step + 0.5) / rate
        expected = np.clip(np.searchsorted(starts, moments + 1e-6, side="right") - 1, 0, None)
        assert shown == expected.tolist()


def test_a_file_at_its_own_pace_comes_when_it_was_filmed(uneven: Path) -> None:
    clock = Clock()
    waiting = Waiting(clock)
    source = VideoFile(uneven, Cutting(6.25, (0.0,), SIZE, clock), fast=False)
    assert source.live
    duration = media.probe(uneven).duration
    came = [(one.time, clock.now - 100.0, one.due - 100.0) for one in source.clips(waiting)]
    assert sum(waiting.waits) == pytest.approx(duration, abs=0.01)
    for time, at, due in came[:-1]:
        # A step is known when the first frame after it comes; frames are at most 0.12 s apart.
        assert time < at <= time + 0.121
        assert due == pytest.approx(time, abs=1e-6)


def test_a_file_ends_when_it_is_told_to(uneven: Path) -> None:
    clock = Clock()
    source = VideoFile(uneven, Cutting(6.25, (0.0,), SIZE, clock), fast=False)
    assert len(list(source.clips(Waiting(clock, most=20)))) < 10


def test_onlookers_see_every_frame(uneven: Path) -> None:
    frames: list[Any] = []
    list(
        VideoFile(uneven, Cutting(6.25, (0.0,), SIZE, on_frame=frames.append), fast=True).clips(
            threading.Event()
        )
    )
    assert len(frames) == 80


def test_a_folder_of_images_is_a_film(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    from PIL import Image

    for number in range(9):
        Image.fromarray(np.full((8, 8, 3), 20 * number, np.uint8)).save(folder / f"{number}.png")
    source = VideoFile(folder, Cutting(5.0, (0.0,), SIZE), fast=True, image_folder_rate=10.0)
    shown = [int(one.clip[0][0, 0, 0]) // 20 for one in source.clips(threading.Event())]
    assert shown == [1, 3, 5, 7]


class Endless:
    """A container that does not know its length, as that of a live stream."""

    def __init__(self, container: Any, form: str) -> None:
        self._container = container
        self.duration = None
        self.format = SimpleNamespace(name=form)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)


def streams(
    monkeypatch: pytest.MonkeyPatch,
    openings: list[Path | None],
    *,
    endless: bool = True,
    form: str = "rtsp",
) -> None:
    """Each opening of a stream gives the next file; None cannot be opened."""
    left = iter(openings)

    @contextmanager
    def opened(address: Address) -> Iterator[Any]:
        path = next(left)
        if path is None:
            raise UnreadableVideoError("The source cannot be opened: no route.", where=address.shown)
        with av.open(str(path)) as container:
            yield Endless(container, form) if endless else container

    monkeypatch.setattr(live, "_open", opened)


def test_a_stream_that_breaks_is_opened_again_after_pauses_that_double(
    uneven: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams(monkeypatch, [uneven, None, None, uneven, None])
    clock = Clock()
    waiting = Waiting(clock, most=5)
    problems: list[tuple[str, float]] = []
    source = LiveStream(
        stream("rtsp://camera/1"),
        Cutting(6.25, (0.0,), SIZE, clock),
        lambda *problem: problems.append(problem),
    )
    found = list(source.clips(waiting))
    assert [pause for _, pause in problems] == [1.0, 2.0, 4.0, 1.0, 2.0]
    assert problems[0][0] == "The stream ended"
    assert "no route" in problems[1][0]
    assert {one.connection for one in found} == {0, 3}
    again = [one for one in found if one.connection == 3]
    assert again[0].step == 0
    assert again[0].time >= 7.0  # the pauses passed, too


def test_a_stream_that_cannot_be_opened_at_first_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    streams(monkeypatch, [None])
    source = LiveStream(stream("rtsp://u:secret@camera/1"), Cutting(6.25, (0.0,), SIZE), lambda *_: None)
    with pytest.raises(UnreadableVideoError, match="no route") as error:
        list(source.clips(threading.Event()))
    assert "secret" not in str(error.value)


def test_a_recording_that_is_served_just_ends(uneven: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    streams(monkeypatch, [uneven], endless=False)
    source = LiveStream(stream("http://server/a.mp4"), Cutting(6.25, (0.0,), SIZE), lambda *_: pytest.fail())
    assert len(list(source.clips(threading.Event()))) > 20


class Breaking(Endless):
    """A container that is damaged after so many packets."""

    def __init__(self, container: Any, packets: int) -> None:
        super().__init__(container, container.format.name)
        self.duration = container.duration
        self._packets = packets

    def demux(self, stream: Any) -> Iterator[Any]:
        yield from islice(self._container.demux(stream), self._packets)
        raise av.error.InvalidDataError(1, "damaged")


def test_a_recording_that_breaks_is_not_begun_anew(uneven: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def opened(address: Address) -> Iterator[Any]:
        with av.open(str(uneven)) as container:
            yield Breaking(container, 60)

    monkeypatch.setattr(live, "_open", opened)
    source = LiveStream(stream("rtsp://server/a.mp4"), Cutting(6.25, (0.0,), SIZE), lambda *_: pytest.fail())
    found = []
    with pytest.raises(UnreadableVideoError, match="damaged"):
        for one in source.clips(threading.Event()):
            found.append(one.step)
    assert found[:5] == [0, 1, 2, 3, 4]


def test_what_is_sent_ahead_of_time_is_watched_at_its_own_pace(
    uneven: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    duration = media.probe(uneven).duration
    for url, waited in (("https://server/live.m3u8", duration), ("rtsp://camera/1", 0.0)):
        streams(monkeypatch, [uneven], endless=False)
        clock = Clock()
        waiting = Waiting(clock)
        source = LiveStream(stream(url), Cutting(6.25, (0.0,), SIZE, clock), lambda *_: pytest.fail())
        found = list(source.clips(waiting))
        assert sum(waiting.waits) == pytest.approx(waited, abs=0.2)
        assert len(found) == pytest.approx(duration * 6.25, abs=1)


def test_pictures_without_times_are_of_when_they_came(uneven: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    streams(monkeypatch, [uneven], form="mpjpeg")
    clock = Clock()

    def on_frame(_: Any) -> None:
        clock.now += 0.5

    cutting = Cutting(6.25, (0.0,), SIZE, clock, on_frame)
    source = LiveStream(stream("http://camera/video.mjpg"), cutting, lambda *_: None)
    found = list(source.clips(Waiting(clock, most=1)))
    # 80 pictures, half a second apart; the decoder gives the last few at once.
    assert len(found) == pytest.approx(39.5 * 6.25, abs=5)


def test_a_stream_that_is_decoded_too_slowly_is_caught_up_with_by_key_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = 0.04
    film = write(tmp_path / "long.mp4", [round(1000 * every * number) for number in range(1500)], gop=25)
    streams(monkeypatch, [film, None])
    clock = Clock()
    sent_from = clock.now
    lags: list[float] = []

    def packets(container: Any, on_packet: Any) -> Iterator[Any]:
        """A packet is there when it was filmed; reading waits for it."""
        for packet in container.demux(container.streams.video[0]):
            if packet.pts is not None:
                clock.now = max(clock.now, sent_from + float(packet.dts * packet.time_base))
            on_packet(packet)
            yield from packet.decode()

    def slow(frame: av.VideoFrame) -> None:
        clock.now += 1.5 * every  # decoding a frame takes longer than until the next one is sent
        lags.append(clock.now - sent_from - frame.time)

    monkeypatch.setattr(media, "_frames", packets)
    behind: list[str] = []
    source = LiveStream(
        stream("rtsp://camera/1"), Cutting(6.25, (0.0,), SIZE, clock, slow), lambda *_: None, behind.append
    )
    found = list(source.clips(Waiting(clock, most=1)))
    assert 2.0 < max(lags) < 3.5  # sixty seconds would have been thirty behind
    assert len(behind) >= 3
    assert all("frames were passed over" in one for one in behind)
    assert [one.step for one in found] == list(range(len(found)))
    assert len(found) == pytest.approx(60 * 6.25, abs=15)


def test_what_is_shown_of_an_address_has_no_password() -> None:
    assert stream("rtsp://user:secret@camera:554/a?b=c").shown == "rtsp://camera:554/a?b=c"
    assert stream("http://camera/a").shown == "http://camera/a"


def test_what_is_no_address_is_refused_without_saying_its_password() -> None:
    with pytest.raises(ProlepsisError, match="Invalid IPv6") as error:
        stream("rtsp://user:secret@[camera/1")
    assert "secret" not in str(error.value)


def test_an_address_where_nobody_answers_is_an_error() -> None:
    source = LiveStream(stream("rtsp://127.0.0.1:1/x"), Cutting(6.25, (0.0,), SIZE), lambda *_: None)
    with pytest.raises(UnreadableVideoError, match="cannot be opened"):
        list(source.clips(threading.Event()))


def test_a_sender_that_is_silent_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_OPEN_TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        source = LiveStream(stream(url), Cutting(6.25, (0.0,), SIZE), lambda *_: None)
        with pytest.raises(UnreadableVideoError, match="nothing came for too long"):
            list(source.clips(threading.Event()))


def test_a_camera_is_opened_as_the_system_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    assert camera(1) == Address("/dev/video1", "v4l2")
    monkeypatch.setattr("sys.platform", "darwin")
    assert camera(1) == Address("1", "avfoundation", (("framerate", "30"),))
    monkeypatch.setattr("sys.platform", "plan9")
    with pytest.raises(ProlepsisError, match="plan9"):
        camera(1)
