"""Where a command reads and writes: paths, URLs, and "-" for standard input and output."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from nnzip.cli import options
from nnzip.data.bytefile import is_url, place
from nnzip.errors import UsageError

STANDARD = "-"


@contextmanager
def source(text: str) -> Iterator[Path | str]:
    """A path or a URL; of standard input a copy."""
    if text != STANDARD:
        yield place(text)
        return
    with TemporaryDirectory(prefix="nnzip-") as folder:
        copy = Path(folder, "stdin")
        with copy.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield copy


@contextmanager
def destination(text: str | None, source: str, suffix: str) -> Iterator[Path | str]:
    """A path or a URL; for standard output a file that is copied there on leaving; without `text` the source's name
    with `suffix`, of a URL in this directory. Raises UsageError where there is no such name.
    """
    if text is None and source == STANDARD:
        raise UsageError("standard input has no name: name the output with -o, or write to standard output with -o -")
    if text is None:
        yield options.default_output(Path(Path(source).name if is_url(source) else source), suffix)
        return
    if text != STANDARD:
        yield place(text)
        return
    if sys.stdout.isatty():
        raise UsageError("-o - would write to the terminal: redirect standard output, or name a file")
    with TemporaryDirectory(prefix="nnzip-") as folder:
        copy = Path(folder, "stdout" + suffix)
        yield copy
        if copy.exists():
            with copy.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()


def size_of(written: Path | str) -> int:
    """Bytes of a file or a directory that was just written; of a URL as its file system says."""
    if isinstance(written, str):
        from nnzip.data.bytefile import explained

        with explained(written):
            import fsspec

            system, path = fsspec.core.url_to_fs(written)
            return int(system.size(path))
    return sum(part.stat().st_size for part in [written, *written.rglob("*")] if part.is_file())
