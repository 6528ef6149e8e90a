"""`nnzip sweep`: the ratio at every error, to choose a target by."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnzip.cli import options
from nnzip.cli.outputs import REPORT, check_file
from nnzip.cli.terminal import session
from nnzip.errors import UsageError

if TYPE_CHECKING:
    from nnzip.sweep import Goal, Sweep


EXAMPLES = (
    "nnzip sweep era5.nc",
    "nnzip sweep era5.nc --targets 0.1%,1% --ratios 100,300 --report sweep.html",
)


def sweep(
    sources: options.Sources,
    targets: Annotated[
        str | None,
        typer.Option(
            metavar="SHARES",
            help="Largest errors to try, as shares of each variable's range. "
            "(default: 0.01%,0.03%,0.1%,0.3%,1%,3%,10%, unless --ratios are given)",
        ),
    ] = None,
    ratios: Annotated[
        str | None, typer.Option(metavar="RATIOS", help="Ratios to try, as 30,100,300,1000; they bound no error.")
    ] = None,
    report: options.Report = None,
    variables: options.Variables = None,
    effort: Annotated[
        options.Effort, typer.Option(rich_help_panel=options.COMPUTING, help="How much to try for each target.")
    ] = options.Effort.FAST,
    device: options.DeviceOption = options.Device.AUTO,
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Compress to a range of targets and show ratio against error, with the knee marked; keeps no archive."""
    with session(quiet=quiet, verbose=verbose) as terminal:
        names = options.parse_variables(variables)
        wanted = (parse_shares(targets), parse_ratios(ratios))
        if report is not None:
            check_file(report, REPORT, inputs=sources, overwrite=force)
        from nnzip.data.opening import open_dataset, stored_bytes
        from nnzip.report.sweep import point_line, sweep_tables, write_sweep
        from nnzip.sweep import sweep as run

        with open_dataset(sources) as dataset, terminal.progress() as progress:
            stored = stored_bytes(sources) if names is None or {*names} >= {*dataset.data_vars} else None
            result = run(
                dataset,
                goals(*wanted),
                variables=names,
                effort=effort.value,
                device=device.value,
                stored_bytes=stored,
                progress=progress,
                found=None if progress is None else lambda point: terminal.message(point_line(point, stored)),
            )
        if report is not None:
            settings = {"effort": effort.value, "device": device.value}
            write_sweep(report, result, {"Files": {"original": sources}, "Settings": settings})
        if json:
            terminal.json(as_json(result))
        else:
            terminal.data(sweep_tables(result))
        if report is not None:
            terminal.message(f"report: {report}")


def parse_shares(text: str | None) -> list[float] | None:
    """Shares of the range from "0.1%,1%", smallest first. Raises UsageError."""
    remedy = "write shares of the range above 0% and up to 100% as 0.01%,0.1%,1%"
    if text is not None and not all(part.strip().endswith("%") for part in text.split(",")):
        raise UsageError(f"--targets {text}: {remedy}")
    shares = _numbers("--targets", text, text and text.replace("%", ""), 100.0, remedy)
    return None if shares is None else [share / 100 for share in shares]


def parse_ratios(text: str | None) -> list[float] | None:
    """Ratios from "30,100", smallest first. Raises UsageError."""
    return _numbers("--ratios", text, text, math.inf, "write positive ratios as 30,100,300")


def _numbers(option: str, text: str | None, plain: str | None, largest: float, remedy: str) -> list[float] | None:
    """Numbers above 0 from a list, sorted, each once."""
    if plain is None:
        return None
    try:
        found = {float(part) for part in plain.split(",")}
    except ValueError:
        found = {math.nan}
    if not all(0 < number <= largest and math.isfinite(number) for number in found):
        raise UsageError(f"{option} {text}: {remedy}")
    return sorted(found)


def goals(shares: list[float] | None, ratios: list[float] | None) -> list[Goal]:
    """Bounds first, then ratios; the usual bounds where nothing is asked for."""
    from nnzip.sweep import SHARES, Goal

    if shares is None and not ratios:
        shares = list(SHARES)
    return [*(Goal(share=share) for share in shares or ()), *(Goal(ratio=ratio) for ratio in ratios or ())]


def as_json(result: Sweep) -> dict[str, Any]:
    """The sweep with each point's target as text and its knee marked."""
    content = asdict(result)
    knees = {found.index for found in result.knees}
    for index, (point, plain) in enumerate(zip(result.points, content["points"], strict=True)):
        plain.update(target=point.goal.text, knee=index in knees, stored_ratio=result.stored_ratio(point))
    return content
