"""Pauses grow, passing errors are tried again, others are not, and a terminal shows what goes on."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from nnzip.download.retry import Patience, retrying, short
from nnzip.errors import UnavailableError, UsageError
from tests.support.cds_server import CdsServer


class Listener:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)

    def show(self, stage: str, fraction: float | None) -> None:
        pass


def test_pauses_double_up_to_a_limit() -> None:
    assert list(islice(Patience(first=1.0).pauses(), 9)) == [1, 2, 4, 8, 16, 32, 64, 120, 120]


def test_the_first_pause_can_be_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Patience.from_environment().first == 1.0
    monkeypatch.setenv("NNZIP_DOWNLOAD_PAUSE", "0.5")
    assert Patience.from_environment().first == 0.5
    monkeypatch.setenv("NNZIP_DOWNLOAD_PAUSE", "soon")
    with pytest.raises(UsageError, match="NNZIP_DOWNLOAD_PAUSE is 'soon'"):
        Patience.from_environment()


def test_passing_errors_are_tried_again_and_others_are_not() -> None:
    errors: list[Exception] = [TimeoutError("slow"), TimeoutError("slow")]
    listener = Listener()

    def action() -> str:
        if errors:
            raise errors.pop()
        return "done"

    def is_passing(error: Exception) -> bool:
        return isinstance(error, TimeoutError)

    patience = Patience(first=0.0, tries=3)
    assert retrying(action, is_passing, patience, listener, "the server") == "done"
    assert listener.said == [f"the server: slow; trying again in 0 s ({number} of 3)" for number in (1, 2)]
    errors += [TimeoutError("slow")] * 3
    with pytest.raises(UnavailableError, match=r"the server cannot be reached or fails \(slow\), 3 tries"):
        retrying(action, is_passing, patience, listener, "the server")
    errors[:] = [TimeoutError("slow"), ValueError("wrong")]
    with pytest.raises(ValueError, match="wrong"):
        retrying(action, is_passing, patience, listener, "the server")


def test_nested_errors_are_one_line() -> None:
    assert short(OSError("first line\nsecond")) == "first line"
    assert short(ValueError()) == "ValueError"
    assert short(ConnectionError(ConnectionError("broken", OSError(111, "refused")))) == "broken"


def test_a_terminal_shows_the_queue_and_the_transfer(tmp_path: Path) -> None:
    server = CdsServer(statuses=["accepted", "accepted", "running", "running", "successful"])
    master, slave = pty.openpty()
    environment = {
        **os.environ, "CDSAPI_URL": server.url, "CDSAPI_KEY": "secret", "NNZIP_DOWNLOAD_PAUSE": "0.15",
        "NO_COLOR": "1", "COLUMNS": "160", "TERM": "xterm",
    }  # fmt: skip
    command = [sys.executable, "-m", "nnzip", "download", "t2m", "--start", "2016-10-01", "--end", "2016-10-02"]
    try:
        with subprocess.Popen([*command, "-o", str(tmp_path / "out")], stderr=slave, env=environment) as process:
            os.close(slave)
            seen = bytearray()
            with contextlib.suppress(OSError):  # Linux reports the closed terminal so
                while piece := os.read(master, 65536):
                    seen += piece
    finally:
        os.close(master)
        server.close()
    assert process.returncode == 0, seen.decode()
    text = seen.decode()
    name = "era5_2016-10-01_2016-10-02_single"
    for part in (f"{name} queued 0 min", f"{name} running 0 min", f"{name}: requested (job-0)", "100%", f"{name}.nc: "):
        assert part in text
