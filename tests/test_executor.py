"""Several processes: results in order, on demand, and nothing left whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nnzip.errors import InputError, ResourceError
from nnzip.executor import Workers, workers


def work(job: str) -> list[str]:
    """What the processes of these tests do."""
    what, _, rest = job.partition(" ")
    if what == "sleep":
        time.sleep(float(rest))
    if what == "refuse":
        raise InputError("it is infinite: mark it")
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "threads":
        return [os.environ["OMP_NUM_THREADS"]]
    return [f"{os.getpid()} {rest}"]


@pytest.fixture(scope="module")
def two() -> Iterator[Workers]:
    with workers(2) as team:
        yield team


def test_results_come_in_the_order_of_their_jobs(two: Workers) -> None:
    jobs = [f"sleep {0.3 if number == 0 else 0}" for number in range(5)]
    found = [result.split() for result in two.results(work, jobs)]
    assert [rest for _, rest in found] == [job.split()[1] for job in jobs]
    assert str(os.getpid()) not in {process for process, _ in found}


def test_one_job_is_done_here() -> None:
    with workers(1) as team:
        assert team == Workers(None, 1)
        assert list(team.results(work, ["number 1"])) == [f"{os.getpid()} 1"]


def test_threads_are_in_this_process_and_end_with_what_they_are_at() -> None:
    begun: list[str] = []

    def slow(job: str) -> list[str]:
        begun.append(job)
        time.sleep(0.2)
        return [f"{os.getpid()} {job}"]

    def interrupted() -> None:
        with workers(2, threads=True) as team:
            for number, result in enumerate(team.results(slow, map(str, range(100)))):
                assert result == f"{os.getpid()} {number}"
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(begun) < 6


@pytest.mark.parametrize("count", [1, 2])
def test_a_job_is_made_when_results_before_it_were_taken(count: int) -> None:
    taken: list[str] = []

    def jobs() -> Iterator[str]:
        for number in range(6):
            assert len(taken) >= number - 2 * count
            yield f"number {number}"

    with ThreadPoolExecutor(2) as threads:
        for result in Workers(threads, count).results(work, jobs()):
            taken.append(result.split()[1])
    assert taken == list("012345")


def test_processes_share_the_cores(two: Workers) -> None:
    assert next(two.results(work, ["threads"])) == str(max((os.cpu_count() or 1) // 2, 1))


def test_errors_come_as_they_were_raised_and_the_others_go_on(two: Workers) -> None:
    with pytest.raises(InputError, match="it is infinite: mark it"):
        list(two.results(work, ["number 0", "refuse", "number 2"]))
    assert len(list(two.results(work, ["number 7"]))) == 1


def test_a_killed_process_is_a_lack_of_resources() -> None:
    with pytest.raises(ResourceError, match=r"as happens when the memory is full: .* \(--jobs\)"), workers(2) as team:
        list(team.results(work, ["number 0", "die", "number 2"]))


SCRIPT = """
import sys
from nnzip.executor import Workers, workers
from tests.test_executor import work
if {guarded}:
    with workers(2) as team:
        for _ in team.results(work, ["number 0", *["sleep 60"] * 3]):
            print("begun", flush=True)
"""


def test_a_script_without_a_guard_is_told_about_it(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(guarded="True"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=120, check=False, env=environment
    )
    assert ended.returncode == 1
    assert 'under `if __name__ == "__main__":`' in ended.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_processes_are_gone(how: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C reaches the whole group; of a terminated parent its processes notice."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(guarded='__name__ == "__main__"'))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        assert _group(process.pid) > {process.pid}
        if how == signal.SIGINT:
            os.killpg(process.pid, how)
        else:
            process.send_signal(how)
        assert process.wait(timeout=30) != 0
        for _ in range(100):
            if not _group(process.pid):
                return
            time.sleep(0.1)
        left = _group(process.pid)
        os.killpg(process.pid, signal.SIGKILL)
    raise AssertionError(f"processes {left} are still there")


def _group(number: int) -> set[int]:
    """Running processes of a process group."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(group) == number and state != "Z":
                found.add(int(entry.name))
    return found
