from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nnzip.data import atomic
from nnzip.data.atomic import AtomicOutput, require_distinct
from nnzip.errors import ResourceError, UsageError


def write(path: Path, text: str = "new", overwrite: bool = False) -> None:
    with AtomicOutput(path, overwrite) as output:
        output.temporary.write_text(text)
        output.commit()


def write_store(path: Path, text: str) -> None:
    with AtomicOutput(
        path, overwrite=True, replaces=lambda found: (found / ".zgroup").exists(), kind="store"
    ) as output:
        (output.temporary / "t2m").mkdir(parents=True)
        (output.temporary / ".zgroup").write_text(text)
        (output.temporary / "t2m" / "0").write_text(text)
        output.commit()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old.nc"
    path.write_text("old")
    return path


def test_an_output_appears_on_commit_and_leaves_nothing_else(tmp_path: Path) -> None:
    with AtomicOutput(tmp_path / "a.nc") as output:
        output.temporary.write_text("new")
        assert not (tmp_path / "a.nc").exists()
        output.commit()
    assert (tmp_path / "a.nc").read_text() == "new"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.nc"]


def test_new_files_have_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").write_text("")
    write(tmp_path / "a.nc")
    assert (tmp_path / "a.nc").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o444])
def test_permissions_of_a_replaced_file_are_kept(old: Path, mode: int) -> None:
    old.chmod(mode)
    write(old, overwrite=True)
    assert old.read_text() == "new"
    assert old.stat().st_mode & 0o7777 == mode


def test_what_is_being_written_is_private(tmp_path: Path) -> None:
    with AtomicOutput(tmp_path / "a.nc") as output:
        assert output.temporary.parent.stat().st_mode & 0o077 == 0


def test_links_are_followed(old: Path) -> None:
    link = old.with_name("link.nc")
    link.symlink_to(old)
    write(link, overwrite=True)
    assert link.is_symlink()
    assert old.read_text() == "new"
    with pytest.raises(UsageError, match=r"link\.nc exists.*-f"):
        write(link)


def test_dangling_and_circular_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nc").symlink_to(tmp_path / "gone.nc")
    (tmp_path / "b.nc").symlink_to(tmp_path / "b.nc")
    for name in ("a.nc", "b.nc"):
        with pytest.raises(UsageError, match=rf"{name} is a link to"):
            write(tmp_path / name, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nc", "b.nc"]


def test_an_existing_file_is_refused_before_any_work(old: Path) -> None:
    with pytest.raises(UsageError, match=r"exists.*-f"):
        AtomicOutput(old)
    assert old.read_text() == "old"
    assert list(old.parent.iterdir()) == [old]


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    with AtomicOutput(tmp_path / "a.nc") as output:
        output.temporary.write_text("new")
        (tmp_path / "a.nc").write_text("somebody else's")
        with pytest.raises(UsageError, match="exists"):
            output.commit()
    assert (tmp_path / "a.nc").read_text() == "somebody else's"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.nc"]


def test_what_is_no_regular_file_is_never_replaced(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/null")):
        with pytest.raises(UsageError, match="no regular file"):
            AtomicOutput(path, overwrite=True)


# --- directories ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("swaps", [True, False])
def test_a_directory_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swaps: bool) -> None:
    if not swaps:
        monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    store = tmp_path / "a.zarr"
    write_store(store, "first")
    (store / "extra").write_text("")
    store.chmod(0o750)
    write_store(store, "second")
    assert (store / "t2m" / "0").read_text() == "second"
    assert not (store / "extra").exists()
    assert store.stat().st_mode & 0o777 == 0o750
    assert list(tmp_path.iterdir()) == [store]


def test_a_foreign_directory_is_kept(tmp_path: Path) -> None:
    foreign = tmp_path / "a.zarr"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match=r"a\.zarr exists and is no store"):
        write_store(foreign, "new")
    assert (foreign / "thesis.tex").exists()


