"""Share the bytes of an archive among its tiles before any is coded: one quantisation step for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, fsum, log

from nnzip.errors import UsageError
from nnzip.request.target import Target

RATIO_TOLERANCE = 0.03
"""By which an archive may miss its size."""

_HALVINGS = 50

Rate = Callable[[float], float]
"""Bytes of a tile at a quantisation step: never more at a larger step."""


def allot(rates: Sequence[Rate], budget: float, steps: tuple[float, float]) -> list[int]:
    """Bytes for each tile, in proportion to its rate at one step for all: that within `steps` where the rates sum to
    the budget.

    Steps are in units that mean the same in every tile. The shares sum to the budget also where no step does, and where
    every rate is wrong by the same factor; a tile need not use all of its share. The rates decide alone: nothing
    depends on the order of the work or on who does it.
    """
    fine, coarse = (log(step) for step in steps)
    for _ in range(_HALVINGS):
        middle = (fine + coarse) / 2
        if fsum(rate(exp(middle)) for rate in rates) > budget:
            fine = middle
        else:
            coarse = middle
    sizes = [rate(exp(coarse)) for rate in rates]
    share = max(budget, 0.0) / max(fsum(sizes), 1e-9)
    return [int(size * share) for size in sizes]


def require_size(target: Target, source_bytes: int, size: int) -> None:
    """Raise UsageError when the smallest archive that is possible, of `size` bytes, exceeds the target."""
    limit = target.file_bytes(source_bytes)
    if target.limits_size and size > limit * (1 + RATIO_TOLERANCE):
        wanted = f"ratio {target.ratio:g}" if target.ratio is not None else f"size of {target.size_bytes} B"
        raise UsageError(
            f"the {wanted} is impossible: it leaves {limit} B, and the smallest archive of these data (metadata, "
            f"coordinates, masks and empty tiles) has {size} B, a ratio of {source_bytes / size:.0f}: ask for less"
        )
