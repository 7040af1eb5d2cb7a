"""Making things in a thread while what was made before is used."""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")


class _End:
    """Stands for the end of the items."""


def made_ahead(items: Iterator[_Item], name: str, length: int = 1) -> Generator[_Item]:
    """The same items, up to `length` of them made ahead of whoever takes them, in a thread of their own.

    What goes wrong while one is made is raised where it is taken. Whoever stops before the end waits, when
    this is closed, for the item at hand and for no other.
    """
    executor = ThreadPoolExecutor(1, name)
    try:
        ahead = deque(executor.submit(next, items, _End()) for _ in range(length))
        while not isinstance(item := ahead.popleft().result(), _End):
            ahead.append(executor.submit(next, items, _End()))
            yield item
    finally:
        executor.shutdown(cancel_futures=True)
