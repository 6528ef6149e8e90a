"""`nnzip append`: later time steps for an archive."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict

from nnzip.cli import options, places
from nnzip.cli.compress import show_errors
from nnzip.cli.terminal import session
from nnzip.report import numbers

EXAMPLES = ("nnzip append year.nnz december.nc", "nnzip append s3://bucket/year.nnz december_*.nc --jobs 8")


def append(
    archive: options.Archive,
    sources: options.Sources,
    device: options.DeviceOption = options.Device.AUTO,
    jobs: options.Jobs = 1,
    scheduler: options.Scheduler = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Add later time steps to an archive, within the bounds it was compressed with; what is there stays as it is."""
    with session(quiet=quiet, verbose=verbose) as terminal, ExitStack() as files:
        inputs = [files.enter_context(places.source(text)) for text in sources]
        from nnzip.append import append as run
        from nnzip.integrations.cluster import connected

        client = files.enter_context(connected(scheduler))
        progress = files.enter_context(terminal.progress())
        result = run(archive, inputs, device=device.value, jobs=jobs, executor=client, progress=progress)
        files.close()
        for note in result.notes:
            terminal.message(f"note: {note}")
        if json:
            terminal.json(asdict(result))
        else:
            terminal.message(
                f"{result.path}: now {numbers.file_size(result.file_bytes)}, {numbers.number(result.ratio)} times "
                f"smaller than float32, in {numbers.duration(result.seconds)}; errors of the new times:"
            )
            show_errors(terminal, result)
