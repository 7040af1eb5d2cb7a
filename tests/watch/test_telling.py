"""What is told of a watch."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from prolepsis.action.hysteresis import Hysteresis
from prolepsis.errors import ProlepsisError
from prolepsis.watch.alerts import AlertRule, Alerts
from prolepsis.watch.engine import Belief
from prolepsis.watch.telling import Meter, Teller, journal, told_to_all

RULE = AlertRule(Hysteresis(0.5, 0.3, 2, 1))
MODEL: Any = SimpleNamespace(class_names=["background", "wave", "jump"], rate=5.0)
AHEAD = np.array([[0.2, 0.5, 0.3], [0.2, 0.2, 0.6]], np.float32)


class Watched:
    """Says what it is given."""

    num_dropped = 4

    def __init__(self, beliefs: list[Belief], error: Exception | None = None) -> None:
        self._beliefs = beliefs
        self._error = error
        self.num_seen = 0

    def beliefs(self) -> Iterator[Belief]:
        for belief in self._beliefs:
            self.num_seen += 1
            yield belief
        if self._error is not None:
            raise self._error


def belief(step: int, wave: float, connection: int = 0, began: float = 0.0) -> Belief:
    scores = np.array([1 - wave, wave, 0.0], np.float32)
    return Belief(connection, step, began + (step + 0.5) / 5.0, 0.02 * (step + 1), scores, AHEAD)


def events_of(watched: Watched, **options: Any) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    now = iter(np.arange(0, 1000, 0.2))
    teller = Teller(watched, MODEL, Alerts(3, RULE), events.append, clock=lambda: float(next(now)), **options)
    for _ in teller.moments():
        pass
    return events


def test_an_alert_says_what_when_how_surely_and_what_comes_next() -> None:
    alert, over, end = events_of(
        Watched([belief(step, wave) for step, wave in enumerate([0.1, 0.9, 0.8, 0.1])])
    )
    assert alert == {
        "event": "alert",
        "time": 0.5,
        "class": "wave",
        "probability": 0.8,
        "next": {"class": "jump", "probability": 0.6, "in_seconds": 0.4},
        "latency_ms": 60.0,
    }
    assert over == {"event": "over", "class": "wave", "start": 0.2, "end": 0.6, "mean_probability": 0.85}
    assert end == {
        "event": "end",
        "steps": 4,
        "dropped": 4,
        "steps_per_second": end["steps_per_second"],
        "p50_ms": 50.0,
        "p95_ms": 77.0,
        "p99_ms": 79.4,
    }


def test_what_goes_on_at_the_end_is_over_then_even_after_an_error() -> None:
    events: list[dict[str, Any]] = []
    watched = Watched([belief(0, 0.9), belief(1, 0.9)], OSError("gone"))
    teller = Teller(watched, MODEL, Alerts(3, RULE), events.append)
    with pytest.raises(OSError, match="gone"):
        list(teller.moments())
    assert [event["event"] for event in events] == ["alert", "over", "end"]


def test_times_go_on_over_connections() -> None:
    first = [belief(step, 0.9) for step in range(3)]
    second = [belief(step, 0.9, connection=1, began=60.0) for step in range(3)]
    over = [event for event in events_of(Watched(first + second)) if event["event"] == "over"]
    assert [(event["start"], event["end"]) for event in over] == [(0.0, 0.6), (60.0, 60.6)]


def test_the_state_is_told_now_and_then() -> None:
    events = events_of(Watched([belief(step, 0.0) for step in range(60)]), status_seconds=5.0)
    states = [event for event in events if event["event"] == "status"]
    assert 2 <= len(states) < 30
    assert states[0].keys() >= {"time", "steps", "dropped", "steps_per_second", "p50_ms", "p95_ms", "p99_ms"}


def test_a_meter_measures_rate_and_latency() -> None:
    now = iter(range(100))
    meter = Meter(clock=lambda: float(next(now)))
    assert meter.percentiles() == {}
    assert meter.steps_per_second is None
    for latency in range(1, 51):
        meter.add(latency / 1000)
    assert meter.steps_per_second == 1.0
    assert meter.percentiles() == {"p50_ms": 25.5, "p95_ms": 47.5, "p99_ms": 49.5}


def test_the_journal_appends_lines_and_echoes_them(tmp_path: Path) -> None:
    path = tmp_path / "new" / "watch.jsonl"
    for number in range(2):
        echoed: list[str] = []
        with journal(path, echoed.append) as tell:
            told_to_all([tell, lambda event: None])({"event": "start", "number": number})
        assert json.loads(echoed[0])["number"] == number
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["number"] for line in lines] == [0, 1]
    assert all(line["at"].endswith("+00:00") for line in lines)


def test_a_journal_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "watch.jsonl"):
        with pytest.raises(ProlepsisError, match="The log cannot be written"), journal(path, print):
            pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk without room is Linux's /dev/full")
def test_a_disk_that_is_full_is_told() -> None:
    echoed: list[str] = []
    with (
        pytest.raises(ProlepsisError, match="No space left"),
        journal(Path("/dev/full"), echoed.append) as tell,
    ):
        tell({"event": "start"})
    assert echoed == []
