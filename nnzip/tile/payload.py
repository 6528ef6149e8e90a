"""The detail layer of one variable in one tile of time <-> bytes.

Two codings: wavelet coefficients of what the field misses (smooth data, loose bounds), or integer interpolation of
the values themselves (rough data such as rain, tight bounds), which needs neither field nor corrections.

Layout (docs/format.md, "Detail payload"): length of the header (uint32, little-endian), the header (MessagePack
array), then the coefficient stream of every channel. A channel's coefficients are the context of the next
channel's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnzip.coder.bands import Bands, interpolation_bands, wavelet_bands
from nnzip.coder.coefficients import encode_coefficients, plan_coding
from nnzip.coder.streams import CONTEXT, reader
from nnzip.errors import CorruptArchiveError
from nnzip.transform import interpolation, wavelet
from nnzip.transform.quantise import SHIFT_UNIT, centroids, dequantise, quantise

Shape = tuple[int, int, int, int]
Flags = tuple[bool, bool, bool]


class DetailHeader(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What the streams mean; `limits` are the data's smallest and largest values, which decoding never leaves."""

    shape: Shape
    interpolation: bool
    axes: tuple[int, int, int]  # depths of the wavelet along the axes, or the order of the axes of the interpolation
    steps: list[float]  # per channel, in the data's units
    shifts: bytes  # int8 [channel, 2]; empty with interpolation
    limits: bytes  # float32 [2, channel]
    means: bytes  # float32 [channel], what a missing field is replaced by; empty otherwise
    streams: list[int]
    context: int = 1  # what the coefficients were coded with: one of streams.READERS

    @property
    def bands(self) -> Bands:
        """Subbands of a channel."""
        return (interpolation_bands if self.interpolation else wavelet_bands)(self.shape[1:], self.axes)


Visit = Callable[[int, Tensor], None]
"""Gets the number of a channel and what its stream decodes to, [time, lat, lon]."""


@dataclass(frozen=True)
class Detail:
    """A payload whose header has been read and checked.

    Its channels are the residual of the field, or with `absolute` the data themselves, in the data's units; `limits`
    [2, channel] and `means` [channel], which stand for a missing field, are float64.
    """

    header: DetailHeader
    streams: bytes
    periodic: Flags
    limits: NDArray[np.float64]
    means: NDArray[np.float64]

    @property
    def absolute(self) -> bool:
        """Whether the channels need no field."""
        return self.header.interpolation

    def channels(self, device: torch.device) -> Iterator[NDArray[np.floating]]:
        """Every channel [time, lat, lon] in turn, transformed back on `device`.

        Raises CorruptArchiveError for damaged streams.
        """
        header, previous, start = self.header, None, 0
        decode = reader(header.context)
        shifts = np.frombuffer(header.shifts, dtype=np.int8).reshape(-1, 2).tolist() or [[0, 0]] * header.shape[0]
        for size, step, shift in zip(header.streams, header.steps, shifts, strict=True):
            data = self.streams[start : start + size]
            previous = decode(data, header.shape[1:], header.bands, previous, device)
            if header.interpolation:
                yield interpolation.inverse(previous.cpu().numpy().astype(np.int64), header.axes) * step
            else:
                yield _inverse(previous, (shift[0], shift[1]), step, header.axes, self.periodic).cpu().numpy()
            start += size


def encode_wavelet(
    residual: Tensor,
    step: float,
    depths: tuple[int, int, int],
    periodic: Flags,
    limits: NDArray[np.float32],
    means: NDArray[np.float32] | None,
    visit: Visit,
) -> bytes:
    """Code `residual` [channel, time, lat, lon] float32 with a quantisation step; it is transformed on its device.

    Cost: about 0.5 s per million values on one core, memory about 12 times one channel.
    """
    bands = wavelet_bands(tuple(residual.shape[1:]), depths)
    streams, shifts = [], []
    previous: Tensor | None = None
    for number, channel in enumerate(residual):
        values = wavelet.forward(channel, depths, periodic) / step
        previous, plan = quantise(values, bands, previous)
        shift = [round(s / SHIFT_UNIT) for s in centroids(values, previous)]
        streams.append(encode_coefficients(previous, bands, plan))
        shifts.append(shift)
        visit(number, _inverse(previous, (shift[0], shift[1]), step, depths, periodic))
    header = DetailHeader(
        shape=_shape(residual),
        interpolation=False,
        axes=depths,
        steps=[step] * len(residual),
        shifts=np.array(shifts, dtype=np.int8).tobytes(),
        limits=limits.astype("<f4").tobytes(),
        means=b"" if means is None else means.astype("<f4").tobytes(),
        streams=[len(stream) for stream in streams],
        context=CONTEXT,
    )
    return _pack(header, streams)


