"""`nnzip compress`: NetCDF, Zarr or GRIB to an archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from nnzip.cli import options, places
from nnzip.cli.outputs import ARCHIVE, check_file
from nnzip.cli.terminal import Terminal, session
from nnzip.errors import UsageError
from nnzip.report import numbers

if TYPE_CHECKING:
    import xarray as xr

    from nnzip.data.grouping import VariableLayout
    from nnzip.progress import Estimate, Progress, ProgressCallback
    from nnzip.request.options import Options
    from nnzip.request.promises import Promise
    from nnzip.request.target import Target
    from nnzip.request.units import Label
    from nnzip.result import CompressionResult


TARGET, PROMISES = "Target (one of them)", "Kept better than the rest"

EXAMPLES = (
    "nnzip compress era5.nc",
    "nnzip compress era5.nc --dry-run",
    "nnzip compress era5.nc --max-error t2m=0.1K,msl=50Pa -o small.nnz",
    "nnzip compress 'era5-*.grib' --ratio 100 --extremes '>p99:0.2' -o all.nnz",
)


def compress(
    sources: options.Sources,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            rich_help_panel=options.MESSAGES,
            help="Archive to write: a path, a URL, or -. (default: the input with .nnz)",
        ),
    ] = None,
    max_error: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=TARGET,
            help="Largest error at any point: t2m=0.1K,msl=50Pa, 0.1% of the range, or one for all. "
            "(default: the community's tolerances)",
            metavar="BOUNDS",
        ),
    ] = None,
    rmse: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=TARGET,
            help="Largest RMSE, area-weighted: t2m=0.05K, or one for all; bounds no error.",
            metavar="RMSE",
        ),
    ] = None,
    psnr: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=TARGET, help="Least peak signal-to-noise ratio of every variable in dB; bounds no error."
        ),
    ] = None,
    ratio: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=TARGET, help="Compression ratio, float32 bytes over the whole file's; bounds no error."
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=TARGET, help="Archive size, as 500kB, 50MB or 1GiB; bounds no error.", metavar="BYTES"
        ),
    ] = None,
    lossless: Annotated[
        bool, typer.Option("--lossless", rich_help_panel=TARGET, help="Keep every value exactly.")
    ] = False,
    extremes: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=PROMISES,
            help="Smaller errors in the tails, by a share (0.2): p99:0.1 (below p1 and above p99), '>p99', "
            "t2m=p5,p95:0.2. With a bound, a share of it beyond percentiles of each cell, or beyond a value: "
            "'t2m>305K:0.1'. With --ratio or --size, a share of the others' error beyond percentiles of each variable, "
            "or of its values at that latitude: p99.9:0.05:local. Repeatable.",
            metavar="TAILS:SHARE",
        ),
    ] = None,
    preserve: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=PROMISES,
            help="The same points fulfil it after decoding: 't2m > 30 degC' (>, >=, <, <=); repeatable.",
            metavar="CONDITION",
        ),
    ] = None,
    preserve_maxima: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=PROMISES,
            help="Per cell the maximum of each day, month or year (UTC) stays in place: day, t2m=month; repeatable.",
            metavar="BLOCK",
        ),
    ] = None,
    preserve_minima: Annotated[
        list[str] | None,
        typer.Option(rich_help_panel=PROMISES, help="Likewise the minimum; repeatable.", metavar="BLOCK"),
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=PROMISES,
            help="Share of the bound allowed in south,north,west,east or where a mask variable is not 0: "
            "10,35,270,300:0.5, land:0.5; repeatable.",
            metavar="PLACE:FACTOR",
        ),
    ] = None,
    variables: options.Variables = None,
    tile: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=options.COMPUTING,
            help="Largest lengths of a tile, the unit that is read at once: time=48,latitude=240,longitude=240. "
            "(default: from the shape)",
            metavar="LENGTHS",
        ),
    ] = None,
    mode: Annotated[
        options.Mode,
        typer.Option(
            rich_help_panel=options.COMPUTING,
            help="auto: a transform, tile by tile, above a base that all times share where that saves bytes. "
            "tiles: without base. network: a coordinate network, trained on the whole record; its "
            "weights are the archive, with values at any place and time (needs torch, bounds no error).",
        ),
    ] = options.Mode.AUTO,
    time_budget: Annotated[
        float | None,
        typer.Option(rich_help_panel=options.COMPUTING, help="Longest training of --mode network.", metavar="SECONDS"),
    ] = None,
    seed: Annotated[
        int, typer.Option(rich_help_panel=options.COMPUTING, help="Of the training of --mode network.")
    ] = 0,
    effort: Annotated[
        options.Effort, typer.Option(rich_help_panel=options.COMPUTING, help="How much to try for a smaller file.")
    ] = options.Effort.NORMAL,
    device: options.DeviceOption = options.Device.AUTO,
    jobs: options.Jobs = 1,
    scheduler: options.Scheduler = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            rich_help_panel=options.MESSAGES,
            help="Show time, size, memory and tiles, estimated from a sample; write nothing.",
        ),
    ] = False,
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Compress a dataset: within an error bound at every point, exactly, or to a given ratio or size."""
    with session(quiet=quiet, verbose=verbose) as terminal, ExitStack() as files:
        from nnzip.request.options import Options

        names = options.parse_variables(variables)
        asked = Options(
            target=parse_target(max_error, rmse, psnr, ratio, size, lossless=lossless),
            variables=None if names is None else tuple(names),
            promises=parse_promises(
                {
                    "extremes": extremes,
                    "preserve": preserve,
                    "preserve-maxima": preserve_maxima,
                    "preserve-minima": preserve_minima,
                    "region": region,
                }
            ),
            effort=effort.value,
            tile={} if tile is None else options.parse_lengths("--tile", tile),
            mode=mode.value,
            time_budget=time_budget,
            seed=seed,
        )
        if output is None and (len(sources) > 1 or any(character in sources[0] for character in "*?[")):
            raise UsageError("several input files: name the archive with -o")
        if output == places.STANDARD and json:
            raise UsageError("-o - and --json would both write to standard output: leave one of them out")
        path = files.enter_context(places.destination(output, sources[0], ".nnz"))
        check_file(path, ARCHIVE, inputs=sources, overwrite=force)
        inputs = [files.enter_context(places.source(text)) for text in sources]
        from nnzip.compress import compress as run
        from nnzip.data.opening import open_dataset, stored_bytes
        from nnzip.estimate import estimate
        from nnzip.integrations.cluster import connected

        with connected(scheduler) as client, open_dataset(inputs) as dataset:
            for line in describe_plan(dataset, asked):
                terminal.message(line)
            if dry_run:
                show_estimate(terminal, estimate(dataset, asked, jobs=jobs), as_json=json)
                return
            with terminal.progress() as progress:
                result = run(
                    dataset,
                    path,
                    asked,
                    device=device.value,
                    jobs=jobs,
                    executor=client,
                    overwrite=force,
                    stored_bytes=stored_bytes(inputs),
                    progress=None if progress is None else partial(_see, terminal, progress),
                )
        for note in result.notes:
            terminal.message(f"note: {note}")
        if json:
            terminal.json({**asdict(result), "stored_ratio": result.stored_ratio})
        else:
            terminal.message(summary(result))
            show_errors(terminal, result)
            kept = [asdict(promise) for promises in result.promises.values() for promise in promises]
            terminal.promises(kept, result.promise_bytes, aside=True)


