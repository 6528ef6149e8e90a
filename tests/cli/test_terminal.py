"""One place turns exceptions into messages and exit codes, keeps third parties quiet and cleans up."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import pty
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import typer

from nnzip.cli.terminal import Terminal, session
from nnzip.errors import (
    CorruptArchiveError,
    InputError,
    NewerFormatError,
    NnzipError,
    ResourceError,
    UnavailableError,
    UsageError,
    VerificationError,
)


def exit_code(error: BaseException, *, verbose: bool = False) -> int:
    with pytest.raises(typer.Exit) as caught, session(verbose=verbose):
        raise error
    return int(caught.value.exit_code)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("wrong"), 2),
        (InputError("wrong"), 3),
        (CorruptArchiveError("wrong"), 4),
        (VerificationError("wrong"), 5),
        (UnavailableError("wrong"), 6),
        (NewerFormatError("wrong"), 6),
        (ResourceError("wrong"), 7),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_error_has_its_exit_code(error: NnzipError, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(error) == code
    captured = capsys.readouterr()
    assert captured.err == "error: wrong\n"
    assert captured.out == ""


def test_ctrl_c_says_that_nothing_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(KeyboardInterrupt()) == 130
    assert "interrupted; nothing was written" in capsys.readouterr().err


def test_out_of_memory_is_a_resource_limit(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(MemoryError()) == 7
    assert "not enough memory" in capsys.readouterr().err


def test_full_disk_is_a_resource_limit_wherever_it_comes_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(OSError(errno.ENOSPC, "No space left on device", "out.nnz")) == 7
    assert capsys.readouterr().err == "error: No space left on device: out.nnz\n"


def test_a_bug_asks_for_a_report_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(ZeroDivisionError("division by zero")) == 1
    message = capsys.readouterr().err
    assert "bug" in message
    assert "report" in message
    assert "ZeroDivisionError: division by zero" in message
    assert "Traceback" not in message


def test_verbose_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(ZeroDivisionError("division by zero"), verbose=True) == 1
    assert "Traceback" in capsys.readouterr().err


def test_nnzip_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNZIP_DEBUG", "1")
    assert exit_code(ZeroDivisionError("division by zero")) == 1
    assert "Traceback" in capsys.readouterr().err


def test_third_parties_are_silent_unless_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    with session():
        warnings.warn("chatter", UserWarning, stacklevel=1)
        logging.getLogger("third.party").warning("chatter")
    assert capsys.readouterr().err == ""
    assert logging.root.manager.disable == logging.NOTSET
    with pytest.warns(UserWarning, match="chatter"), session(verbose=True):
        warnings.warn("chatter", UserWarning, stacklevel=1)


def test_messages_go_to_stderr_and_data_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    with session() as terminal:
        terminal.message("a message [not markup]")
        terminal.data("a result")
    captured = capsys.readouterr()
    assert captured.err == "a message [not markup]\n"
    assert captured.out == "a result\n"


def test_quiet_keeps_data_and_drops_messages(capsys: pytest.CaptureFixture[str]) -> None:
    with session(quiet=True) as terminal:
        terminal.message("a message")
        terminal.warning("a warning")
        terminal.data("a result")
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out == "a result\n"


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().json({"a": float("nan"), "b": [float("inf"), 1.5], "c": Path("x"), 3: None})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1.5], "c": "x", "3": None}


def test_no_progress_where_nobody_watches() -> None:
    with Terminal(quiet=True).progress() as progress:
        assert progress is None
    with Terminal().progress(logs=False) as progress:
        assert progress is None


WATCHED = """
import time
from nnzip.cli.terminal import session
from nnzip.progress import Progress
with session() as terminal, terminal.progress() as progress:
    time.sleep(0.05)
    progress(Progress("coding", 0.42, 75.0, 10_000_000, 1_000_000))
"""


def test_progress_on_a_terminal_has_stage_speed_ratio_and_time_left() -> None:
    master, slave = pty.openpty()
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "160", "TERM": "xterm"}
    with subprocess.Popen([sys.executable, "-c", WATCHED], stderr=slave, env=environment) as process:
        os.close(slave)
        seen = bytearray()
        with contextlib.suppress(OSError):  # Linux reports the closed terminal so
            while piece := os.read(master, 65536):
                seen += piece
    os.close(master)
    assert process.returncode == 0
    text = seen.decode().replace("\u00a0", " ")
    for part in ("coding", "MB/s, 10.0 times smaller, 1:15 left"):
        assert part in text
    assert "\x1b[3" not in text  # a colour


SLEEPER = """
import sys, time
from pathlib import Path
import typer
from nnzip.cli.terminal import session
app = typer.Typer()
@app.command()
def work(path: Path) -> None:
    with session():
        try:
            path.write_text("half")
            print("ready", flush=True)
            time.sleep(60)
        finally:
            path.unlink()
app()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_let_the_command_clean_up(tmp_path: Path, number: signal.Signals, code: int) -> None:
    path = tmp_path / "half-written"
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, number)
        _, message = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in message
    assert not path.exists()


FLOOD = """
import typer
from nnzip.cli.terminal import session
app = typer.Typer()
@app.command()
def work() -> None:
    with session() as terminal:
        for line in range(100000):
            terminal.data("line")
app()
"""


def test_a_closed_pipe_is_no_bug() -> None:
    process = subprocess.Popen([sys.executable, "-c", FLOOD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        message = process.stderr.read()
        assert process.wait(timeout=30) == 141
    assert message == ""
