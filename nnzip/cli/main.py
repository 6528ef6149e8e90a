"""`nnzip`: the command line. One file per command; this one assembles them.

Nothing here imports torch, xarray or matplotlib: `nnzip --help` and `nnzip info` answer at once.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from nnzip.cli import append, compress, decompress, doctor, download, evaluate, info, sample, sweep, verify
from nnzip.cli.lean import OWN_PROCESS
from nnzip.version import __version__

app = typer.Typer(
    name="nnzip",
    help="Compress weather and climate data within error bounds that are checked.",
    epilog="Exit codes: 0 ok, 1 bug, 2 usage, 3 bad input, 4 corrupt archive, 5 verification failed, "
    "6 newer nnzip or missing device, 7 resource limit, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(show: bool) -> None:
    if show:
        print(f"nnzip {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options before the command."""


def _add(panel: str, command: Callable[..., None], *examples: str) -> None:
    """A command with the name of its function under a heading of help, with examples below its options."""
    escaped = (example.replace("[", "\\[") for example in examples)
    app.command(command.__name__, rich_help_panel=panel, epilog="\n\n".join(("[bold]Examples[/bold]", *escaped)))(
        command
    )


_add("Data to compress", sample.sample, *sample.EXAMPLES)
_add("Data to compress", download.download, *download.EXAMPLES)
_add("Archives", compress.compress, *compress.EXAMPLES)
_add("Archives", decompress.decompress, *decompress.EXAMPLES)
_add("Archives", append.append, *append.EXAMPLES)
_add("Quality", evaluate.evaluate, *evaluate.EXAMPLES)
_add("Quality", sweep.sweep, *sweep.EXAMPLES)
_add("Archives", info.info, *info.EXAMPLES)
_add("Archives", verify.verify, *verify.EXAMPLES)
_add("This machine", doctor.doctor, *doctor.EXAMPLES)


def main() -> None:
    """Entry point of the `nnzip` script and of `python -m nnzip`."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch's idle threads would take the cores from everyone else
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # terminals without "×" or "⁻¹" get a question mark, not a crash
    app(prog_name="nnzip", obj=OWN_PROCESS)