def parse_target(
    max_error: str | None,
    rmse: str | None,
    psnr: float | None,
    ratio: float | None,
    size: str | None,
    *,
    lossless: bool,
) -> Target:
    """The target from the texts of its options; the community's tolerances without any. Raises UsageError."""
    from nnzip.request.bounds import parse_bounds
    from nnzip.request.target import Target

    options_given = {
        "--max-error": max_error is not None,
        "--rmse": rmse is not None,
        "--psnr": psnr is not None,
        "--ratio": ratio is not None,
        "--size": size is not None,
        "--lossless": lossless,
    }
    given = [option for option, is_given in options_given.items() if is_given]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} are different targets: give one of them")
    return Target(
        ratio=ratio,
        size_bytes=None if size is None else options.parse_size(size),
        max_error=parse_bounds(max_error or "") if given in ([], ["--max-error"]) else None,
        rmse=None if rmse is None else parse_bounds(rmse, "RMSE"),
        psnr=psnr,
        lossless=lossless,
    )


def parse_promises(texts: Mapping[str, Sequence[str] | None]) -> tuple[Promise, ...]:
    """Promises from the texts of each option. Raises UsageError."""
    from nnzip.request.promises import parse_promise

    return tuple(parse_promise(f"{option} {text}") for option, some in texts.items() for text in some or ())