def encode_interpolation(
    values: NDArray[np.floating], step: float, limits: NDArray[np.float32], device: torch.device, visit: Visit
) -> bytes:
    """Code finite `values` [channel, time, lat, lon] rounded to multiples of `step`; the error is at most half a
    step.

    Raises OverflowError when a value is more than 2^30 steps from zero. Cost: about 0.3 s per million values on one
    core, memory about 12 times one channel.
    """
    largest = float(np.abs(limits).max(initial=0.0))
    if largest / step >= 2**30:
        raise OverflowError(f"values reach {largest:g}, more than 2^30 steps of {step:g}")
    order, streams = (0, 1, 2), []
    previous: Tensor | None = None
    for number, channel in enumerate(values):
        integers = np.rint(channel.astype(np.float64) / step).astype(np.int64)
        order = interpolation.best_order(integers) if number == 0 else order
        bands = interpolation_bands(tuple(integers.shape), order)
        symbols = torch.from_numpy(interpolation.forward(integers, order).astype(np.int32)).to(device)
        streams.append(encode_coefficients(symbols, bands, plan_coding(symbols, bands, previous)))
        visit(number, torch.from_numpy(integers * step))
        previous = symbols
    header = DetailHeader(
        shape=_shape(values),
        interpolation=True,
        axes=order,
        steps=[step] * len(values),
        shifts=b"",
        limits=limits.astype("<f4").tobytes(),
        means=b"",
        streams=[len(stream) for stream in streams],
        context=CONTEXT,
    )
    return _pack(header, streams)


def read_detail(data: bytes, shape: Shape, periodic: Flags) -> Detail:
    """The header of a payload. Raises CorruptArchiveError when it does not fit `shape` or itself."""
    length = int.from_bytes(data[:4], "little")
    try:
        header = msgspec.msgpack.decode(data[4 : 4 + length], type=DetailHeader)
    except msgspec.MsgspecError as error:
        raise CorruptArchiveError(f"the detail layer's header cannot be read: {error}") from error
    _check(header, shape, len(data) - 4 - length)
    channels = shape[0]
    limits = np.frombuffer(header.limits, dtype="<f4").reshape(2, channels).astype(np.float64)
    means = np.frombuffer(header.means, dtype="<f4").astype(np.float64) if header.means else np.zeros(channels)
    if not (np.isfinite(limits).all() and np.isfinite(means).all()):
        raise CorruptArchiveError("the detail layer's limits are not finite: the payload is damaged")
    return Detail(header, data[4 + length :], periodic, limits, means)


def _shape(values: Tensor | NDArray[np.floating]) -> Shape:
    channels, times, rows, columns = values.shape
    return channels, times, rows, columns


def _pack(header: DetailHeader, streams: Sequence[bytes]) -> bytes:
    encoded = msgspec.msgpack.encode(header)
    return b"".join((len(encoded).to_bytes(4, "little"), encoded, *streams))


def _inverse(
    coefficients: Tensor, shift: tuple[int, int], step: float, depths: tuple[int, int, int], periodic: Flags
) -> Tensor:
    """Encoder and decoder both come through here, so that their rounding is the same."""
    values = dequantise(coefficients, (shift[0] * SHIFT_UNIT, shift[1] * SHIFT_UNIT)).mul_(step)
    return wavelet.inverse(values, depths, periodic)


def _check(header: DetailHeader, shape: Shape, available: int) -> None:
    channels = shape[0]
    problems = {
        f"its shape {header.shape} is not the manifest's {shape}": header.shape != shape,
        f"its streams {sum(header.streams)} B are not the {available} B there": sum(header.streams) != available,
        "its channels do not add up": {len(header.streams), len(header.steps)} != {channels}
        or len(header.shifts) != (0 if header.interpolation else 2 * channels)
        or len(header.limits) != 8 * channels
        or len(header.means) not in (0, 4 * channels),
        "its streams or steps are impossible": min(header.streams, default=0) < 0
        or not all(np.isfinite(step) and step > 0 for step in header.steps),
        "its wavelet depths or axes are impossible": sorted(header.axes) != [0, 1, 2]
        if header.interpolation
        else any(not 0 <= d <= wavelet.max_depth(size) for d, size in zip(header.axes, shape[1:], strict=True)),
    }
    for problem, found in problems.items():
        if found:
            raise CorruptArchiveError(f"the detail layer is damaged: {problem}")
