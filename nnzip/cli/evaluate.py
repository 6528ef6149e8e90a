"""`nnzip evaluate`: how far an archive, or any decoded file, is from the original."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnzip.cli import options
from nnzip.cli.info import part_bytes
from nnzip.cli.outputs import REPORT, check_file
from nnzip.cli.terminal import session
from nnzip.data.bytefile import place
from nnzip.data.formats import is_archive
from nnzip.errors import UsageError, VerificationError
from nnzip.report import numbers

if TYPE_CHECKING:
    import xarray as xr
    from distributed import Client

    from nnzip.cli.terminal import Terminal
    from nnzip.container.manifest import Manifest
    from nnzip.evaluate.events import Event
    from nnzip.evaluate.extremes.scores import ExtremeScores
    from nnzip.report.sections import Compared

MOST = 6  # files side by side: beyond it lines and colours cannot be told apart


EXAMPLES = (
    "nnzip evaluate era5.nc era5.nnz",
    "nnzip evaluate era5.nc era5.nnz --extremes --report era5.html",
    "nnzip evaluate era5.nc a.nnz b.nnz other.nc --json",
)


def evaluate(
    original: Annotated[str, typer.Argument(help="The dataset as it was: a file, a Zarr store or a quoted glob.")],
    decoded: Annotated[
        list[str],
        typer.Argument(
            metavar="ARCHIVE_OR_FILE...", help="Its archives, or any files or URLs to compare, up to 6 side by side."
        ),
    ],
    extremes: Annotated[
        bool, typer.Option("--extremes", help="Also tails, detection, climate indices, return levels, heat waves.")
    ] = False,
    event: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,DATE,S,N,W,E",
            help="Also follow the storm in this box: Matthew,2016-10-05,10,35,270,300 (date or date/date); repeatable.",
        ),
    ] = None,
    report: options.Report = None,
    variables: options.Variables = None,
    device: options.DeviceOption = options.Device.AUTO,
    scheduler: options.Scheduler = None,
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Compare archives or decoded files with the original: errors, promises, extremes, sizes, and a report.

    Exits with 5 where the data break a bound or a promise of their archive, after everything has been written.
    """
    with session(quiet=quiet, verbose=verbose) as terminal, ExitStack() as files:
        names = options.parse_variables(variables)
        if len(decoded) > MOST:
            raise UsageError(f"{len(decoded)} files to compare are too many to tell apart: give at most {MOST}")
        if report is not None:
            check_file(report, REPORT, inputs=[original, *decoded], overwrite=force)
        from nnzip.data.opening import open_dataset, stored_bytes
        from nnzip.evaluate.events import parse_event
        from nnzip.evaluate.scorecard import broken
        from nnzip.integrations.cluster import connected

        events = [parse_event(text) for text in event or ()]
        if extremes:
            from nnzip.evaluate.extremes.detection import require_scores

            require_scores()
        client = files.enter_context(connected(scheduler))
        first = files.enter_context(open_dataset(original))
        stored = stored_bytes(original), {*map(str, first.data_vars)}
        details: dict[str, Any] = {"Files": {"original": original}}
        compared = []
        with terminal.progress() as progress:
            share = 1 / (len(decoded) + (report is not None))
            for number, (path, label) in enumerate(
                zip(map(place, decoded), labels([*map(Path, decoded)]), strict=True)
            ):
                fraction = terminal.part_of(progress, "evaluating", (number * share, (number + 1) * share))
                opened = _Opened.of(path, label, device.value, stored, files)
                details["Files"][label if len(decoded) > 1 else "decoded"] = path
                details |= opened.details if len(decoded) == 1 else {label: _flat(opened.details)}
                compared.append(_compare(first, opened, names, events, extremes, client, fraction))
            if report is not None:
                from nnzip.report.html import write_report

                fraction = terminal.part_of(progress, "drawing", (1 - share, 1.0))
                write_report(report, first, compared, details, progress=fraction)
        if json:
            contents = [_content(each) for each in compared]
            terminal.json(contents[0] if len(contents) == 1 else {"files": contents})
        else:
            _show(terminal, compared)
        if report is not None:
            terminal.message(f"report: {report}")
        sentences = broken({each.name: each.checks for each in compared})
        if sentences:
            raise VerificationError(f"a promise is broken, or this is not the original: {'; '.join(sentences)}")