def describe_plan(dataset: xr.Dataset, asked: Options) -> list[str]:
    """What is about to happen, one line each: variables with their shapes, what is kept losslessly and why, the target,
    promises."""
    from nnzip.data.grouping import plan_groups, why_lossless
    from nnzip.promises.resolve import label_of

    groups, lossless = plan_groups(dataset, asked.variables)
    lines = []
    for group in groups:
        dims = [dim for dim in group.dims if dim is not None]
        members = ", ".join(_member(dataset, layout) for layout in group.variables)
        lines.append(f"compressing {members} on {numbers.shape({dim: dataset.sizes[dim] for dim in dims})}")
    for name in lossless:
        lines.append(f"keeping {name} losslessly: {why_lossless(dataset, name)}")
    labels = [label_of(dataset[layout.name]) for group in groups for layout in group.variables]
    return [*lines, target_text(asked.target, labels), *(f"promise: {promise}" for promise in asked.promises)]


def _member(dataset: xr.Dataset, layout: VariableLayout) -> str:
    """ "z [m² s⁻², pressure_level 2]": a variable with its units and the sizes of its further dimensions."""
    units = numbers.units(str(dataset[layout.name].attrs.get("units", "")))
    further = numbers.shape(dict(zip(layout.channel_dims, layout.channel_shape, strict=True)))
    details = ", ".join(text for text in (units, further) if text)
    return f"{layout.name} [{details}]" if details else layout.name


def target_text(target: Target, labels: Sequence[Label]) -> str:
    """ "target: ratio 300", "target: RMSE t2m 0.05K" or "largest error at any point: t2m 0.05 K"."""
    if target.max_error is not None:
        from nnzip.request.bounds import describe_bounds

        return f"largest error at any point: {', '.join(describe_bounds(labels, target.max_error))}"
    if target.rmse is not None:
        return "target: RMSE " + ", ".join(f"{name or 'all'} {value}" for name, value in target.rmse.items())
    if target.psnr is not None:
        return f"target: PSNR {target.psnr:g} dB"
    if target.ratio is not None:
        return f"target: ratio {target.ratio:g}"
    return "target: every value exactly" if target.lossless else f"target: {numbers.file_size(target.size_bytes or 0)}"


def _see(terminal: Terminal, progress: ProgressCallback, moment: Progress) -> None:
    """Show a moment of a compression, and its estimate once."""
    if moment.estimate is not None:
        terminal.message(f"estimate: {estimate_text(moment.estimate)}")
    progress(moment)


def show_estimate(terminal: Terminal, found: Estimate, *, as_json: bool) -> None:
    """The estimate to stdout."""
    if as_json:
        ratio = None if found.file_bytes is None else found.source_bytes / found.file_bytes
        terminal.json({**asdict(found), "seconds": found.seconds, "ratio": ratio})
    else:
        terminal.data(f"estimate: {estimate_text(found)}")


def estimate_text(found: Estimate) -> str:
    """ "37.2 MB of float32 in about 2.4 MB, 15 times smaller; about 16 s, 7 tiles, up to 420 MB of memory"."""
    source = f"{numbers.file_size(found.source_bytes)} of float32"
    size = source
    if found.file_bytes is not None:
        times = numbers.number(found.source_bytes / found.file_bytes, 2)
        size = f"{source} in about {numbers.file_size(found.file_bytes)}, {times} times smaller"
    tiles = f"{numbers.count(found.tiles)} tile{'s' if found.tiles > 1 else ''}" if found.tiles else "a network"
    memory = f"up to {numbers.file_size(found.memory_bytes)} of memory"
    return f"{size}; about {numbers.duration(found.seconds)}, {tiles}, {memory}"


def summary(result: CompressionResult) -> str:
    """One line: file, size, ratios to float32 and to the source's files, time."""
    return (
        f"{result.path}: {numbers.file_size(result.file_bytes)}, "
        f"{numbers.ratios(result.file_bytes, result.source_bytes, result.stored_bytes)}, "
        f"in {numbers.duration(result.seconds)}"
    )


def show_errors(terminal: Terminal, result: CompressionResult) -> None:
    """The errors of every variable, measured by decoding the finished file."""
    rows = [
        (name, *(numbers.quantity(number, errors.units) for number in (errors.rmse, errors.max_error, errors.bias)))
        for name, errors in result.errors.items()
    ]
    terminal.table(("variable", "RMSE", "max error", "bias"), rows, right=(1, 2, 3), aside=True)
