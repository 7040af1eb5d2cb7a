"""The same work on many shards, in this process or in several."""

import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from prolepsis.errors import ProlepsisError

Task = TypeVar("Task")

_THREADS = ("POLARS_MAX_THREADS", "RAYON_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS")


def num_processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Workers:
    """The processes that share the work; they are started when they are first needed.

    Args:
        num_processes: how many at once, this one alone for 1; None for one for each processor.
    """

    def __init__(self, num_processes: int | None) -> None:
        self._num_processes = num_processes or num_processors()
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)

    def for_each(
        self, work: Callable[[Task], int], tasks: Sequence[Task], advance: Callable[[int], None]
    ) -> None:
        """Calls `work` for every task, in no order.

        Args:
            work: a function of a module, or an object of one, that can be sent to another process; returns
                how much it has done.
            tasks: what it is called with.
            advance: called with what `work` returns, in this process.

        Raises:
            ProlepsisError: a process died; what `work` itself raises comes through.
        """
        if self._num_processes == 1 or len(tasks) <= 1:
            for task in tasks:
                advance(work(task))
            return
        with _threads_of_workers(max(1, num_processors() // self._num_processes)):
            try:
                self._share(work, tasks, advance)
            except BrokenProcessPool as error:
                raise ProlepsisError(
                    "A process that worked on the corpus was killed, most likely for want of memory.",
                    remedy="Lower corpus_ingestion.num_processes, and run again: finished shards are kept.",
                ) from error

    def _share(
        self, work: Callable[[Task], int], tasks: Sequence[Task], advance: Callable[[int], None]
    ) -> None:
        if self._executor is None:
            self._executor = ProcessPoolExecutor(
                self._num_processes,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_exit_with_parent,
            )
        for future in as_completed([self._executor.submit(work, task) for task in tasks]):
            advance(future.result())


@contextmanager
def _threads_of_workers(count: int) -> Iterator[None]:
    """Lets processes started inside share the processors; this process has its threads already."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, str(count)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _exit_with_parent() -> None:
    """Ends a worker whose parent was killed; it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent.sentinel,), daemon=True).start()


def _exit_after(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
