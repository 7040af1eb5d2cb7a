import threading

import pytest

from prolepsis.watch.channel import Channel, fed


def test_items_come_in_order_and_then_the_end() -> None:
    channel: Channel[int] = Channel(4, dropping=False)
    for number in range(4):
        assert channel.put(number)
    channel.end()
    assert channel.take(3) == [0, 1, 2]
    assert list(channel) == [3]
    assert channel.take(1) == []


def test_a_dropping_channel_keeps_the_newest_and_counts() -> None:
    channel: Channel[int] = Channel(3, dropping=True)
    for number in range(10):
        channel.put(number)
    assert channel.num_dropped == 7
    assert channel.take(9) == [7, 8, 9]


def test_a_writer_waits_for_room_and_loses_nothing() -> None:
    channel: Channel[int] = Channel(2, dropping=False)
    with fed((number for number in range(50)), channel, "numbers"):
        assert list(channel) == list(range(50))
    assert channel.num_dropped == 0


def test_what_goes_wrong_is_raised_after_what_came_before() -> None:
    def broken():
        yield 1
        raise OSError("the wire is cut")

    channel: Channel[int] = Channel(2, dropping=False)
    with fed(broken(), channel, "broken"), pytest.raises(OSError, match="the wire is cut"):
        assert channel.take(1) == [1]
        channel.take(1)


def test_a_reader_that_stops_ends_the_writer_and_closes_its_generator() -> None:
    closed = threading.Event()

    def endless():
        try:
            while True:
                yield 1
        finally:
            closed.set()

    channel: Channel[int] = Channel(2, dropping=False)
    with fed(endless(), channel, "endless"):
        channel.take(1)
    assert closed.is_set()
    assert not channel.put(2)
    assert channel.take(1) == []
