"""Pauses grow, passing errors are tried again, others are not, and a terminal shows what goes on."""

from __future__ import annotations

import contextlib
import os
import pty
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import requests

from nnzip.cli.download_reports import DownloadWatcher
from nnzip.cli.terminal import Terminal
from nnzip.download.retry import Patience, Server, short
from nnzip.errors import UnavailableError, UsageError
from tests.support.cds_server import CdsServer


class Listener:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)

    def show(self, stage: str, done: int | None = None, total: int | None = None) -> None:
        pass


def failing(*errors: Exception) -> tuple[Server, Listener, list[Exception]]:
    listener = Listener()
    return Server("the server", Patience(first=0.0, tries=3), listener), listener, list(errors)


def reply(errors: list[Exception]) -> str:
    if errors:
        raise errors.pop(0)
    return "done"


def http_error(status: int, **headers: str) -> requests.HTTPError:
    response = requests.Response()
    response.status_code, response.reason = status, "Reason"
    response.headers.update({name.replace("_", "-"): text for name, text in headers.items()})
    return requests.HTTPError(response=response)


def test_ten_tries_take_minutes() -> None:
    pauses = [Patience().pause(number) for number in range(1, 10)]
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 120, 120]
    assert Patience().tries == 10
    assert sum(pauses) > 300


def test_the_first_pause_can_be_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Patience.from_environment().first == 1.0
    monkeypatch.setenv("NNZIP_DOWNLOAD_PAUSE", "0.5")
    assert Patience.from_environment().first == 0.5
    monkeypatch.setenv("NNZIP_DOWNLOAD_PAUSE", "soon")
    with pytest.raises(UsageError, match="NNZIP_DOWNLOAD_PAUSE is 'soon'"):
        Patience.from_environment()


def test_passing_errors_are_tried_again_and_others_are_not() -> None:
    server, listener, errors = failing(requests.Timeout("slow"), http_error(503))
    assert server.ask(lambda: reply(errors)) == "done"
    assert listener.said == [
        "the server: slow; trying again in 0 s (1 of 3)", "the server: HTTP 503 Reason; trying again in 0 s (2 of 3)",
    ]  # fmt: skip
    errors += [requests.Timeout("slow")] * 3
    with pytest.raises(UnavailableError, match=r"the server cannot be reached or fails \(slow\), 3 tries"):
        server.ask(lambda: reply(errors))
    errors += [requests.Timeout("slow"), ValueError("wrong")]
    with pytest.raises(ValueError, match="wrong"):
        server.ask(lambda: reply(errors))
    errors += [http_error(403)]
    with pytest.raises(requests.HTTPError):
        server.ask(lambda: reply(errors))


@pytest.mark.parametrize("as_date", [False, True])
def test_the_pause_a_server_asks_for_is_kept(as_date: bool) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True) if as_date else "1"
    server, listener, errors = failing(http_error(429, Retry_After=when))
    began = time.monotonic()
    assert server.ask(lambda: reply(errors)) == "done"
    assert 0.9 <= time.monotonic() - began < 3
    assert "HTTP 429" in listener.said[0]


def test_no_network_is_said_at_once_and_waited_for_once_the_server_has_answered() -> None:
    offline = requests.ConnectionError(socket.gaierror(-2, "Name or service not known"))
    server, listener, errors = failing(offline)
    with pytest.raises(UnavailableError, match="there is no network: the server is not found"):
        server.ask(lambda: reply(errors))
    assert not listener.said
    assert server.ask(lambda: reply(errors)) == "done"
    errors += [offline]
    assert server.ask(lambda: reply(errors)) == "done"
    assert len(listener.said) == 1


def test_a_stopped_server_wakes_those_that_wait() -> None:
    server = Server("the server", Patience(first=60.0), Listener())
    server.stop()
    with pytest.raises(UnavailableError):
        server.ask(lambda: reply([requests.Timeout("slow")] * 9))


def test_nested_errors_are_one_line() -> None:
    assert short(OSError("first line\nsecond")) == "first line"
    assert short(ValueError()) == "ValueError"
    assert short(requests.ConnectionError(OSError(111, "refused"))) == "[Errno 111] refused"


def test_a_log_gets_one_line_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    watcher = DownloadWatcher(Terminal(), None, lambda: now)
    for second in range(200):
        now = float(second)
        watcher.show("part", second * 10_000_000, 4_000_000_000)
    lines = capsys.readouterr().err.replace("\xa0", " ").splitlines()
    assert len(lines) == 3
    assert lines[0] == "part: 600 MB of 4.00 GB, 10.0 MB/s, 6 min left"
    now = 260.0
    watcher.show("part queued 4 min")
    assert capsys.readouterr().err == "part queued 4 min\n"


def test_a_terminal_shows_the_queue_and_the_transfer(tmp_path: Path) -> None:
    server = CdsServer(statuses=["accepted", "accepted", "running", "running", "successful"])
    master, slave = pty.openpty()
    environment = {
        **os.environ, "CDSAPI_URL": server.url, "CDSAPI_KEY": "secret", "NNZIP_DOWNLOAD_PAUSE": "0.15",
        "NO_COLOR": "1", "COLUMNS": "160", "TERM": "xterm",
    }  # fmt: skip
    command = [
        sys.executable,
        "-m",
        "nnzip",
        "download",
        "t2m",
        "--start",
        "2016-10-01",
        "--end",
        "2016-10-02",
        "--area",
        "8,-8,-8,8",
    ]
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
    for part in (
        f"{name} queued 0 min",
        f"{name} running 0 min",
        f"{name}: requested (job-0)",
        "100%",
        " of 8",
        f"{name}.nc: ",
    ):
        assert part in text
