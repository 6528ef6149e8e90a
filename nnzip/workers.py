"""Processes that work side by side, for jobs that are few and large: segments to code, tiles to decode.

Each computes on a GPU of its own where there are several, and takes its share of the processor's threads otherwise.
What a job reports, warns of or fails with reaches the process that asked for it.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any, Generic, TypeVar

import torch

from nnzip.errors import NnzipError, NnzipWarning, ResourceError, UsageError
from nnzip.field.device import count_gpus

Job = TypeVar("Job")
Result = TypeVar("Result")
Report = Callable[..., None]


def results_in_order(
    work: Callable[[Job, Report], Result], jobs: Iterator[tuple[Job, Report]], count: int, device: torch.device
) -> Generator[Result, None, None]:
    """`work(job, report)` of every job, `count` at once; one at a time in this process.

    A job is asked for when the result `count` places before it was taken: equal results lead to equal jobs, whichever
    process is faster. Memory of this process: one job, and `count` results.
    """
    if count <= 1:
        for job, report in jobs:
            result = work(job, report)
            del job
            yield result
        return
    with Workers(work, count, device) as workers:
        tickets: deque[int] = deque()
        for job, report in jobs:
            tickets.append(workers.start(job, report))
            del job
            if len(tickets) == count:
                yield workers.result(tickets.popleft())
        while tickets:
            yield workers.result(tickets.popleft())


class Workers(Generic[Job, Result]):
    """`count` processes that do `work`, a function that can be pickled; a context manager that leaves none behind."""

    def __init__(self, work: Callable[[Job, Report], Result], count: int, device: torch.device) -> None:
        context = multiprocessing.get_context("spawn")  # forks break CUDA and threads
        gpus = count_gpus(device)
        self._workers: list[_Worker] = []
        self._results: dict[int, Any] = {}
        self._forgotten: set[int] = set()
        self._warned: set[str] = set()
        self._started = 0
        try:
            with _inherited(max(torch.get_num_threads() // count, 1)):
                for number in range(count):
                    ours, theirs = context.Pipe()
                    arguments = (theirs, work, number % gpus if gpus else None)
                    process = context.Process(target=_serve, args=arguments, daemon=True)
                    self._workers.append(_Worker(process, ours))
                    process.start()
                    theirs.close()  # so that the end of the process ends the pipe
        except BaseException:
            self.close()
            raise

    def start(self, job: Job, report: Report | None = None) -> int:
        """Give a job to an idle process, waiting for one; a number to ask for its result with."""
        while not self.idle:
            self._listen()
        worker = next(worker for worker in self._workers if worker.ticket is None)
        worker.ticket, worker.report = self._started, report
        self._started += 1
        try:
            worker.pipe.send(job)
        except ConnectionError as error:
            raise worker.ended() from error
        return worker.ticket

    @property
    def idle(self) -> bool:
        """Whether a process has nothing to do."""
        return any(worker.ticket is None for worker in self._workers)

    def result(self, ticket: int) -> Result:
        """What a job led to, waiting for it; raises what the job raised, ResourceError when a process was killed."""
        while ticket not in self._results:
            self._listen()
        result: Result | _Failure = self._results.pop(ticket)
        if isinstance(result, _Failure):
            raise result.error
        return result

    def forget(self, ticket: int) -> None:
        """Nobody will ask for this result."""
        if ticket in self._results:
            del self._results[ticket]
        else:
            self._forgotten.add(ticket)

    def close(self) -> None:
        """End all processes, whatever they are doing."""
        for worker in self._workers:
            if worker.process.pid is not None:
                worker.process.terminate()
                worker.process.join()
            worker.pipe.close()

    def __enter__(self) -> Workers[Job, Result]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _listen(self) -> None:
        """Wait until some process says something."""
        ready = wait([worker.pipe for worker in self._workers])
        for worker in self._workers:
            if worker.pipe in ready:
                try:
                    kind, content = worker.pipe.recv()
                except (EOFError, ConnectionError) as error:
                    raise worker.ended() from error
                self._heard(worker, kind, content)

    def _heard(self, worker: _Worker, kind: str, content: Any) -> None:
        if kind == "ready":
            worker.ready = True
        elif kind == "report" and worker.report is not None:
            worker.report(*content)
        elif kind == "warning" and str(content) not in self._warned:  # the others will find the same
            self._warned.add(str(content))
            warnings.warn(content, stacklevel=2)
        elif kind == "result":
            ticket, worker.ticket, worker.report = worker.ticket, None, None
            if ticket in self._forgotten:
                self._forgotten.remove(ticket)
            elif ticket is not None:
                self._results[ticket] = content


@dataclass
class _Worker:
    """A process, our end of the pipe to it, and what it is doing; `ready`: it has begun."""

    process: SpawnProcess
    pipe: Connection
    ticket: int | None = None
    report: Report | None = None
    ready: bool = False

    def ended(self) -> NnzipError:
        """Why it is gone."""
        self.process.join()
        code = self.process.exitcode or 0
        if not self.ready and code > 0:
            return UsageError(
                "the processes for several jobs cannot begin: a script that asks for them does its work under "
                '`if __name__ == "__main__":`, or takes jobs=1'
            )
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return ResourceError(
            f"one of several processes {how}, as happens when the memory is full: nothing was written; use fewer at "
            "once (--jobs), or take fewer variables at a time"
        )


@dataclass(frozen=True)
class _Failure:
    error: Exception


@contextmanager
def _inherited(threads: int) -> Iterator[None]:
    """What processes started now inherit: their number of threads, and that Ctrl-C is not for them, as it ends the
    process that then ends them."""
    before = os.environ.get("OMP_NUM_THREADS")
    resource_tracker.ensure_running()  # would unblock Ctrl-C if it started with the first process
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.environ["OMP_NUM_THREADS"] = str(threads)
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _serve(pipe: Connection, work: Callable[[Any, Report], Any], gpu: int | None) -> None:
    """The life of a process: job after job, until the pipe closes."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        pipe.send(("warning", message))

    def report(*content: Any) -> None:
        pipe.send(("report", content))

    warnings.showwarning = show
    warnings.simplefilter("ignore")
    warnings.simplefilter("always", NnzipWarning)
    logging.disable(logging.WARNING)
    pipe.send(("ready", None))
    try:
        while True:
            message = pipe.recv_bytes()  # pickled by whoever started this process; unpickled where errors are answered
            result: Any
            try:
                if gpu is not None:
                    torch.cuda.set_device(gpu)
                job = pickle.loads(message)
                del message
                result = work(job, report)
                del job
            except Exception as error:
                result = _Failure(_portable(error))
            pipe.send(("result", result))
            del result
    except (EOFError, ConnectionError):
        return  # nobody is left to work for


def _portable(error: Exception) -> Exception:
    """An error that can be pickled, with its traceback as a note."""
    error.add_note("In another process:\n" + "".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