@dataclass(frozen=True)
class _Opened:
    """A decoded dataset, lazily; of archives also sizes, manifest and details for the report."""

    name: str
    dataset: xr.Dataset
    manifest: Manifest | None
    sizes: dict[str, Any]
    details: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, path: Path | str, name: str, device: str, stored: tuple[int, set[str]], files: ExitStack) -> _Opened:
        """Opened for as long as `files` is. stored: bytes of the original's files, and the variables in them."""
        from nnzip.data.opening import open_dataset
        from nnzip.read import open_archive

        if not is_archive(path):
            return cls(name, files.enter_context(open_dataset(path)), None, {}, {})
        archive = files.enter_context(open_archive(path, device=device))
        manifest = archive.manifest
        whole = {*manifest.order} >= stored[1]  # else the ratio to the files would be false
        sizes = {**archive_sizes(path, manifest), "stored_bytes": stored[0] if whole else None}
        return cls(name, archive.dataset(), manifest, sizes, archive_details(manifest))


def _compare(
    original: xr.Dataset,
    opened: _Opened,
    names: list[str] | None,
    events: list[Event],
    extremes: bool,
    client: Client | None,
    progress: Callable[[float], None] | None,
) -> Compared:
    """Scores, promises, extremes and events of one decoded dataset."""
    from nnzip.evaluate.evaluate import evaluate as score
    from nnzip.evaluate.events import event_scores
    from nnzip.evaluate.scorecard import check_promises
    from nnzip.report.sections import Compared

    followed = tuple(event_scores(original, opened.dataset, event) for event in events)
    share = 0.5 if extremes else 1.0
    part = None if progress is None else lambda fraction: progress(share * fraction)
    evaluation = score(original, opened.dataset, variables=names, **opened.sizes, executor=client, progress=part)
    found: dict[str, ExtremeScores] = {}
    if extremes:
        from nnzip.evaluate.extremes.scores import extreme_scores
        from nnzip.evaluate.matching import align_decoded

        aligned = align_decoded(original, opened.dataset, [scores.name for scores in evaluation.variables])
        for number, scores in enumerate(evaluation.variables):
            found[scores.name] = extreme_scores(original[scores.name], aligned[scores.name], scores)
            if progress is not None:
                progress(share + (1 - share) * (number + 1) / len(evaluation.variables))
    manifest = opened.manifest
    checks = () if manifest is None else check_promises(original, opened.dataset, manifest, evaluation.variables)
    return Compared(opened.name, opened.dataset, evaluation, checks, found, followed)


def _content(compared: Compared) -> dict[str, Any]:
    """One decoded dataset for --json."""
    return {
        "name": compared.name,
        **compared.evaluation.to_dict(),
        "promises": [check.to_dict() for check in compared.checks],
        "extremes": {name: found.to_dict() for name, found in compared.extremes.items()},
        "events": [event.to_dict() for event in compared.events],
    }


def _show(terminal: Terminal, compared: list[Compared]) -> None:
    """Tables of every file, one after the other."""
    from nnzip.report import extremes_tables
    from nnzip.report.tables import evaluation_tables

    for number, each in enumerate(compared):
        if len(compared) > 1:
            terminal.data(f"{chr(10) * (number > 0)}{each.name}")
        terminal.data(evaluation_tables(each.evaluation))
        if each.checks:
            terminal.data(extremes_tables.promise_tables(each.checks))
        if each.extremes:
            terminal.data(extremes_tables.extremes_tables(list(each.extremes.values())))
        if each.events:
            terminal.data(extremes_tables.event_tables(each.events))


def labels(paths: list[Path]) -> list[str]:
    """Names that tell files apart: the file's own, with as many directories as that takes."""
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        found = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(found)) == len(found):
            return found
    return [f"{path} ({number})" for number, path in enumerate(paths, start=1)]


def _flat(details: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The sections of one archive as one."""
    return {label: value for section in details.values() for label, value in section.items()}


def archive_sizes(path: Path | str, manifest: Manifest) -> dict[str, Any]:
    """Bytes of the file, of the source as float32, and of each part of the file."""
    from nnzip.container.reader import ArchiveReader

    with ArchiveReader(path) as reader:
        parts = part_bytes(manifest, reader.sizes(), reader.file_bytes)
        return {"file_bytes": reader.file_bytes, "source_bytes": manifest.source.bytes, "parts": parts}


def archive_details(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """Details of the archive for the report: {section: {label: value}}."""
    return {
        "Archive": {
            "written by": f"nnzip {manifest.nnzip}",
            "format": manifest.format,
            "dimensions": numbers.shape(manifest.dims),
        },
        "Configuration": dict(manifest.configuration),
    }
