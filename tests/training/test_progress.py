import io
import logging
import sys

import pytest

from prolepsis.training import progress as progress_module
from prolepsis.training.progress import progress, track


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_tracking_yields_every_item_in_order() -> None:
    assert list(track(iter("abc"), "Letters")) == ["a", "b", "c"]


def test_without_a_terminal_lines_tell_count_rate_and_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: next(clock))
    caplog.set_level(logging.INFO)
    with progress("Counting", total=40, unit="sheep") as bar:
        for _ in range(40):
            bar.note("asleep")
            bar.advance()
    lines = [record.getMessage() for record in caplog.records]
    assert 2 < len(lines) < 40
    assert lines[0].startswith("Counting: ") and "of 40 sheep" in lines[0]
    assert "per sheep" in lines[0] and "s left" in lines[0] and lines[0].endswith("asleep")
    assert "40 of 40 sheep" in lines[-1]


def test_a_job_of_a_moment_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    list(track(range(5), "Quick"))
    assert not caplog.records


def test_on_a_terminal_nested_bars_share_one_display(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress("Outer", total=2, unit="epochs") as outer:
        for _ in range(2):
            assert sum(track([1, 2, 3], "Inner", unit="batches")) == 6
            outer.advance()
            outer.note("loss 1.5")
    text = terminal.getvalue()
    assert "Outer" in text and "2/2" in text and "epochs/s" in text and "loss 1.5" in text


def test_a_bar_of_a_failed_job_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with pytest.raises(ZeroDivisionError), progress("Failing", total=1):
        raise ZeroDivisionError
    assert progress_module._screen._display is None
