"""`nnzip`: the command line. One file per command; this one assembles them.

Nothing here imports torch, xarray or matplotlib: `nnzip --help` and `nnzip info` answer at once.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from nnzip.cli import compress, decompress, doctor, download, evaluate, info, sample, sweep, verify
from nnzip.version import __version__

app = typer.Typer(
    name="nnzip",
    help="A learned codec for weather and climate data, with error bounds that are checked.",
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


def _examples(*lines: str) -> str:
    """Below a command's options, as they are written."""
    return "\n\n".join(("[bold]Examples[/bold]", *(line.replace("[", "\\[") for line in lines)))


app.command("sample")(sample.sample)
app.command("download")(download.download)
app.command("compress", epilog=_examples(*compress.EXAMPLES))(compress.compress)
app.command("decompress", epilog=_examples(*decompress.EXAMPLES))(decompress.decompress)
app.command("evaluate")(evaluate.evaluate)
app.command("sweep")(sweep.sweep)
app.command("info")(info.info)
app.command("verify")(verify.verify)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Entry point of the `nnzip` script and of `python -m nnzip`."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch's idle threads would take the cores from everyone else
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # terminals without "×" or "⁻¹" get a question mark, not a crash
    app(prog_name="nnzip")
