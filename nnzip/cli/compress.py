"""`nnzip compress`: NetCDF, Zarr or GRIB to an archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nnzip.cli import options
from nnzip.cli.outputs import ARCHIVE, check_file
from nnzip.cli.terminal import Terminal, session
from nnzip.errors import UsageError
from nnzip.report import numbers

if TYPE_CHECKING:
    import xarray as xr

    from nnzip.data.grouping import VariableLayout
    from nnzip.plan.budget import Target
    from nnzip.request.promises import Request
    from nnzip.result import CompressionResult


def compress(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", help="NetCDF, Zarr or GRIB; several files or a glob are joined."),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Archive to write. (default: the input with .nnz)")
    ] = None,
    max_error: Annotated[
        str | None,
        typer.Option(
            help="Largest error at any point: t2m=0.1K,msl=50Pa, 0.1% of the range, or one for all. "
            "(default: the community's tolerances)",
            metavar="BOUNDS",
        ),
    ] = None,
    rmse: Annotated[
        str | None,
        typer.Option(help="Largest RMSE, area-weighted: t2m=0.05K, or one for all; bounds no error.", metavar="RMSE"),
    ] = None,
    psnr: Annotated[
        float | None, typer.Option(help="Least peak signal-to-noise ratio of every variable in dB; bounds no error.")
    ] = None,
    ratio: Annotated[
        float | None, typer.Option(help="Compression ratio, float32 bytes over the whole file's; bounds no error.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="Archive size, as 500kB, 50MB or 1GiB; bounds no error.", metavar="BYTES")
    ] = None,
    mode: Annotated[
        options.Mode, typer.Option(help="Which layers to write: all that the target needs, or the field alone.")
    ] = options.Mode.ALL,
    extremes: Annotated[
        list[str] | None,
        typer.Option(
            help="Smaller errors in the tails. With a bound, a share of it beyond percentiles of each cell: p99:0.1 "
            "(below p1 and above p99), '>p99:0.1', t2m=p5,p95:0.2, 't2m>305K:0.1'. With --ratio or --size, a share of "
            "the other values' error beyond percentiles of each variable: p99:0.1, '>p99:0.1', p99.9:0.05:local "
            "(extreme for its latitude). Repeatable.",
            metavar="TAILS:SHARE",
        ),
    ] = None,
    preserve: Annotated[
        list[str] | None,
        typer.Option(
            help="The same points fulfil it after decoding: 't2m > 30 degC' (>, >=, <, <=); repeatable.",
            metavar="CONDITION",
        ),
    ] = None,
    preserve_maxima: Annotated[
        list[str] | None,
        typer.Option(
            help="Per cell the maximum of each day, month or year (UTC) stays in place: day, t2m=month; repeatable.",
            metavar="BLOCK",
        ),
    ] = None,
    preserve_minima: Annotated[
        list[str] | None, typer.Option(help="Likewise the minimum; repeatable.", metavar="BLOCK")
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(
            help="Share of the bound allowed in south,north,west,east or where a mask variable is not 0: "
            "10,35,270,300:0.5, land:0.5; repeatable.",
            metavar="PLACE:FACTOR",
        ),
    ] = None,
    no_field: Annotated[
        bool, typer.Option("--no-field", help="Leave the preview field out of a bounded archive.")
    ] = False,
    variables: options.Variables = None,
    effort: Annotated[options.Effort, typer.Option(help="How long to train.")] = options.Effort.NORMAL,
    time_budget: Annotated[
        str | None, typer.Option(help="Stop training after this long, as 90s, 5min or 1h.", metavar="DURATION")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the training; equal seeds give equal archives.")] = 0,
    device: options.DeviceOption = options.Device.AUTO,
    jobs: options.Jobs = None,
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Compress a dataset: within an error bound at every point, or to a given ratio or size."""
    with session(quiet=quiet, verbose=verbose) as terminal:
        names = options.parse_variables(variables)
        seconds = None if time_budget is None else options.parse_duration(time_budget)
        size_bytes = None if size is None else options.parse_size(size)
        targets = {"--max-error": max_error, "--rmse": rmse, "--psnr": psnr, "--ratio": ratio, "--size": size}
        given = [option for option, wanted in targets.items() if wanted is not None]
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)} are different targets: give one of them")
        bounded = given in ([], ["--max-error"])
        if no_field and not bounded:
            raise UsageError(f"--no-field goes with an error bound: with {given[0]} an archive is nothing but a field")
        if mode is options.Mode.FIELD and bounded:
            raise UsageError(
                "a field alone holds no error bound: give --mode field a --ratio, --size, --rmse or --psnr"
            )
        promises = parse_promises(
            {
                "extremes": extremes if bounded else None,
                "preserve": preserve,
                "preserve-maxima": preserve_maxima,
                "preserve-minima": preserve_minima,
                "region": region,
            }
        )
        path = _output(sources, output)
        check_file(path, ARCHIVE, inputs=sources, overwrite=force)
        from nnzip.codec import compress as run
        from nnzip.data.opening import open_dataset, stored_bytes
        from nnzip.plan.budget import Target
        from nnzip.request.extremes import parse_extremes
        from nnzip.request.tolerance import parse_bounds

        tails = [] if bounded else [parse_extremes(text) for text in extremes or ()]
        bounds = parse_bounds(max_error or "") if bounded else None
        target = Target(ratio, size_bytes, bounds, None if rmse is None else parse_bounds(rmse, "RMSE"), psnr)
        stored = stored_bytes(sources)
        with open_dataset(sources) as dataset:
            for line in describe_plan(dataset, names, target):
                terminal.message(line)
            for request in promises:
                terminal.message(f"promise: {request}")
            with terminal.progress() as progress:
                result = run(
                    dataset,
                    path,
                    target,
                    variables=names,
                    effort=effort.value,
                    time_budget=seconds,
                    seed=seed,
                    device=device.value,
                    with_field=not no_field,
                    promises=promises,
                    extremes=tails,
                    overwrite=force,
                    jobs=options.jobs_on(jobs, device.value),
                    progress=progress,
                )
        for note in result.notes:
            terminal.message(f"note: {note}")
        if json:
            terminal.json({**asdict(result), "stored_bytes": stored, "stored_ratio": stored / result.file_bytes})
        else:
            terminal.message(summary(result, stored))
            show_errors(terminal, result)
            kept = [asdict(promise) for promises in result.promises.values() for promise in promises]
            terminal.promises(kept, result.promise_bytes, aside=True)


