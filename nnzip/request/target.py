"""What an archive shall reach: a size, a quality, or exactness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from typing import Any

from nnzip.errors import UsageError
from nnzip.request.bounds import Quantities, parse_bounds

Wish = Quantities | Mapping[str, str | float] | Mapping[None, str | float] | str | float | None
"""One quantity for all variables, text for several as on the command line, or one by variable (None: the rest)."""


class _Wished:
    """A field that takes one quantity for all variables, text for several as on the command line, or a mapping, and
    holds a mapping."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, target: object | None, owner: type) -> Quantities | None:
        found: Quantities | None = None if target is None else target.__dict__[self._name]
        return found

    def __set__(self, target: object, wished: Wish) -> None:
        target.__dict__[self._name] = _quantities(self._name, wished)


def _quantities(name: str, wished: object) -> Quantities | None:
    if wished is None:
        return None
    if isinstance(wished, str):
        return parse_bounds(wished, name)
    wanted: dict[Any, Any] = dict(wished) if isinstance(wished, Mapping) else {None: wished}
    for variable, quantity in wanted.items():
        plain = isinstance(quantity, str | Real) and not isinstance(quantity, bool)
        if not plain or not isinstance(variable, str | None):
            raise TypeError(
                f"{name}={wished!r}: give a number in the variable's units, text as '0.1K', '0.1%' or "
                "'t2m=0.1K,msl=50Pa', or a dict of them by variable"
            )
    return wanted


@dataclass(frozen=True)
class Target:
    """One of: a `ratio` (float32 bytes of the compressed variables per byte of file), a `size_bytes`, a bound, an RMSE,
    a PSNR, `lossless` (every value exactly).

    `max_error`: largest error at any point: "0.1K", "0.1%" of the range or a number for all variables, or by variable
    "t2m=0.1K,msl=50Pa" or {"t2m": "0.1K", "msl": 50}. Variables it leaves out get the community's tolerance, so {}
    asks for those. `rmse`: largest area-weighted RMSE, in the same terms but for every variable. `psnr`: least peak
    signal-to-noise ratio, 20 log10(range / unweighted RMSE) in dB, of every variable.
    """

    ratio: float | None = None
    size_bytes: int | None = None
    max_error: _Wished = _Wished()
    rmse: _Wished = _Wished()
    psnr: float | None = None
    lossless: bool = False

    def __post_init__(self) -> None:
        wishes = (self.ratio, self.size_bytes, self.max_error, self.rmse, self.psnr, self.lossless or None)
        given = sum(wanted is not None for wanted in wishes)
        if given != 1:
            raise UsageError(
                f"{given} targets are given: ask for a ratio, a size, a largest error, an RMSE, a PSNR or exact "
                "values, one of them"
            )
        for wanted in (self.ratio, self.size_bytes, self.psnr):
            if isinstance(wanted, str):
                raise TypeError(f"the target {wanted!r} is text: a ratio, a size in bytes and a PSNR are numbers")
            if wanted is not None and not (isfinite(wanted) and wanted > 0):
                raise UsageError(
                    f"the target {wanted} is not a positive number: ask for a ratio such as 300, a size in bytes or a "
                    "PSNR such as 60"
                )

    @property
    def limits_size(self) -> bool:
        """Whether the size of the file is what is asked for."""
        return self.ratio is not None or self.size_bytes is not None

    @property
    def limits_errors(self) -> bool:
        """Whether the error at every point is what is asked for."""
        return self.max_error is not None or self.lossless

    def file_bytes(self, source_bytes: int) -> int:
        """Bytes the whole file may have for `source_bytes` of float32; 0 where a quality decides."""
        return int(source_bytes / self.ratio) if self.ratio is not None else int(self.size_bytes or 0)
