"""What is told of a watch: events as JSON lines, with the latency and what was dropped."""

import json
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from prolepsis.action.hysteresis import FoundSegment
from prolepsis.errors import ProlepsisError
from prolepsis.video.live import Clock
from prolepsis.watch.alerts import Alerts, expected_action
from prolepsis.watch.engine import Belief, Watch
from prolepsis.watch.model import WatchModel

Event = dict[str, Any]
Tell = Callable[[Event], None]

_REMEMBERED = 10_000  # latencies; at ten steps a second a quarter of an hour
_MEASURED_SECONDS = 0.5  # percentiles of ten thousand latencies cost more than a small detector's step
_PERCENTILES = (50, 95, 99)


class Meter:
    """Latencies, the last ten thousand of them, and the rate of the steps."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._latencies: deque[float] = deque(maxlen=_REMEMBERED)
        self._moments: deque[float] = deque(maxlen=64)

    def add(self, latency: float) -> None:
        self._latencies.append(latency)
        self._moments.append(self._clock())

    @property
    def steps_per_second(self) -> float | None:
        """Over the last 64 steps; None before there are two."""
        if len(self._moments) < 2 or self._moments[-1] <= self._moments[0]:
            return None
        return (len(self._moments) - 1) / (self._moments[-1] - self._moments[0])

    def percentiles(self) -> dict[str, float]:
        """Milliseconds by name; empty before there is any."""
        if not self._latencies:
            return {}
        found = np.percentile(np.asarray(self._latencies), _PERCENTILES)
        return {
            f"p{percent}_ms": round(1000 * float(value), 1)
            for percent, value in zip(_PERCENTILES, found, strict=True)
        }


@dataclass(frozen=True)
class Moment:
    """One belief as it is shown, and how the watch was doing within the last half second."""

    belief: Belief
    status: Event


class Teller:
    """Turns beliefs into events.

    Args:
        tell: takes each event.
        status_seconds: how often the state of the watch is told.
    """

    def __init__(
        self,
        watch: Watch,
        model: WatchModel,
        alerts: Alerts,
        tell: Tell,
        *,
        status_seconds: float = 10.0,
        clock: Clock = time.monotonic,
    ) -> None:
        self._watch = watch
        self._model = model
        self._alerts = alerts
        self._tell = tell
        self._status_seconds = status_seconds
        self._clock = clock
        self._meter = Meter(clock)
        self._began_at = 0.0  # of the connection, in seconds since the first one
        self._connection: int | None = None

    def moments(self) -> Iterator[Moment]:
        """Each belief, once what is to be told of it is told; at the end a summary is, however it ends."""
        told = self._clock()
        measured, status = -math.inf, self.status()
        try:
            for belief in self._watch.beliefs():
                self._meter.add(belief.latency)
                for event in self._events(belief):
                    self._tell(event)
                now = self._clock()
                if now - measured >= _MEASURED_SECONDS:
                    measured, status = now, self.status()
                if now - told >= self._status_seconds:
                    told = now
                    self._tell({"event": "status", "time": round(belief.time, 3), **self.status()})
                yield Moment(belief, status)
        finally:
            for event in self._over(self._alerts.finish()):
                self._tell(event)
            self._tell({"event": "end", **self.status()})

    def status(self) -> Event:
        """Steps seen and dropped, their rate, and the percentiles of the latency."""
        rate = self._meter.steps_per_second
        return {
            "steps": self._watch.num_seen,
            "dropped": self._watch.num_dropped,
            "steps_per_second": None if rate is None else round(rate, 2),
            **self._meter.percentiles(),
        }

    def _events(self, belief: Belief) -> list[Event]:
        events: list[Event] = []
        if belief.connection != self._connection:
            if self._connection is not None:
                events.extend(self._over(self._alerts.finish()))
            self._connection = belief.connection
            self._began_at = belief.time - (belief.step + 0.5) / self._model.rate
        begun, over = self._alerts.step(belief.step, belief.scores)
        events.extend(self._over(over))
        events.extend(self._alert(belief, label) for label in begun)
        return events

    def _alert(self, belief: Belief, label: int) -> Event:
        expected = expected_action(belief.anticipation, label)
        return {
            "event": "alert",
            "time": round(belief.time, 3),
            "class": self._model.class_names[label],
            "probability": round(float(belief.scores[label]), 4),
            "next": expected
            and {
                "class": self._model.class_names[expected.label],
                "probability": round(expected.probability, 4),
                "in_seconds": round(expected.steps_ahead / self._model.rate, 3),
            },
            "latency_ms": round(1000 * belief.latency, 1),
        }

    def _over(self, segments: list[FoundSegment]) -> list[Event]:
        return [
            {
                "event": "over",
                "class": self._model.class_names[segment.label],
                "start": round(self._began_at + segment.start / self._model.rate, 3),
                "end": round(self._began_at + segment.end / self._model.rate, 3),
                "mean_probability": round(segment.score, 4),
            }
            for segment in segments
        ]


@contextmanager
def journal(path: Path, echo: Callable[[str], None]) -> Iterator[Tell]:
    """Appends events to a file of JSON lines, each with the hour, and echoes the lines.

    Raises:
        ProlepsisError: the file cannot be written, at first or later.
    """
    lock = threading.Lock()  # a source tells of its problems from its own thread
    with _appending(path) as file:

        def tell(event: Mapping[str, Any]) -> None:
            with lock:
                line = json.dumps({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **event})
                try:
                    file.write(f"{line}\n".encode())
                except OSError as error:
                    raise _unwritable(path, error) from error
                echo(line)

        yield tell


def _appending(path: Path) -> FileIO:
    """The file without a buffer: a line is there for others at once, and closing has nothing to write."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab", buffering=0)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> ProlepsisError:
    return ProlepsisError(
        f"The log cannot be written: {error.strerror}.",
        where=path,
        remedy="Give a file with --log that can be written, on a disk with room.",
    )


def told_to_all(tells: Sequence[Tell]) -> Tell:
    """Tells each event to each of them."""

    def tell(event: Event) -> None:
        for one in tells:
            one(event)

    return tell
