"""What a segment decodes to, through the reader's own path, compared with the original before it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from nnzip.archive.manifest import GroupEntry, Manifest
from nnzip.data.grouping import Group
from nnzip.field.axes import SourceGrid
from nnzip.layers import LayerDecoder
from nnzip.metrics.accumulate import ErrorStatistics
from nnzip.metrics.weights import latitude_weights
from nnzip.promises.constraints import Check, Part
from nnzip.segment import Coded

_BLOCK_VALUES = 1 << 20  # of one channel compared in one go: the copies are float64


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
    manifest: Manifest,
    entry: GroupEntry,
    group: Group,
    grid: SourceGrid,
    coded: Coded,
    original: NDArray[np.floating],
    device: str,
    statistics: Mapping[str, ErrorStatistics],
    checks: Mapping[str, Sequence[Check]],
) -> None:
    """Decode `coded`, a segment of `group`, and add its errors in the output type to `statistics` and what it keeps to
    `checks`, both by variable.

    original: [channel, time, lat, lon] of the segment, NaN where missing. Memory: a tile, and a few blocks.
    """
    alone = msgspec.structs.replace(entry, segments=(coded.entry,), mask=None)
    source = _Unwritten(msgspec.structs.replace(manifest, groups=(alone,)), coded.members)
    layers = LayerDecoder(source, (group,), (grid,), device, "all")
    rows, columns = (np.arange(n, dtype=np.float64) for n in grid.shape[1:])
    areas = area_weights(group)
    together = max(_BLOCK_VALUES // (rows.size * columns.size), 1)
    for start in range(coded.entry.start, coded.entry.stop, together):
        times = np.arange(start, min(start + together, coded.entry.stop), dtype=np.float64)
        inside = slice(start - coded.entry.start, start - coded.entry.start + times.size)
        for number, (layout, part) in enumerate(group.parts()):
            decoded = layers.values(0, number, (times, rows, columns))
            for channel, values in enumerate(decoded):
                wanted = original[part.start + channel, inside].astype(np.float64)
                returned = np.where(np.isnan(wanted), np.nan, values)
                found = statistics[layout.name]
                found.add(wanted[None], returned[None], areas[:, None], (channel, start, 0, 0))
                for check in checks[layout.name]:
                    check.add(Part(channel, start, wanted), returned)
