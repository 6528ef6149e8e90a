"""A quick start for commands that read archives."""

from __future__ import annotations

import sys

import typer

OWN_PROCESS = "a process that runs one command and nothing else"
SPARED = ("dask", "pint", "cupy", "sparse")


def spare_imports(command: typer.Context) -> None:
    """Keep xarray from importing packages that the command at hand does not use, half of a small file's time: it asks
    for them whenever it makes a variable, and takes these for not installed.

    Only in a process of the command's own (`main` says so): others may use them.
    """
    if command.obj == OWN_PROCESS and "xarray" not in sys.modules:
        for name in SPARED:
            sys.modules.setdefault(name, None)  # type: ignore[arg-type]
