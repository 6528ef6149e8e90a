"""Probe points: how a decoder notices that its arithmetic drifts further than the guard of the bounds allows.

A bounded archive stores, for up to 256 points of every field, what the encoder decoded there: the value in half guards,
rounded, of which only the low byte is kept. A device that is wrong beyond the guard at one of them is not used.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray

from nnzip.data.axes import SourceGrid
from nnzip.errors import NnzipWarning
from nnzip.field.device import CPU, memory_errors
from nnzip.field.model import Field
from nnzip.field.payload import MOST_PROBES, read_field

ALARM = 0.75
"""Guards of apparent drift: reached by every probe that drifts by a guard, by none that drifts by half a guard."""

_FEWEST = 16
_PAYLOAD_BYTES_PER_PROBE = 16  # a small field stores fewer probes, so that they never take more than 1/16 of it
_AXES = (4, 8, 8)  # places probed along time, latitude, longitude
_MULTIPLIER = 2654435761  # golden ratio times 2^32 (Knuth, The Art of Computer Programming 3, section 6.4)


def record_probes(field: Field, guards: NDArray[np.float64], payload_bytes: int) -> bytes:
    """The probes that a payload of this size ends in; guards: [channel] in the data's units, 0: not probed."""
    count = min(max(payload_bytes // _PAYLOAD_BYTES_PER_PROBE, _FEWEST), MOST_PROBES)
    return np.rint(_phases(field, guards, count)).astype(np.int64).astype(np.uint8).tobytes()


def drift(field: Field, guards: NDArray[np.float64]) -> float:
    """Largest difference of `field` from what the encoder found at its probes, in guards; right to a quarter.

    Known up to 64 guards only, as just the low bytes are stored. Cost: 256 points, and the vertices of four times.
    """
    stored = np.frombuffer(field.probes, dtype=np.uint8)
    if not stored.size or not guards.any():
        return 0.0
    steps = np.mod(_phases(field, guards, stored.size) - stored + 128, 256) - 128
    return float(np.abs(steps).max()) / 2


def read_checked_field(
    data: bytes, grid: SourceGrid, guards: NDArray[np.float64], device: torch.device
) -> tuple[Field, torch.device]:
    """The field of a payload and the device it is on: `device`, or the processor where that one drifts too far.

    Warns (NnzipWarning) of drift beyond the guards. Raises CorruptArchiveError as `read_field`, and ResourceError.
    """
    with memory_errors():
        field = read_field(data, grid, guards.size, device)
        found = drift(field, guards)
    if found > ALARM and device != CPU:
        warnings.warn(
            f"{device} decodes the field {found:.1f} times the guard of the bounds away from what was compressed: "
            "it is not used any further, the CPU decodes instead",
            NnzipWarning,
            stacklevel=2,
        )
        device, field = CPU, read_field(data, grid, guards.size, CPU)
        found = drift(field, guards)
    if found > ALARM:
        warnings.warn(
            f"the CPU decodes the field {found:.1f} times the guard of the bounds away from what was compressed: "
            "decoded values may break their bounds by that much; please report this with the output of `nnzip doctor`",
            NnzipWarning,
            stacklevel=2,
        )
    return field, device


def _phases(field: Field, guards: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Values at the first `count` probes in half guards, 0 where there is no guard."""
    number = np.arange(count)
    axes = [_places(axis, length, field.grid.shape[axis]) for axis, length in enumerate(_AXES)]
    values = field.evaluate(axes[0], axes[1], axes[2])
    channel = (number + number // guards.size) % guards.size
    found = values[channel, number % 4, number // 4 % 8, (number + number // 32) % 8]
    steps = guards[channel] / 2
    return np.asarray(np.divide(found, steps, out=np.zeros(count), where=steps > 0))


def _places(axis: int, count: int, length: int) -> NDArray[np.float64]:
    """`count` vertices of an axis of this length, from a fixed generator of integers."""
    seeds = np.arange(1 + 8 * axis, 1 + 8 * axis + count, dtype=np.uint64) * np.uint64(_MULTIPLIER) % np.uint64(1 << 32)
    return ((seeds * np.uint64(length)) >> np.uint64(32)).astype(np.float64)
