"""A quick start for commands that read archives."""

from __future__ import annotations

import sys

SPARED = ("dask", "pint", "cupy", "sparse")


_OWN: list[bool] = []  # filled in a process that runs one command


def own_process() -> None:
    """This process runs one command and nothing else."""
    _OWN.append(True)


def spare_imports() -> None:
    """Keep xarray from importing packages that the command at hand does not use, half of a small file's time: it asks
    for them whenever it makes a variable, and takes these for not installed.

    Only in a process of the command's own (`main` says so): others may use them.
    """
    if _OWN and "xarray" not in sys.modules:
        for name in SPARED:
            sys.modules.setdefault(name, None)  # type: ignore[arg-type]
