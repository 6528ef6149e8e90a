"""`nnzip download`: ERA5 from the Climate Data Store or an open mirror, as files or straight into archives."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnzip.cli import options
from nnzip.cli.terminal import EXIT_INTERRUPTED, Terminal, session
from nnzip.errors import UsageError
from nnzip.report import numbers

if TYPE_CHECKING:
    import xarray as xr

    from nnzip.cli.terminal import ProgressCallback
    from nnzip.download.plan import Month
    from nnzip.download.run import Archiving


class SourceChoice(StrEnum):
    """Where ERA5 comes from."""

    AUTO = "auto"
    CDS = "cds"
    ARCO = "arco"
    WB2 = "wb2"
    NCAR = "ncar"


class FormatChoice(StrEnum):
    """What the Climate Data Store sends."""

    NETCDF = "netcdf"
    GRIB = "grib"


def download(
    variables: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="VARIABLES", help="t2m,msl,z500,u@850,500: short, long or standard names; levels in hPa."
        ),
    ] = None,
    start: Annotated[str | None, typer.Option(metavar="DATE", help="First day, as 2016-10-01.")] = None,
    end: Annotated[str | None, typer.Option(metavar="DATE", help="Last day, included.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Directory for monthly files, or one .zarr or .nc. (default: era5)"),
    ] = None,
    source: Annotated[
        SourceChoice, typer.Option(help="auto: cds with a key for it, else the first open mirror that has all.")
    ] = SourceChoice.AUTO,
    every: Annotated[str, typer.Option(metavar="HOURS", help="1h, 3h, 6h, ...: hours of the day from 00 UTC.")] = "1h",
    area: Annotated[
        str | None, typer.Option(metavar="N,W,S,E", help="Only this box in degrees. (default: the globe)")
    ] = None,
    data_format: Annotated[
        FormatChoice, typer.Option("--format", help="What the Climate Data Store sends; the files are NetCDF.")
    ] = FormatChoice.NETCDF,
    compress: Annotated[
        bool, typer.Option("--compress", help="Compress every month into an archive as soon as it has come.")
    ] = False,
    max_error: Annotated[
        str | None,
        typer.Option(metavar="BOUNDS", help="With --compress: t2m=0.1K,msl=50Pa, 0.1% of the range, or one for all."),
    ] = None,
    effort: Annotated[options.Effort, typer.Option(help="With --compress: how long to train.")] = options.Effort.NORMAL,
    show_list: Annotated[bool, typer.Option("--list", help="Show the known variables, and nothing else.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show requests, sizes and licence, and nothing else.")
    ] = False,
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Download ERA5; run the same command again to go on after an interruption."""
    with session(quiet=quiet, verbose=verbose) as terminal:
        if show_list:
            _show_list(terminal, as_json=json)
            return
        if not variables or start is None or end is None:
            raise UsageError(
                "name variables and days, as nnzip download t2m,z500 --start 2016-10-01 --end 2016-10-10 (--list shows "
                "the variables)"
            )
        if not compress and max_error is not None:
            raise UsageError("--max-error goes with --compress")
        from nnzip.download.choice import choose_source
        from nnzip.download.plan import make_plan, plan_notes
        from nnzip.download.selection import parse_selection

        selection = parse_selection(variables, start, end, every, area)
        chosen = choose_source(selection, source.value)
        months = make_plan(selection, chosen)
        for note in plan_notes(selection):
            terminal.message(f"note: {note}")
        if dry_run:
            _show_plan(terminal, months, data_format.value, as_json=json)
            return
        from nnzip.download.run import download as run
        from nnzip.download.run import output_at

        place = output_at(output or Path("era5"))
        if compress and place.is_file:
            raise UsageError("--compress writes an archive per month: name a directory with -o")
        bounds = _bounds(max_error, [field.variable.short_name for field in selection.fields])
        terminal.message(_summary(months))
        try:
            with terminal.progress() as progress:
                watcher = _Watcher(terminal, progress)
                archiving = _archiving(bounds, max_error, effort, progress, watcher) if compress else None
                files = run(months, place, watcher, data_format=data_format.value, archiving=archiving, overwrite=force)
        except KeyboardInterrupt as error:
            terminal.error(
                "interrupted; what has arrived is kept, and requests stay in the queue: the same command goes on from "
                "there"
            )
            raise typer.Exit(EXIT_INTERRUPTED) from error
        if json:
            terminal.json({"source": chosen, "files": [str(file) for file in files]})
        else:
            terminal.message(f"complete: {len(files)} file{'s' if len(files) > 1 else ''} in {place.target}")


