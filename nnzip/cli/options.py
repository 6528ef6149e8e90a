"""Options that several commands share, and the parsing of what users type: sizes, lists of names.

Every parser takes the text and names it in its error: UsageError, exit code 2.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nnzip.errors import UsageError

SIZE_UNITS = {
    "": 1, "b": 1,
    "k": 10**3, "kb": 10**3, "m": 10**6, "mb": 10**6, "g": 10**9, "gb": 10**9, "t": 10**12, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip


class Effort(StrEnum):
    """How much is tried to make an archive smaller."""

    FAST = "fast"
    NORMAL = "normal"
    BEST = "best"


class Mode(StrEnum):
    """What an archive is made of."""

    AUTO = "auto"
    TILES = "tiles"
    NETWORK = "network"


class Device(StrEnum):
    """Where to compute."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


SELECTION, COMPUTING, MESSAGES = "Which part of the data", "Computing", "Files and messages"
"""Headings of help."""

Sources = Annotated[
    list[str], typer.Argument(metavar="INPUT...", help="NetCDF, Zarr or GRIB; several files or a glob are joined.")
]
Archive = Annotated[str, typer.Argument(metavar="ARCHIVE", help="Archive: a path, a URL, or - for standard input.")]
Report = Annotated[
    Path | None,
    typer.Option("--report", metavar="HTML", rich_help_panel=MESSAGES, help="Also write an HTML report with figures."),
]
Force = Annotated[
    bool, typer.Option("--force", "-f", rich_help_panel=MESSAGES, help="Replace the output if it exists.")
]
Json = Annotated[bool, typer.Option("--json", rich_help_panel=MESSAGES, help="Write the result to stdout as JSON.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", rich_help_panel=MESSAGES, help="Say nothing but errors and the data asked for.")
]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", rich_help_panel=MESSAGES, help="Show other packages' warnings, and tracebacks."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", rich_help_panel=MESSAGES, help="Do not ask before much is written.")]
DeviceOption = Annotated[
    Device,
    typer.Option("--device", rich_help_panel=COMPUTING, help="Where contexts are computed; auto is the processor."),
]
Jobs = Annotated[
    int,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        rich_help_panel=COMPUTING,
        help="How many tiles are worked on at once, each with its memory.",
        metavar="N",
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        help="A Dask cluster that does the work: tcp://host:8786, or local:8 for 8 processes here.",
        metavar="ADDRESS",
    ),
]
Variables = Annotated[
    list[str] | None,
    typer.Option(
        "--variables",
        metavar="NAMES",
        rich_help_panel=SELECTION,
        help="Only these variables: t2m,msl; may be repeated. (default: all)",
    ),
]

Bbox = Annotated[
    str | None,
    typer.Option(
        "--bbox",
        metavar="S,N,W,E",
        rich_help_panel=SELECTION,
        help="Only this box: south,north,west,east in degrees. (default: everywhere)",
    ),
]


def parse_variables(names: list[str] | None) -> list[str] | None:
    """Variable names from options such as ["t2m,msl", "u10"]; None when there are none."""
    if not names:
        return None
    found = [name.strip() for text in names for name in text.split(",")]
    if not all(found):
        raise UsageError(f"--variables {','.join(names)}: a name is empty; write them as t2m,msl")
    return list(dict.fromkeys(found))


def parse_lengths(option: str, text: str) -> dict[str, int]:
    """Lengths by dimension from text such as "time=48,latitude=240"."""
    lengths: dict[str, int] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*([^=]+?)\s*=\s*(\d+)\s*", part)
        if match is None or match[1] in lengths or int(match[2]) < 1:
            raise UsageError(
                f"{option} {text}: {part.strip()!r} is no length; write each dimension once with a whole number from "
                "1, as time=48,latitude=240,longitude=240"
            )
        lengths[match[1]] = int(match[2])
    return lengths


def parse_size(text: str) -> int:
    """Bytes from "50MB" (10^6), "50MiB" (2^20) or "50000"."""
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([A-Za-z]*)\s*", text)
    unit = SIZE_UNITS.get(match[2].lower()) if match else None
    if match is None or unit is None or float(match[1]) * unit < 1:
        raise UsageError(f"--size {text}: write a size as 500kB, 50MB, 1.5GiB or a number of bytes")
    return int(float(match[1]) * unit)


def default_output(source: Path, suffix: str) -> Path:
    """source with its suffix (.nc, .zarr.zip, .nnz, ...) replaced: what a command writes when -o is not given."""
    stem = source.name
    for known in (".zarr.zip", ".zarr", ".zip", source.suffix):
        if known and stem.endswith(known) and stem != known:
            stem = stem.removesuffix(known)
            break
    return source.with_name(stem + suffix)
