"""Which points of a variable's tile must be corrected so that its bound and its promises hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnzip.promises.constraints import Held, Part
from nnzip.promises.intervals import Intervals
from nnzip.promises.peaks import BlockPeaks
from nnzip.promises.resolve import Promise
from nnzip.tile.corrections import CorrectionsEncoder
from nnzip.tile.tile import compose

_BLOCK_VALUES = 1 << 20  # looked at in one go, in float64

_UNLIMITED = np.array([-np.inf, np.inf])

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Bounds:
    """What a variable promises: `bound` in its units, what else is to be kept, and the `guard` that every decoder's
    arithmetic stays within."""

    bound: float
    guard: float
    dtype: str
    promises: tuple[Promise, ...] = ()

    @property
    def breaks(self) -> NDArray[np.int64]:
        """Time steps of the record that blocks of maxima begin at: parts that are cut there cost least."""
        found = [promise.constraint.breaks for promise in self.promises if isinstance(promise.constraint, BlockPeaks)]
        return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *found]))

    def within(self, held: Held) -> Bounds:
        """What is promised about these time steps, with all it needs in memory."""
        return replace(self, promises=tuple(replace(p, constraint=p.constraint.within(held)) for p in self.promises))


@dataclass(frozen=True)
class Corrected:
    """Corrections of a tile, and their bytes without promises beyond the bound (None: there are none)."""

    data: bytes
    plain: Callable[[], int] | None

    @property
    def promised(self) -> int:
        """Bytes that promises beyond the bound take."""
        return 0 if self.plain is None else len(self.data) - self.plain()


class Corrector:
    """Finds the corrections of a tile while its detail is coded, channel by channel.

    `original` [channel, time, lat, lon] begins at time step `start` of the record; `base`: the field under a channel,
    None where the detail are the values themselves, which every decoder computes exactly alike; `limits` [2, channel].
    The search works on `device` where there is nothing but a bound.
    """

    def __init__(
        self,
        original: NDArray[np.floating],
        start: int,
        base: Callable[[int], Values | float] | None,
        limits: NDArray[np.float32],
        bounds: Bounds,
        device: torch.device,
    ) -> None:
        self._original, self._start, self._base = original, start, base
        self._limits, self._bounds, self._device = limits.astype(np.float64), bounds, device
        self._guard = 0.0 if base is None else bounds.guard
        scale = np.full(len(original), bounds.bound)
        _, times, rows, columns = original.shape
        self._encoder, self._plain = (CorrectionsEncoder(scale, (times, rows, columns), device) for _ in range(2))

    def visit(self, channel: int, detail: Tensor) -> None:
        """What a channel's stream decodes to, [time, lat, lon]."""
        base = 0.0 if self._base is None else self._base(channel)
        for start, stop in _time_parts(tuple(detail.shape), self._bounds.breaks - self._start):
            under = base if isinstance(base, float) else base[start:stop]
            original = self._original[channel, start:stop].astype(np.float64)
            if self._bounds.promises:
                unclamped = compose(detail[start:stop].cpu().numpy(), under, _UNLIMITED)
                self._keep_promises(Part(channel, self._start + start, original), unclamped, start)
            else:
                self._keep_bound(channel, original, detail[start:stop], under, start)

    def corrected(self) -> Corrected:
        """For all that was visited."""
        plain = (lambda: len(self._plain.encode())) if self._bounds.promises else None
        return Corrected(self._encoder.encode(), plain)

    def _keep_bound(self, channel: int, original: Values, detail: Tensor, under: Values | float, start: int) -> None:
        """Intervals are computed at the few points that may be outside theirs."""
        low, high = self._limits[:, channel].tolist()
        base = under if isinstance(under, float) else torch.from_numpy(under).to(self._device)
        decoded = (detail.to(self._device, torch.float64) + base).clamp_(low, high)
        error = (torch.from_numpy(original).to(self._device) - decoded).abs_()
        rounding = 2 * np.spacing(np.array(max(-low, high) + self._bounds.bound, dtype=self._bounds.dtype))
        suspect = torch.nonzero((error > self._bounds.bound - self._guard - float(rounding)).view(-1)).view(-1)
        places = suspect.cpu().numpy()
        some, before = original.reshape(-1)[places], decoded.view(-1)[suspect].cpu().numpy()
        allowed = Intervals(some, self._bounds.bound, self._bounds.dtype)
        first = start * detail[0].numel()
        self._encoder.add(channel, first + places, some, before, allowed.low, allowed.high, self._guard)

    def _keep_promises(self, part: Part, unclamped: Values, start: int) -> None:
        """Promises may narrow the interval of any point."""
        bounds, guard, limits = self._bounds, self._guard, self._limits[:, part.channel]
        decoded = np.clip(unclamped, limits[0], limits[1])
        allowed = Intervals(part.original, bounds.bound, bounds.dtype)
        places = start * unclamped[0].size + np.arange(unclamped.size).reshape(unclamped.shape)
        here = (part.channel, places, part.original, decoded)
        self._plain.add(*here, allowed.low, allowed.high, guard)
        for kept in bounds.promises:
            kept.constraint.narrow(allowed, part, decoded, guard)
        allowed.require_values()
        clamped = (unclamped <= limits[0] - guard) | (unclamped >= limits[1] + guard)
        self._encoder.add(*here, *allowed.beyond(limits), np.where(clamped, 0.0, guard))


def _time_parts(shape: Sequence[int], breaks: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Time ranges of [time, lat, lon] with about `_BLOCK_VALUES` values, at most twice as many, that end at `breaks`
    where they can."""
    together = max(_BLOCK_VALUES // max(prod(shape[1:]), 1), 1)
    parts, start = [], 0
    while start < shape[0]:
        stop = min(start + together, shape[0])
        before, after = breaks[(breaks > start) & (breaks <= stop)], breaks[breaks > stop]
        if before.size and stop < shape[0]:
            stop = int(before[-1])
        elif after.size and stop < shape[0]:
            stop = int(after[0]) if after[0] <= start + 2 * together else stop
        parts.append((start, min(stop, shape[0])))
        start = parts[-1][1]
    return parts
