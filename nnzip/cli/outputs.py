"""Refuse an output that cannot or must not be written, before hours of work go into it."""

from __future__ import annotations

from collections.abc import Sequence
from glob import glob
from pathlib import Path

from nnzip.data.atomic import output_at, require_distinct
from nnzip.errors import UsageError

ARCHIVE, REPORT = (".nnz",), (".html", ".htm")


def check_file(output: Path | str, suffixes: Sequence[str], *, inputs: Sequence[str | Path], overwrite: bool) -> None:
    """Raise what writing the file `output` would: UsageError for a name without one of `suffixes`, an input, or an
    existing path that may not be replaced; ResourceError when its directory cannot be written.

    inputs: files, stores and patterns.
    """
    name = Path(output)
    if name.suffix.lower() not in suffixes:
        raise UsageError(f"the name {name.name!r} does not fit what is written: end it in {' or '.join(suffixes)}")
    _check_inputs(output, inputs)
    output_at(output, overwrite).abort()


def check_dataset(output: Path | str, *, inputs: Sequence[str | Path] = (), overwrite: bool) -> None:
    """As `check_file`, for what `write_dataset` writes: NetCDF or Zarr, by the name."""
    from nnzip.data.writing import output_for

    _check_inputs(output, inputs)
    output_for(output, overwrite).abort()


def _check_inputs(output: Path | str, inputs: Sequence[str | Path]) -> None:
    """No input, nor a match of an input's pattern, may be the output."""
    for text in map(str, inputs):
        require_distinct([text, *glob(text, recursive=True)], output)  # noqa: PTH207 (takes absolute patterns)
