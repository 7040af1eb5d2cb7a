"""Whoever looks on sees the newest, and holds nobody up."""

import io
import json
import threading
from typing import Any

import av
import numpy as np
from PIL import Image

from prolepsis.watch.engine import Belief
from prolepsis.watch.hub import Hub, Mailbox, Pictures, small_jpeg
from prolepsis.watch.telling import Moment

GREETING: dict[str, Any] = {"rate": 0.05, "classes": ["background", "wave"]}  # so the last minute is 3 steps


def moment(step: int) -> Moment:
    belief = Belief(0, step, step + 0.5, 0.05, np.array([0.25, 0.75], np.float32), None)
    return Moment(belief, {"steps": step})


def test_a_client_that_does_not_look_loses_the_oldest_and_is_woken_once() -> None:
    woken: list[int] = []
    mailbox = Mailbox(lambda: woken.append(1), capacity=3)
    for number in range(10):
        mailbox.put(str(number))
        mailbox.put_picture(bytes([number]))
    assert woken == [1]
    assert mailbox.num_dropped == 7
    assert mailbox.take() == (["7", "8", "9"], b"\x09")
    assert mailbox.take() == ([], None)
    mailbox.put("10")
    assert woken == [1, 1]


def test_whoever_comes_later_gets_the_last_minute_and_then_what_happens() -> None:
    hub = Hub(GREETING)
    for step in range(10):
        hub.show(moment(step))
    hub.tell({"event": "alert", "class": "wave"})
    for _ in range(200):
        hub.tell({"event": "status"})
    hub.show_picture(b"jpeg")
    with hub.client(lambda: None) as mailbox:
        assert hub.num_clients == 1
        [hello], picture = mailbox.take()
        greeting = json.loads(hello)
        assert greeting["type"] == "hello"
        assert greeting["classes"] == ["background", "wave"]
        assert [shown["time"] for shown in greeting["moments"]] == [7.5, 8.5, 9.5]
        assert greeting["events"] == [{"event": "alert", "class": "wave"}]
        assert picture == b"jpeg"
        hub.show(moment(10))
        hub.tell({"event": "end"})
        messages = [json.loads(message) for message in mailbox.take()[0]]
    assert messages[0] == {
        "type": "step",
        "time": 10.5,
        "scores": [0.25, 0.75],
        "ahead": None,
        "latency_ms": 50.0,
        "status": {"steps": 10},
    }
    assert messages[1] == {"type": "event", "event": "end"}
    assert hub.num_clients == 0
    hub.show(moment(11))
    assert mailbox.take() == ([], None)


def frame(width: int, height: int) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.full((height, width, 3), 200, np.uint8), format="rgb24")


def test_pictures_are_small_jpegs() -> None:
    image = Image.open(io.BytesIO(small_jpeg(frame(1280, 720))))
    assert (image.format, image.size) == ("JPEG", (640, 360))
    assert np.asarray(image).mean() > 190
    assert Image.open(io.BytesIO(small_jpeg(frame(64, 48)))).size == (64, 48)


def test_frames_become_pictures_in_a_thread_of_their_own() -> None:
    hub = Hub(GREETING)
    came = threading.Event()
    pictures = Pictures(hub)
    with hub.client(came.set) as mailbox, pictures.running():
        mailbox.take()
        came.clear()
        for _ in range(100):  # nobody waits for the pictures
            pictures.offer(frame(64, 48))
        assert came.wait(30)
        _, picture = mailbox.take()
    assert picture is not None
    assert picture[:2] == b"\xff\xd8"
