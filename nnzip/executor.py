"""Work on several things at once, results in order."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from nnzip.errors import ResourceError

Job = TypeVar("Job")
Result = TypeVar("Result")
Made = TypeVar("Made")


def results_in_order(
    work: Callable[[Job], Result], jobs: Iterable[Job], executor: Executor | None, ahead: int = 1
) -> Iterator[Result]:
    """`work(job)` for every job, in their order; `executor` None: here, one after another.

    At most `ahead` jobs are started before their results are taken, so `jobs` may be made on demand. Raises what `work`
    raises, and ResourceError when a process was killed.
    """
    if executor is None:
        yield from map(work, jobs)
        return
    started: deque[Future[Result]] = deque()
    try:
        for job in jobs:
            if len(started) >= ahead:
                yield started.popleft().result()
            started.append(executor.submit(work, job))
            del job
        while started:
            yield started.popleft().result()
    except BrokenProcessPool as error:
        raise ResourceError(
            "one of several processes was ended, as happens when the memory is full: nothing was written; use fewer "
            "at once (--jobs), or smaller tiles (--tile). A script that asks for several jobs does its work under "
            '`if __name__ == "__main__":`'
        ) from error
    finally:
        for future in started:
            future.cancel()


def overlapped(
    first: Callable[[Job], Made], second: Callable[[Job, Made], Result], jobs: Iterable[Job]
) -> Iterator[Result]:
    """`second(job, first(job))` for every job, in their order: a thread does the second while the next job's first is
    done here."""
    with ThreadPoolExecutor(1) as thread:
        pending: Future[Result] | None = None
        for job in jobs:
            made = first(job)
            if pending is not None:
                yield pending.result()
            pending = thread.submit(second, job, made)
            del job, made
        if pending is not None:
            yield pending.result()


@contextmanager
def processes(count: int) -> Iterator[Executor | None]:
    """An executor of so many processes, ended on leaving; None for one: the work is done here."""
    if count == 1:
        yield None
        return
    context = multiprocessing.get_context("spawn")  # forks break CUDA and threads
    pool = ProcessPoolExecutor(count, context, initializer=_begin, initargs=(max((os.cpu_count() or 1) // count, 1),))
    try:
        yield pool
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(threads: int) -> None:
    """A process leaves Ctrl-C to the one that started it and ends with it, and leaves the others their cores."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = str(threads)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
