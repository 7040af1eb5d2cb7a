"""A bounded queue between two threads, which either holds its writer back or drops what is oldest."""

import threading
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")

_PATIENCE_S = 5.0  # for a thread that hangs on a camera which says nothing


class Channel(Generic[Item]):
    """At most `capacity` items on their way.

    Args:
        dropping: when it is full, the oldest item gives way and is counted; else the writer waits.
    """

    def __init__(self, capacity: int, *, dropping: bool) -> None:
        self._capacity = capacity
        self._dropping = dropping
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._error: Exception | None = None
        self._num_dropped = 0

    @property
    def num_dropped(self) -> int:
        with self._changed:
            return self._num_dropped

    def put(self, item: Item) -> bool:
        """Adds an item; False when nobody takes any more."""
        with self._changed:
            if self._dropping and len(self._items) == self._capacity and not self._ended:
                self._items.popleft()
                self._num_dropped += 1
            self._changed.wait_for(lambda: self._ended or len(self._items) < self._capacity)
            if self._ended:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def end(self, error: Exception | None = None) -> None:
        """No more will come: what is there can still be taken, and then `error` is raised."""
        with self._changed:
            self._ended = True
            self._error = error
            self._changed.notify_all()

    def stop(self) -> None:
        """Nobody takes any more."""
        with self._changed:
            self._ended = True
            self._items.clear()
            self._changed.notify_all()

    def take(self, most: int) -> list[Item]:
        """Waits for an item, and takes up to `most` of those that are there; none when it has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._ended)
            taken = [self._items.popleft() for _ in range(min(most, len(self._items)))]
            self._changed.notify_all()
            if not taken and self._error is not None:
                raise self._error
            return taken

    def __iter__(self) -> Iterator[Item]:
        while taken := self.take(1):
            yield from taken


@contextmanager
def fed(items: Generator[Item], channel: Channel[Item], name: str) -> Iterator[Channel[Item]]:
    """The channel, filled by a thread; afterwards the thread is told to stop, and the generator is closed.

    What goes wrong in the thread is raised where the channel is read.
    """

    def feed() -> None:
        error: Exception | None = None
        try:
            for item in items:
                if not channel.put(item):
                    break
        except Exception as raised:  # handed to the thread that reads
            error = raised
        finally:
            items.close()
            channel.end(error)

    # A thread that waits for a dead camera must not keep the program alive.
    thread = threading.Thread(target=feed, name=name, daemon=True)
    thread.start()
    try:
        yield channel
    finally:
        channel.stop()
        thread.join(_PATIENCE_S)
