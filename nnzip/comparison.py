"""What a segment decodes to, through the reader's own path, compared with the original before it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from nnzip.container.manifest import Manifest
from nnzip.data.grouping import Group
from nnzip.evaluate.weights import latitude_weights
from nnzip.layers import LayerDecoder
from nnzip.plan.budget import blocks
from nnzip.promises.constraints import Part
from nnzip.reader import group_grid
from nnzip.result import Findings
from nnzip.segment import Coded, Segment
from nnzip.tile.corrector import Bounds


@dataclass(frozen=True)
class _Unwritten:
    """Members that are not in a file yet, as a `LayerDecoder` reads them."""

    manifest: Manifest
    members: Mapping[str, bytes]

    def read(self, name: str) -> bytes:
        return self.members[name]


def area_weights(group: Group) -> NDArray[np.float64]:
    """Weight of every row [lat] in means over the area."""
    values = group.latitude.values
    return latitude_weights(values) if group.latitude.geographic else np.ones(values.size)


def compare(
    segment: Segment, coded: Coded, manifest: Manifest, bounds: Mapping[str, Bounds], device: torch.device
) -> Findings:
    """Decode what a segment was coded to: its errors in the output type, and what it keeps of the `bounds`.

    manifest: with the segment's group alone. Memory: a tile, and a few blocks.
    """
    group, original = segment.group, segment.values
    alone = msgspec.structs.replace(manifest.groups[0], segments=(coded.entry,), mask=None)
    source = _Unwritten(msgspec.structs.replace(manifest, groups=(alone,)), coded.members)
    layers = LayerDecoder(source, (group,), (group_grid(group),), device.type, "all")
    rows, columns = (np.arange(n, dtype=np.float64) for n in group.shape[2:])
    areas = area_weights(group)
    findings = Findings.of([layout.name for layout in group.variables], bounds)
    checks = {
        name: [promise.constraint.checker() for promise in promised.promises] for name, promised in bounds.items()
    }
    for start, stop in blocks(segment.start, segment.stop, rows.size * columns.size):
        times = np.arange(start, stop, dtype=np.float64)
        inside = slice(start - segment.start, stop - segment.start)
        for number, (layout, part) in enumerate(group.parts()):
            decoded = layers.values(0, number, (times, rows, columns))
            for channel, values in enumerate(decoded):
                wanted = original[part.start + channel, inside].astype(np.float64)
                returned = np.where(np.isnan(wanted), np.nan, values)
                found = findings.statistics[layout.name]
                found.add(wanted[None], returned[None], areas[:, None], (channel, start, 0, 0))
                for check in checks.get(layout.name, ()):
                    check.add(Part(channel, start, wanted), returned)
    for name, found_by in checks.items():
        findings.kept[name] = [check.kept for check in found_by]
    return findings
