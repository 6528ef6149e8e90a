"""From what the user asks for to what each layer of each segment may cost."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite

from nnzip.errors import UsageError

SEGMENT_VALUES = 1 << 25
"""Values of one segment of a group: the piece that is fitted, held in memory and decoded at once."""


@dataclass(frozen=True)
class Target:
    """What the archive shall be: a `ratio` (float32 bytes of the compressed variables per byte of file), a
    `size_bytes`, a bound, an RMSE, or a PSNR.

    `max_error`: largest error at any point per variable, as a number in its units or text with units ("0.1K",
    "0.1%" of the range); under the key None for all others. Variables it leaves out get the community's tolerance,
    so {} asks for those. `rmse`: largest area-weighted RMSE, in the same terms but for every variable. `psnr`: least
    peak signal-to-noise ratio, 20 log10(range / unweighted RMSE) in dB, of every variable.
    """

    ratio: float | None = None
    size_bytes: int | None = None
    max_error: Mapping[str | None, str | float] | None = None
    rmse: Mapping[str | None, str | float] | None = None
    psnr: float | None = None

    def __post_init__(self) -> None:
        wishes = (self.ratio, self.size_bytes, self.max_error, self.rmse, self.psnr)
        given = sum(wanted is not None for wanted in wishes)
        if given != 1:
            raise UsageError(
                f"{given} targets are given: ask for a ratio, a size, a largest error, an RMSE or a PSNR, one of them"
            )
        for wanted in (self.ratio, self.size_bytes, self.psnr):
            if wanted is not None and not (isfinite(wanted) and wanted > 0):
                raise UsageError(
                    f"the target {wanted} is not a positive number: ask for a ratio such as 300, a size in bytes or a "
                    "PSNR such as 60"
                )

    @property
    def limits_size(self) -> bool:
        """Whether the size of the file is what is asked for."""
        return self.ratio is not None or self.size_bytes is not None

    def file_bytes(self, source_bytes: int) -> int:
        """Bytes the whole file may have for `source_bytes` of float32; 0 where a bound decides."""
        return int(source_bytes / self.ratio) if self.ratio is not None else int(self.size_bytes or 0)


def segments(channels: int, times: int, points: int) -> Iterator[tuple[int, int]]:
    """Time ranges [start, stop) of about equal length, each of at most SEGMENT_VALUES values (but at least one
    time)."""
    longest = max(SEGMENT_VALUES // max(channels * points, 1), 1)
    count = -(-times // longest)
    for index in range(count):
        yield index * times // count, (index + 1) * times // count


class Allowance:
    """Shares what is left of a budget among what is left to be coded, so that one part's surplus goes to those that
    begin after it has ended."""

    def __init__(self, budget: int, values: int) -> None:
        self._budget, self._values = budget, values
        self._open: deque[tuple[int, float]] = deque()

    def begin(self, values: int) -> float:
        """Bytes for the next `values` values."""
        others, reserved = (sum(share[i] for share in self._open) for i in range(2))
        share = (self._budget - reserved) * values / max(self._values - others, 1)
        self._open.append((values, share))
        return share

    def end(self, size: int) -> None:
        """The part that began first of those that have not ended took `size` bytes."""
        self._budget -= size
        self._values -= self._open.popleft()[0]


TILE_VALUES = 1 << 24
"""Values of one variable's channel in one tile of the detail layer: what reading a single point decodes."""


def tiles(times: int, points: int) -> list[tuple[int, int]]:
    """Time ranges [start, stop) of a segment's tiles, of about equal length."""
    longest = max(TILE_VALUES // max(points, 1), 1)
    count = -(-times // longest)
    return [(index * times // count, (index + 1) * times // count) for index in range(count)]


_BLOCK_VALUES = 1 << 20


def blocks(start: int, stop: int, points: int) -> Iterator[tuple[int, int]]:
    """Time ranges of [start, stop) in which a channel has few values (but at least one time): for work in float64."""
    longest = max(_BLOCK_VALUES // max(points, 1), 1)
    for first in range(start, stop, longest):
        yield first, min(first + longest, stop)
