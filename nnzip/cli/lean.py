"""A quick start for commands that read archives."""

from __future__ import annotations

import sys

SPARED = ("dask", "pint", "cupy", "sparse")


def spare_imports() -> None:
    """Keep xarray from importing packages that the command at hand does not use, half of a small file's time: it asks
    for them whenever it makes a variable, and takes these for not installed.

    Does nothing where xarray is there already: then others in this process may use them.
    """
    if "xarray" not in sys.modules:
        for name in SPARED:
            sys.modules.setdefault(name, None)  # type: ignore[arg-type]
