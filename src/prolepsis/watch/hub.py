"""From the thread that detects to whoever looks on; nobody who looks on can hold it up.

For each client waits at most one picture, the newest, and a bounded row of messages, of which the oldest
gives way. Whoever comes later first gets the last minute.
"""

import asyncio
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from prolepsis.report.timelines import encode_jpeg
from prolepsis.video.media import shown_size, to_picture
from prolepsis.watch.telling import Event, Moment

if TYPE_CHECKING:
    import av

_MESSAGES = 256
_REMEMBERED_SECONDS = 60
_REMEMBERED_EVENTS = 100
_REMEMBERED = ("alert", "problem", "end")  # the state, which is told often, would soon drive them out
_PICTURES_PER_SECOND = 12.0
_PICTURE_WIDTH = 640


class Mailbox:
    """What waits for one client; filled from any thread, emptied by the client's own task.

    Args:
        wake: called, from any thread, when something has come that was waited for.
    """

    def __init__(self, wake: Callable[[], None], capacity: int = _MESSAGES) -> None:
        self._wake = wake
        self._messages: deque[str] = deque(maxlen=capacity)
        self._picture: bytes | None = None
        self._lock = threading.Lock()
        self._awake = False
        self.num_dropped = 0

    def put(self, message: str) -> None:
        with self._lock:
            self.num_dropped += len(self._messages) == self._messages.maxlen
            self._messages.append(message)
            self._rouse()

    def put_picture(self, picture: bytes) -> None:
        with self._lock:
            self._picture = picture
            self._rouse()

    def take(self) -> tuple[list[str], bytes | None]:
        """All that waits: the messages in order, and the newest picture."""
        with self._lock:
            messages, picture = list(self._messages), self._picture
            self._messages.clear()
            self._picture = None
            self._awake = False
        return messages, picture

    def _rouse(self) -> None:
        # Once until the client looks: a client that hangs costs nothing but its mailbox.
        if not self._awake:
            self._awake = True
            self._wake()


class Hub:
    """Gives what happens to all clients, and to new ones what has happened lately.

    Args:
        greeting: what a page must know of the watch: its source, detector, classes and rate.
    """

    def __init__(self, greeting: Mapping[str, Any]) -> None:
        self._greeting = greeting
        self._moments: deque[Event] = deque(maxlen=max(1, round(_REMEMBERED_SECONDS * greeting["rate"])))
        self._events: deque[Event] = deque(maxlen=_REMEMBERED_EVENTS)
        self._picture: bytes | None = None
        self._clients: set[Mailbox] = set()
        self._lock = threading.Lock()

    @property
    def num_clients(self) -> int:
        return len(self._clients)

    def tell(self, event: Event) -> None:
        """An event of the watch."""
        with self._lock:
            if event["event"] in _REMEMBERED:
                self._events.append(event)
            self._put({"type": "event", **event})

    def show(self, moment: Moment) -> None:
        """What is believed now."""
        belief = moment.belief
        ahead = belief.anticipation
        shown = {
            "type": "step",
            "time": round(belief.time, 3),
            "scores": [round(float(score), 3) for score in belief.scores],
            "ahead": None if ahead is None else [[round(float(x), 3) for x in row] for row in ahead],
            "latency_ms": round(1000 * belief.latency, 1),
            "status": moment.status,
        }
        with self._lock:
            self._moments.append(shown)
            self._put(shown)

    def show_picture(self, jpeg: bytes) -> None:
        """What there is to see now."""
        with self._lock:
            self._picture = jpeg
            for client in self._clients:
                client.put_picture(jpeg)

    @contextmanager
    def client(self, wake: Callable[[], None]) -> Iterator[Mailbox]:
        """A mailbox for the length of a client's stay, with the greeting and the last minute in it."""
        mailbox = Mailbox(wake)
        with self._lock:
            past = {"moments": list(self._moments), "events": list(self._events)}
            mailbox.put(json.dumps({"type": "hello", **self._greeting, **past}))
            if self._picture is not None:
                mailbox.put_picture(self._picture)
            self._clients.add(mailbox)
        try:
            yield mailbox
        finally:
            with self._lock:
                self._clients.discard(mailbox)

    def _put(self, message: Event) -> None:
        if self._clients:
            text = json.dumps(message)
            for client in self._clients:
                client.put(text)


def waker(event: asyncio.Event, loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
    """Sets an event of a loop from any thread; nothing once the loop is closed."""

    def wake() -> None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(event.set)

    return wake


class Pictures:
    """The newest frame as a JPEG, a bounded number of times a second, made in a thread of its own."""

    def __init__(self, hub: Hub, per_second: float = _PICTURES_PER_SECOND) -> None:
        self._hub = hub
        self._pause = 1.0 / per_second
        self._frame: av.VideoFrame | None = None
        self._came = threading.Event()
        self._stop = threading.Event()

    def offer(self, frame: "av.VideoFrame") -> None:
        """Takes a frame from the thread that decodes; one that has not been shown yet gives way to it."""
        self._frame = frame
        self._came.set()

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run, name="pictures", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._came.set()
            thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._came.wait()
            self._came.clear()
            frame, self._frame = self._frame, None
            if frame is not None:
                self._hub.show_picture(small_jpeg(frame))
            self._stop.wait(self._pause)


def small_jpeg(frame: "av.VideoFrame") -> bytes:
    """A frame as a JPEG, upright, at most 640 pixels wide."""
    width, height = shown_size(frame)
    scale = min(1.0, _PICTURE_WIDTH / width)
    return encode_jpeg(to_picture(frame, (max(1, round(scale * height)), max(1, round(scale * width)))))
