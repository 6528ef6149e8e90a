"""`nnzip verify`: checksums, and that every tile decodes."""

from __future__ import annotations

from dataclasses import asdict

from nnzip.cli import options, places
from nnzip.cli.lean import spare_imports
from nnzip.cli.terminal import session
from nnzip.report import numbers

EXAMPLES = ("nnzip verify era5.nnz",)


def verify(
    archive: options.Archive,
    device: options.DeviceOption = options.Device.AUTO,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Check an archive: every checksum, every tile, every decoded value."""
    with session(quiet=quiet, verbose=verbose) as terminal, places.source(archive) as path:
        spare_imports()
        from nnzip.read import verify as run

        with terminal.progress() as progress:
            result = run(path, device=device.value, progress=progress)
        if json:
            terminal.json(asdict(result))
            return
        terminal.data(
            f"{result.path}: sound. {result.members} members ({numbers.file_size(result.bytes)}) have the right "
            f"checksum and decode, in {numbers.duration(result.seconds)}"
        )
        rows = [
            (name, numbers.count(values), numbers.count(result.missing[name])) for name, values in result.values.items()
        ]
        terminal.table(("variable", "values", "missing"), rows, right=(1, 2))
