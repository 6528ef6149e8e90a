"""`nnzip evaluate`: how far an archive, or any decoded file, is from the original."""

from __future__ import annotations

import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnzip.cli import options
from nnzip.cli.console import session
from nnzip.cli.info import layer_bytes
from nnzip.report import numbers

if TYPE_CHECKING:
    from nnzip.archive.manifest import Manifest

SCORING, DRAWING = (0.0, 0.8), (0.8, 1.0)  # parts of the progress bar


def evaluate(
    original: Annotated[str, typer.Argument(help="The dataset as it was: a file, a Zarr store or a quoted glob.")],
    decoded: Annotated[Path, typer.Argument(metavar="ARCHIVE_OR_FILE", help="Its archive, or any file to compare.")],
    report: Annotated[
        Path | None, typer.Option(help="Also write an HTML report with maps, histograms and spectra.")
    ] = None,
    variables: options.Variables = None,
    device: options.DeviceOption = options.Device.AUTO,
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Compare an archive or a decoded file with the original: errors, sizes, and a report."""
    with session(quiet=quiet, verbose=verbose) as terminal, ExitStack() as files:
        names = options.parse_variables(variables)
        if report is not None:
            options.require_writable(report, overwrite=force)
        from nnzip.codec import open_archive
        from nnzip.data.opening import open_dataset
        from nnzip.metrics.evaluate import evaluate as score

        first = files.enter_context(open_dataset(original))
        details: dict[str, Any] = {"Files": {"original": original, "decoded": decoded}}
        sizes: dict[str, Any] = {}
        if is_archive(decoded):
            archive = files.enter_context(open_archive(decoded, device=device.value))
            second = archive.dataset()
            sizes = archive_sizes(decoded, archive.manifest)
            details |= archive_details(archive.manifest)
        else:
            second = files.enter_context(open_dataset(decoded))
        with terminal.progress() as progress:
            share = SCORING if report is not None else (0.0, 1.0)
            fraction = terminal.part_of(progress, "evaluating", share)
            evaluation = score(first, second, variables=names, **sizes, progress=fraction)
            if report is not None:
                from nnzip.report.html import write_report

                fraction = terminal.part_of(progress, "drawing", DRAWING)
                write_report(report, evaluation, first, second, details, progress=fraction)
        if json:
            terminal.json(evaluation.to_dict())
        else:
            from nnzip.report.tables import evaluation_tables

            terminal.data(evaluation_tables(evaluation))
        if report is not None:
            terminal.message(f"report: {report}")


def is_archive(path: Path) -> bool:
    """Whether path claims to be an nnzip archive, by its name or its manifest; a damaged one still does by its name."""
    if path.suffix == ".nnz":
        return True
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as file:
        return "manifest.json" in file.namelist()


def archive_sizes(path: Path, manifest: Manifest) -> dict[str, Any]:
    """What the metrics need to know of bytes: the file's, the source's as float32, and each layer's."""
    from nnzip.archive.container import ArchiveReader

    with ArchiveReader(path) as reader:
        layers = layer_bytes(manifest, reader.sizes(), path.stat().st_size)
    return {
        "file_bytes": path.stat().st_size,
        "source_bytes": manifest.source.bytes,
        "layers": {name: count for name, count in layers.items() if count},
    }


def archive_details(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """What the report says about the archive: {section: {label: value}}."""
    return {
        "Archive": {
            "written by": f"nnzip {manifest.nnzip}",
            "format": manifest.format,
            "dimensions": numbers.shape(manifest.dims),
        },
        "Configuration": dict(manifest.configuration),
    }
