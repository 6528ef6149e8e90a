"""Verify an archive: every checksum, every layer, every value."""

from __future__ import annotations

import time as clock
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from nnzip.container.manifest import SegmentEntry
from nnzip.errors import VerificationError
from nnzip.progress import Progress, ProgressCallback
from nnzip.reader import Archive


@dataclass(frozen=True)
class Verification:
    """What `verify` found in order: members and bytes read; decoded and missing values per variable."""

    path: Path
    members: int
    bytes: int
    values: dict[str, int]
    missing: dict[str, int]
    seconds: float


def verify(
    path: str | PathLike[str], *, device: str = "auto", progress: ProgressCallback | None = None
) -> Verification:
    """Read every member (checksums), decode every layer and look at every value.

    Raises CorruptArchiveError for damage and VerificationError for decoded values that contradict the manifest.
    """
    started = clock.monotonic()
    report = progress or (lambda _: None)
    with Archive(path, device) as archive:
        sizes = archive.reader.sizes()
        for number, member in enumerate(sorted(sizes)):
            archive.reader.read(member)
            report(Progress("verifying", 0.5 * number / len(sizes), None, {}))
        values, missing = dict.fromkeys(archive.manifest.variables, 0), dict.fromkeys(archive.manifest.variables, 0)
        for index, entry in enumerate(archive.manifest.groups):
            for segment in entry.segments:
                _verify_segment(archive, index, segment, values, missing)
                report(
                    Progress(
                        "verifying",
                        0.5 + 0.5 * (index + segment.stop / entry.segments[-1].stop) / len(archive.groups),
                        None,
                        {},
                    )
                )
    return Verification(Path(path), len(sizes), sum(sizes.values()), values, missing, clock.monotonic() - started)


def _verify_segment(
    archive: Archive, index: int, segment: SegmentEntry, values: dict[str, int], missing: dict[str, int]
) -> None:
    """Decode a segment time by time; the decoders themselves refuse damaged layers."""
    grid = archive.grids[index]
    rows, columns = (np.arange(n, dtype=np.float64) for n in grid.shape[1:])
    for number, (layout, _) in enumerate(archive.groups[index].parts()):
        for step in range(segment.start, segment.stop):
            decoded = archive.layers.values(index, number, (np.array([step], dtype=np.float64), rows, columns))
            if np.isinf(decoded).any():
                raise VerificationError(
                    f"{layout.name} decodes to infinite values at time step {step}: compress it again"
                )
            values[layout.name] += decoded.size
            missing[layout.name] += int(np.isnan(decoded).sum())
