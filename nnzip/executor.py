"""Work on several things at once, results in order: here, in threads or processes of this machine, or on a cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from mmap import mmap
from typing import Any, TypeVar

from nnzip.errors import NnzipError, ResourceError, UnavailableError, UsageError

Job = TypeVar("Job")
Result = TypeVar("Result")
Made = TypeVar("Made")
_THREAD_BYTES = 1 << 24  # a stack, and what Python needs to begin
_LARGE = {"distributed.admin.large-graph-warning-threshold": "1 TB"}  # values in memory travel with their jobs


@dataclass(frozen=True)
class Workers:
    """`count` workers behind `executor`; without one the work is done here."""

    executor: Executor | None = None
    count: int = 1

    @property
    def share_memory(self) -> bool:
        """Whether jobs reach the workers without being copied."""
        return isinstance(self.executor, ThreadPoolExecutor)

    def results(self, work: Callable[[Job], Iterable[Result]], jobs: Iterable[Job]) -> Iterator[Result]:
        """The results of `work(job)` for every job, in their order.

        Two jobs for each worker are started before results are taken, so `jobs` may be made on demand. Raises what
        `work` raises; ResourceError when processes were killed, UnavailableError when the cluster is gone.
        """
        if self.executor is None:
            for job in jobs:
                yield from work(job)
            return
        started: deque[Future[list[Result]]] = deque()
        try:
            for job in jobs:
                if len(started) >= 2 * self.count:
                    yield from started.popleft().result()
                started.append(self.executor.submit(_all, work, job))
                del job
            while started:
                yield from started.popleft().result()
        except Exception as error:
            raise _explained(error) or error from error
        finally:
            for future in started:
                future.cancel()


ALONE = Workers()


def _all(work: Callable[[Job], Iterable[Result]], job: Job) -> list[Result]:
    return list(work(job))


def overlapped(
    first: Callable[[Job], Made], second: Callable[[Job, Made], Result], jobs: Iterable[Job]
) -> Iterator[Result]:
    """`second(job, first(job))` for every job, in their order: a thread does the second while the next job's first is
    done here."""
    require_thread_memory()
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


def require_thread_memory(count: int = 1) -> None:
    """Raise MemoryError where so many threads could not begin: Python waits for ever for one that ends before it says
    that it has started."""
    try:
        mmap(-1, count * _THREAD_BYTES).close()
    except OSError as error:
        raise MemoryError(f"there is no memory for {count} threads") from error


@contextmanager
def workers(jobs: int, executor: Any = None, *, threads: bool = False) -> Iterator[Workers]:
    """Who works: `executor`, a `concurrent.futures.Executor` of so many `jobs` or a `dask.distributed.Client`; without
    one that many processes or `threads`, ended on leaving.

    Raises UsageError for fewer than one.
    """
    if jobs < 1:
        raise UsageError(f"{jobs} jobs: there is at least one")
    if hasattr(executor, "get_executor"):
        import dask.config

        with dask.config.set(_LARGE):
            # pure jobs are named by their values, which dask would read here
            yield Workers(executor.get_executor(pure=False), max(sum(executor.nthreads().values()), 1))
    elif executor is not None:
        yield Workers(executor, jobs)
    elif jobs == 1:
        yield Workers()
    else:
        with (_threads if threads else _processes)(jobs) as pool:
            yield Workers(pool, jobs)


def _explained(error: Exception) -> NnzipError | None:
    """An error of the workers themselves as ours."""
    if isinstance(error, BrokenProcessPool):
        return ResourceError(
            "one of several processes was ended, as happens when the memory is full: nothing was written; use fewer "
            "at once (--jobs), or smaller tiles (--tile). A script that asks for several jobs does its work under "
            '`if __name__ == "__main__":`'
        )
    if type(error).__name__ == "KilledWorker":
        return ResourceError(
            f"workers of the cluster died again and again ({error}), as happens when their memory is full: nothing was "
            "written; give them more, or use smaller tiles (--tile)"
        )
    if isinstance(error, ModuleNotFoundError):
        return UnavailableError(f"a worker of the cluster lacks a package: {error}; install the same nnzip there")
    if isinstance(error, CancelledError) or type(error).__module__.startswith("distributed"):
        return UnavailableError(f"the cluster stopped answering ({type(error).__name__}): nothing was written")
    return None


@contextmanager
def _threads(count: int) -> Iterator[Executor]:
    """Threads of this process, which end with what they are at."""
    require_thread_memory(count)
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _processes(count: int) -> Iterator[Executor]:
    """Processes of this machine, ended at once where something is raised."""
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