def test_a_directory_comes_back_when_it_cannot_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "a.zarr"
    write_store(store, "first")
    real, calls = Path.rename, []

    def second_fails(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        return real(self, target)

    monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    monkeypatch.setattr(Path, "rename", second_fails)
    with pytest.raises(ResourceError, match="Input/output"):
        write_store(store, "second")
    assert (store / "t2m" / "0").read_text() == "first"
    assert list(tmp_path.iterdir()) == [store]


# --- interruptions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["written", "synced", "replaced"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError(errno.ENOSPC, "No space left on device")])
def test_interrupted_anywhere(old: Path, monkeypatch: pytest.MonkeyPatch, stage: str, error: Any) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    if stage == "synced":
        monkeypatch.setattr(os, "fsync", fail)
    if stage == "replaced":
        monkeypatch.setattr(Path, "replace", fail)
    expected = (ResourceError, OSError) if isinstance(error, OSError) else error
    with pytest.raises(expected), AtomicOutput(old, overwrite=True) as output:  # noqa: PT012
        output.temporary.write_text("half")
        if stage == "written":
            fail()
        output.commit()
    assert old.read_text() == "old"
    assert list(old.parent.iterdir()) == [old]


KILLED = """
import sys
from nnzip.data.atomic import AtomicOutput
output = AtomicOutput(sys.argv[1], overwrite=True)
output.temporary.write_text("half")
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def writer(old: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has begun to write `old` and waits."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(old)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_leftovers_of_a_killed_run_go_with_the_next_one(old: Path, writer: subprocess.Popen[str]) -> None:
    write(old.with_name("other.nc"))
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert len(list(old.parent.glob(".nnzip-*.part"))) == 1
    write(old.with_name("other.nc"), overwrite=True)  # another output's leftovers are not its business
    assert len(list(old.parent.glob(".nnzip-*.part"))) == 1
    write(old, overwrite=True)
    assert sorted(path.name for path in old.parent.iterdir()) == ["old.nc", "other.nc"]


def test_a_living_run_is_left_alone(old: Path, writer: subprocess.Popen[str]) -> None:
    write(old, overwrite=True)
    assert writer.poll() is None
    assert [path.name for path in old.parent.glob(".nnzip-*.part/*")] == ["old.nc"]


# --- failures ---------------------------------------------------------------------------------------------------------


def unwritable(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    (tmp_path / "file").write_bytes(b"")
    yield tmp_path / "missing" / "a.nnz", "does not exist: create it first"
    yield tmp_path / "file" / "a.nnz", "is not a directory"
    yield Path("/proc/a.nnz"), "cannot write /proc/a.nnz"
    yield tmp_path / ("x" * 300), "cannot write"


def test_unwritable_places(tmp_path: Path) -> None:
    for path, message in unwritable(tmp_path):
        with pytest.raises(ResourceError, match=message):
            AtomicOutput(path)


@pytest.mark.parametrize(
    ("code", "message"),
    [(errno.EACCES, "no permission"), (errno.EROFS, "read-only"), (errno.EDQUOT, "is full"), (errno.EIO, "I/O|Input")],
)
def test_system_errors_name_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, message: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "mkdir", fail)
    with pytest.raises(ResourceError, match=message):
        AtomicOutput(tmp_path / "a.nnz")


# --- inputs -----------------------------------------------------------------------------------------------------------


def test_an_input_is_never_the_output(old: Path) -> None:
    link, hard = old.with_name("link.nc"), old.with_name("hard.nc")
    link.symlink_to(old)
    os.link(old, hard)
    for output in (old, link, hard, old.parent / "." / "old.nc", old.parent):
        with pytest.raises(UsageError, match="would replace the input"):
            require_distinct([old.with_name("first.nc"), old], output)
    with pytest.raises(UsageError, match=r"link\.nc"):
        require_distinct([link], old)
    require_distinct([old, "gs://bucket/old.nc"], old.with_name("new.nnz"))
    require_distinct([], old)
