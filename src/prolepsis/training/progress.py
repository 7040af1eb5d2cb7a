"""Bars with a rate and an end on a terminal; a plain log line every few seconds where there is none."""

import logging
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_LOG_INTERVAL_S = 10.0
_Item = TypeVar("_Item")
_logger = logging.getLogger(__name__)


class Bar:
    """The progress of one job: `advance` it, and leave a `note` such as the current loss beside it."""

    def __init__(self, description: str, total: float | None, unit: str) -> None:
        self._description = description
        self._total = total
        self._unit = unit
        self._started = self._logged = time.monotonic()
        self._done = 0.0
        self._note = ""
        self._row = _screen.add(description, total, unit)

    def advance(self, count: float = 1) -> None:
        self._done += count
        if self._row is not None:
            _screen.advance(self._row, count)
        elif time.monotonic() - self._logged > _LOG_INTERVAL_S:
            self._log()

    def note(self, text: str) -> None:
        self._note = text
        if self._row is not None:
            _screen.note(self._row, text)

    def close(self) -> None:
        if self._row is not None:
            _screen.remove(self._row)
        # Whoever saw lines sees the last one too; a job of a moment says nothing.
        elif self._logged > self._started:
            self._log()

    def _log(self) -> None:
        self._logged = time.monotonic()
        elapsed = self._logged - self._started
        rate = self._done / elapsed if elapsed > 0 else 0.0
        parts = [f"{self._description}: {self._done:,.0f}"]
        if self._total is not None:
            parts.append(f"of {self._total:,.0f}")
        parts.append(f"{self._unit}, {_rate(rate, self._unit)}")
        if self._total is not None and rate > 0 and self._done < self._total:
            parts.append(f"({(self._total - self._done) / rate:,.0f} s left)")
        _logger.info("%s %s", " ".join(parts), self._note)


@contextmanager
def progress(description: str, total: float | None = None, unit: str = "items") -> Iterator[Bar]:
    """A bar for the length of the block.

    >>> with progress("Training", total=2, unit="steps") as bar:
    ...     bar.advance()
    ...     bar.note("loss 2.31")
    """
    bar = Bar(description, total, unit)
    try:
        yield bar
    finally:
        bar.close()


def track(
    items: Iterable[_Item], description: str, total: float | None = None, unit: str = "items"
) -> Iterator[_Item]:
    """Yields `items` while a bar counts them; `total` is taken from `len(items)` where that exists."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with progress(description, total, unit) as bar:
        for item in items:
            yield item
            bar.advance()


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else _rate(speed, task.fields["unit"]), style="progress.data.speed")


class _Screen:
    """The one live display that all open bars share, since a terminal has one last line."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._display: Progress | None = None

    def add(self, description: str, total: float | None, unit: str) -> TaskID | None:
        """The new bar's row, or None where no terminal would show it."""
        if not sys.stderr.isatty():
            return None
        with self._lock:
            if self._display is None:
                self._display = Progress(
                    TextColumn("{task.description}"),
                    BarColumn(),
                    TextColumn("{task.completed:,.0f}/{task.fields[end]}"),
                    _RateColumn(),
                    TimeRemainingColumn(),
                    TextColumn("{task.fields[note]}"),
                    console=Console(stderr=True),
                )
                self._display.start()
            end = "?" if total is None else f"{total:,.0f}"
            return self._display.add_task(description, total=total, unit=unit, end=end, note="")

    def advance(self, row: TaskID, count: float) -> None:
        if self._display is not None:
            self._display.advance(row, count)

    def note(self, row: TaskID, text: str) -> None:
        if self._display is not None:
            self._display.update(row, note=text)

    def remove(self, row: TaskID) -> None:
        with self._lock:
            if self._display is None:
                return
            if len(self._display.tasks) > 1:
                self._display.remove_task(row)
                return
            # The outermost bar stays on the screen as the record of what was done.
            self._display.stop_task(row)
            self._display.stop()
            self._display = None


_screen = _Screen()


def _rate(per_second: float, unit: str) -> str:
    if 0 < per_second < 1:
        return f"{1 / per_second:.1f} s per {unit.removesuffix('s')}"
    return f"{per_second:,.1f} {unit}/s"
