"""Processes that work side by side: results in order, and what they report, warn of, fail with or die of."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from nnzip.workers import Report, Workers, results_in_order

from nnzip.errors import InputError, NnzipWarning

CPU = torch.device("cpu")


class UnportableError(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


def work(job: str, report: Report) -> Any:
    """What the processes of these tests do."""
    what, _, number = job.partition(" ")
    if what == "threads":
        return os.getpid(), torch.get_num_threads()
    if what == "report":
        report("half", 0.5)
    if what == "warn":
        warnings.warn("it drifts", NnzipWarning, stacklevel=1)
        warnings.warn("somebody else's", UserWarning, stacklevel=1)
    if what == "refuse":
        raise InputError("it is infinite: mark it")
    if what == "fail":
        raise UnportableError("a", "b")
    return number


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers[str, Any]]:
    with Workers(work, 2, CPU) as started:
        yield started


def test_each_result_belongs_to_its_job(workers: Workers[str, Any]) -> None:
    tickets = [workers.start(f"number {number}") for number in range(6)]
    workers.forget(tickets[2])
    assert [workers.result(tickets[number]) for number in (5, 0, 4, 1, 3)] == ["5", "0", "4", "1", "3"]


def test_processes_share_the_threads(workers: Workers[str, Any]) -> None:
    found = [workers.result(ticket) for ticket in [workers.start("threads") for _ in range(2)]]
    assert os.getpid() not in {process for process, _ in found}
    assert {threads for _, threads in found} == {max(torch.get_num_threads() // 2, 1)}


def test_reports_reach_who_started_the_job(workers: Workers[str, Any]) -> None:
    heard: list[tuple[Any, ...]] = []
    assert workers.result(workers.start("report 1", lambda *content: heard.append(content))) == "1"
    assert workers.result(workers.start("report 2")) == "2"
    assert heard == [("half", 0.5)]


def test_a_warning_is_given_once_and_those_of_others_are_not(workers: Workers[str, Any]) -> None:
    tickets = [workers.start("warn") for _ in range(2)]
    with pytest.warns(NnzipWarning, match="it drifts") as heard:
        assert [workers.result(ticket) for ticket in tickets] == ["", ""]
    assert len(heard) == 1


def test_errors_keep_their_class_message_and_place(workers: Workers[str, Any]) -> None:
    with pytest.raises(InputError) as refused:
        workers.result(workers.start("refuse"))
    assert str(refused.value) == "it is infinite: mark it"
    assert "test_workers.py" in refused.value.__notes__[0]
    with pytest.raises(RuntimeError, match="UnportableError: ab"):
        workers.result(workers.start("fail"))
    assert workers.result(workers.start("number 7")) == "7"


def test_a_job_is_made_when_the_results_before_it_were_taken() -> None:
    taken: list[str] = []

    def jobs() -> Iterator[tuple[str, Report]]:
        for number in range(4):
            assert len(taken) == max(number - 1, 0)
            yield f"number {number}", print

    for result in results_in_order(work, jobs(), 2, CPU):
        taken.append(result)
    assert taken == ["0", "1", "2", "3"]


def test_a_script_without_a_guard_is_told_about_it(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import torch, nnzip.workers as w\nw.Workers(print, 1, torch.device('cpu')).result(0)\n")
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=False)
    assert ended.stderr.strip().endswith('under `if __name__ == "__main__":`, or takes jobs=1')