class _Watcher:
    """Shows a download on the terminal."""

    def __init__(self, terminal: Terminal, progress: ProgressCallback | None) -> None:
        self._terminal, self._progress = terminal, progress

    def say(self, message: str) -> None:
        self._terminal.message(message)

    def show(self, stage: str, fraction: float | None) -> None:
        if self._progress is not None:
            from nnzip.progress import Progress

            self._progress(Progress(stage, fraction or 0.0, None, {}))


def _bounds(max_error: str | None, names: list[str]) -> dict[str | None, str]:
    """The bounds as the codec takes them; a mistake in them shows before anything is fetched."""
    from nnzip.request.bounds import parse_bounds

    bounds = {} if max_error is None else parse_bounds(max_error)
    for name in bounds:
        if name is not None and name not in names:
            raise UsageError(
                f"--max-error has a bound of {name!r}, which is not downloaded: there are {', '.join(names)}"
            )
    return bounds


def _archiving(
    bounds: dict[str | None, str],
    max_error: str | None,
    effort: options.Effort,
    progress: ProgressCallback | None,
    watcher: _Watcher,
) -> Archiving:
    from nnzip.codec import compress
    from nnzip.download.run import Archiving
    from nnzip.request.target import Target

    target = Target(max_error=dict(bounds))

    def run(dataset: xr.Dataset, path: Path) -> None:
        result = compress(dataset, path, target, effort=effort.value, overwrite=True, progress=progress)
        watcher.say(
            f"{path.name}: {numbers.file_size(result.file_bytes)}, {result.ratio:.1f} times smaller than float32"
        )

    settings = {"max_error": max_error or "community tolerances", "effort": effort.value}
    return Archiving(settings, run)


def _show_list(terminal: Terminal, *, as_json: bool) -> None:
    from nnzip.download.variables import VARIABLES

    if as_json:
        keys = ("short_name", "long_name", "standard_name", "units", "pressure", "accumulated", "sources")
        terminal.json([{key: getattr(variable, key) for key in keys} for variable in VARIABLES])
        return
    rows = [
        (v.short_name, v.long_name, v.units, _kind(v.pressure, v.accumulated), " ".join(v.sources)) for v in VARIABLES
    ]
    terminal.table(("name", "long name", "units", "kind", "sources"), rows)


def _kind(pressure: bool, accumulated: bool) -> str:
    return "levels" if pressure else "past hour" if accumulated else "surface"


def _show_plan(terminal: Terminal, months: list[Month], data_format: Any, *, as_json: bool) -> None:
    from nnzip.download.cds_request import dataset_of, request_of
    from nnzip.download.licence import LICENCE, LICENCE_URL
    from nnzip.download.mirrors import address, ncar_files
    from nnzip.download.plan import estimated_bytes, transferred_bytes

    described = []
    for part in (part for month in months for part in month.parts):
        entry: dict[str, Any] = {"file": f"{part.name}.nc", "source": part.source}
        if part.source == "cds":
            entry |= {"dataset": dataset_of(part), "request": request_of(part, data_format)}
        elif part.source == "ncar":
            entry["addresses"] = [url for url, _ in ncar_files(part)]
        else:
            entry |= {"address": address(part.source), "selection": part.selection.describe()}
        described.append(entry | {"bytes": estimated_bytes(part), "transferred_bytes": transferred_bytes(part)})
    licence = f"{LICENCE}, {LICENCE_URL}"
    if as_json:
        terminal.json({"requests": described, "licence": licence})
        return
    from json import dumps

    for entry in described:
        what = entry.get("request") or entry.get("selection") or entry.get("addresses")
        where = entry.get("dataset") or entry.get("address") or "NCAR"
        terminal.data(f"{entry['file']}: about {numbers.file_size(entry['bytes'])} from {where}\n  {dumps(what)}")
    terminal.data(f"{_summary(months)}\nlicence: {licence}")


def _summary(months: list[Month]) -> str:
    from nnzip.download.plan import estimated_bytes, transferred_bytes

    parts = [part for month in months for part in month.parts]
    size, transferred = (sum(map(count, parts)) for count in (estimated_bytes, transferred_bytes))
    more = f" (about {numbers.file_size(transferred)} travel: whole chunks)" if transferred > 2 * size else ""
    requests = f"{len(parts)} request{'s' if len(parts) > 1 else ''}"
    return f"ERA5 from {parts[0].source}: {requests}, about {numbers.file_size(size)}{more}"
