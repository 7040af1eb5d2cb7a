import threading
from collections.abc import Iterator

import pytest

from prolepsis.training.ahead import made_ahead


def numbers(made: list[int], count: int, fail_at: int | None = None) -> Iterator[int]:
    for number in range(count):
        if number == fail_at:
            raise ValueError(f"cannot make {number}")
        made.append(number)
        yield number


def wait_for(made: list[int], count: int) -> None:
    done = threading.Event()
    for _ in range(500):
        if len(made) >= count:
            return
        done.wait(0.01)
    raise AssertionError(f"only {made} were made")


@pytest.mark.parametrize("length", [1, 3, 20])
def test_all_items_come_in_order(length: int) -> None:
    assert list(made_ahead(numbers([], 10), "test", length)) == list(range(10))
    assert list(made_ahead(numbers([], 0), "test", length)) == []


@pytest.mark.parametrize("length", [1, 3])
def test_so_many_are_made_while_one_is_used_and_no_more(length: int) -> None:
    made: list[int] = []
    items = made_ahead(numbers(made, 10), "test", length)
    assert made == []
    assert next(items) == 0
    wait_for(made, 1 + length)
    threading.Event().wait(0.05)
    assert made == list(range(1 + length))
    items.close()


def test_they_are_made_in_one_other_thread_of_that_name() -> None:
    def threads() -> Iterator[str]:
        for _ in range(4):
            yield threading.current_thread().name

    (name,) = set(made_ahead(threads(), "maker", 2))
    assert name.startswith("maker")


def test_what_goes_wrong_is_raised_behind_the_items_made_before() -> None:
    items = made_ahead(numbers([], 10, fail_at=2), "test", 3)
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(ValueError, match="cannot make 2"):
        next(items)


def test_whoever_stops_early_leaves_no_thread_and_waits_for_the_item_at_hand_only() -> None:
    made: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> Iterator[int]:
        yield from numbers(made, 1)
        begun.set()
        go_on.wait(5)
        made.append(1)
        yield 1
        made.append(2)

    before = threading.active_count()
    items = made_ahead(slow(), "test", 3)
    assert next(items) == 0
    assert begun.wait(5)
    threading.Timer(0.05, go_on.set).start()
    items.close()
    assert made == [0, 1]
    threading.Event().wait(0.1)
    assert threading.active_count() == before