def parse_promises(options: Mapping[str, Sequence[str] | None]) -> list[Request]:
    """Promises from the texts of each option. Raises UsageError."""
    if not any(options.values()):
        return []
    from nnzip.request.promises import parse_promise

    return [parse_promise(f"{option} {text}") for option, texts in options.items() for text in texts or ()]


def _output(sources: list[str], output: Path | None) -> Path:
    if output is not None:
        return output
    if len(sources) > 1 or any(character in sources[0] for character in "*?["):
        raise UsageError("several input files: name the archive with -o")
    return options.default_output(Path(sources[0]), ".nnz")


def describe_plan(dataset: xr.Dataset, names: list[str] | None, target: Target) -> list[str]:
    """What is about to happen, one line each: groups with their shapes, what is kept losslessly and why, the target."""
    from nnzip.data.grouping import lossless_reason, plan_groups

    groups, lossless = plan_groups(dataset, names)
    lines = []
    for group in groups:
        dims = [dim for dim in group.dims if dim is not None]
        members = ", ".join(_member(dataset, layout) for layout in group.variables)
        lines.append(f"compressing {members} on {numbers.shape({dim: dataset.sizes[dim] for dim in dims})}")
    for name in lossless:
        lines.append(f"keeping {name} losslessly: {lossless_reason(dataset, name) or 'other variables refer to it'}")
    if target.max_error is None:
        return [*lines, f"target: {target_text(target)}"]
    from nnzip.request.tolerance import describe_wanted

    names = [layout.name for group in groups for layout in group.variables]
    return [*lines, f"largest error at any point: {', '.join(describe_wanted(dataset, names, target.max_error))}"]


def _member(dataset: xr.Dataset, layout: VariableLayout) -> str:
    """ "z [m² s⁻², pressure_level 2]": a variable with its units and the sizes of its further dimensions."""
    units = numbers.units(str(dataset[layout.name].attrs.get("units", "")))
    further = numbers.shape(dict(zip(layout.channel_dims, layout.channel_shape, strict=True)))
    details = ", ".join(text for text in (units, further) if text)
    return f"{layout.name} [{details}]" if details else layout.name


def target_text(target: Target) -> str:
    """ "ratio 300", "50 MB", "PSNR 60 dB" or "RMSE t2m 0.05K"."""
    if target.ratio is not None:
        return f"ratio {target.ratio:g}"
    if target.size_bytes is not None:
        return numbers.file_size(target.size_bytes)
    if target.psnr is not None:
        return f"PSNR {target.psnr:g} dB"
    return "RMSE " + ", ".join(f"{name or 'all'} {value}" for name, value in (target.rmse or {}).items())


def summary(result: CompressionResult, stored: int) -> str:
    """One line: file, size, ratios to float32 and to the `stored` bytes of the source's files, time."""
    return (
        f"{result.path}: {numbers.file_size(result.file_bytes)}, {numbers.number(result.ratio, 4)} times smaller than "
        f"{numbers.file_size(result.source_bytes)} of float32 and {numbers.number(stored / result.file_bytes)} times "
        f"smaller than the {numbers.file_size(stored)} on disk, in {numbers.duration(result.seconds)}"
    )


def show_errors(terminal: Terminal, result: CompressionResult) -> None:
    """The errors of every variable, measured by decoding the finished file."""
    rows = [
        (name, *(numbers.quantity(number, errors.units) for number in (errors.rmse, errors.max_error, errors.bias)))
        for name, errors in result.errors.items()
    ]
    terminal.table(("variable", "RMSE", "max error", "bias"), rows, right=(1, 2, 3), aside=True)
