"""`nnzip download`: ERA5 from the Climate Data Store or an open mirror, as files or straight into archives."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nnzip.cli import options
from nnzip.cli.download_reports import DownloadWatcher, show_list, show_plan, summary
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
    ECMWF = "ecmwf"


class FormatChoice(StrEnum):
    """What the Climate Data Store sends."""

    NETCDF = "netcdf"
    GRIB = "grib"


EXAMPLES = (
    "nnzip download t2m,msl --start 2016-10-01 --end 2016-10-10",
    "nnzip download t2m,z500 --start 2016-10-01 --end 2016-10-31 --area 60,-10,35,30 --dry-run",
    "nnzip download t2m --start 2016-01-01 --end 2016-12-31 --compress --max-error 0.1K",
)


def download(
    variables: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="VARIABLES", help="t2m,msl,z500,u@850,500: short, long or standard names; levels in hPa."
        ),
    ] = None,
    start: Annotated[str | None, typer.Option(metavar="DATE", help="First day or hour: 2016-10-01[T06].")] = None,
    end: Annotated[str | None, typer.Option(metavar="DATE", help="Last day or hour, included.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Directory for monthly files, or one .zarr or .nc. (default: era5)"),
    ] = None,
    source: Annotated[
        SourceChoice, typer.Option(help="auto: cds with a key for it, else the first open mirror that has all.")
    ] = SourceChoice.AUTO,
    dataset: Annotated[
        str, typer.Option(metavar="NAME", help="era5, era5-land, era5-monthly, era5-daily-mean, era5-ensemble, ...")
    ] = "era5",
    every: Annotated[
        str | None, typer.Option(metavar="HOURS", help="1h, 3h, 6h, ...: hours of the day from 00 UTC. (default: all)")
    ] = None,
    hours: Annotated[str | None, typer.Option(metavar="LIST", help="Only these hours of the day: 0,6,15.")] = None,
    area: Annotated[
        str | None, typer.Option(metavar="N,W,S,E", help="Only this box in degrees. (default: the globe)")
    ] = None,
    point: Annotated[
        str | None, typer.Option(metavar="LAT,LON", help="Only the grid point nearest to this place: 51.5,-0.1.")
    ] = None,
    grid: Annotated[
        float | None, typer.Option(metavar="DEGREES", help="A coarser grid. (default: the dataset's, 0.25)")
    ] = None,
    data_format: Annotated[
        FormatChoice, typer.Option("--format", help="What the Climate Data Store sends; the files are NetCDF.")
    ] = FormatChoice.NETCDF,
    queue: Annotated[
        int, typer.Option(min=1, metavar="N", help="Requests in the Climate Data Store's queue at a time.")
    ] = 2,
    parallel: Annotated[int, typer.Option(min=1, metavar="N", help="Chunks of a mirror read at a time.")] = 4,
    allow_gaps: Annotated[
        bool,
        typer.Option("--allow-gaps", help="Keep the rest where a source lacks data; the files say what is missing."),
    ] = False,
    compress: Annotated[
        bool, typer.Option("--compress", help="Compress every month into an archive as soon as it has come.")
    ] = False,
    max_error: Annotated[
        str | None,
        typer.Option(metavar="BOUNDS", help="With --compress: t2m=0.1K,msl=50Pa, 0.1% of the range, or one for all."),
    ] = None,
    effort: Annotated[options.Effort, typer.Option(help="With --compress: how long to train.")] = options.Effort.NORMAL,
    show_names: Annotated[
        bool,
        typer.Option("--list", help="Show the known variables (with VARIABLES: those like them), and nothing else."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show requests, sizes and licence, and nothing else.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before much travels.")] = False,
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Download ERA5; run the same command again to go on after an interruption."""
    with session(quiet=quiet, verbose=verbose) as terminal:
        if show_names:
            show_list(terminal, variables or [], as_json=json)
            return
        if not variables or start is None or end is None:
            raise UsageError(
                "name variables and days, as nnzip download t2m,z500 --start 2016-10-01 --end 2016-10-10 (--list shows "
                "the variables)"
            )
        if not compress and max_error is not None:
            raise UsageError("--max-error goes with --compress")
        from nnzip.download.choice import choose_source
        from nnzip.download.parsing import parse_selection, snapped_note
        from nnzip.download.plan import make_plan, plan_notes

        selection = parse_selection(
            variables, start, end, every=every, hours=hours, area=area, point=point, grid=grid, dataset=dataset
        )
        chosen = choose_source(selection, source.value)
        months = make_plan(selection, chosen)
        for note in (snapped_note(area, point, selection), *plan_notes(selection, chosen)):
            if note:
                terminal.message(f"note: {note}")
        if dry_run:
            show_plan(terminal, months, data_format.value, as_json=json)
            return
        from nnzip.download.fetcher import Manner
        from nnzip.download.output import output_at
        from nnzip.download.run import download as run

        place = output_at(output or Path("era5"))
        if compress and place.is_file:
            raise UsageError("--compress writes an archive per month: name a directory with -o")
        bounds = _bounds(max_error, [field.variable.short_name for field in selection.fields])
        terminal.message(summary(months))
        _confirm(terminal, months, agreed=yes)
        try:
            with terminal.progress(logs=False) as progress:
                watcher = DownloadWatcher(terminal, progress)
                archiving = _archiving(bounds, max_error, effort, progress, watcher) if compress else None
                manner = Manner(data_format.value, queue, parallel, allow_gaps)
                files = run(months, place, watcher, manner=manner, archiving=archiving, overwrite=force)
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


def _confirm(terminal: Terminal, months: list[Month], *, agreed: bool) -> None:
    """Ask before much travels; without a terminal to ask on, refuse."""
    from nnzip.download.cost import ASK_ABOVE, total_bytes

    _, transferred = total_bytes(months)
    if agreed or transferred <= ASK_ABOVE:
        return
    much = f"about {numbers.file_size(transferred)} would travel, more than {numbers.file_size(ASK_ABOVE)}"
    if not (sys.stdin.isatty() and terminal.stderr.is_terminal):
        raise UsageError(f"{much}: --yes agrees to it; --dry-run shows what is read, --source cds sends less")
    if not typer.confirm(f"{much}. Go on?", err=True):
        raise UsageError("nothing was downloaded; --dry-run shows what is read")


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
    watcher: DownloadWatcher,
) -> Archiving:
    import nnzip
    from nnzip.download.run import Archiving

    def run(dataset: xr.Dataset, path: Path, stored: int) -> None:
        asked = nnzip.Options(nnzip.Target(max_error=dict(bounds)), effort=effort.value)
        result = nnzip.compress(dataset, path, asked, overwrite=True, stored_bytes=stored, progress=progress)
        sizes = numbers.ratios(result.file_bytes, result.source_bytes, result.stored_bytes)
        watcher.say(f"{path.name}: {numbers.file_size(result.file_bytes)}, {sizes}")

    return Archiving({"max_error": max_error or "community tolerances", "effort": effort.value}, run)
