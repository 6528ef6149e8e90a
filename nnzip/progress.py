"""What a running command tells whoever watches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.data.grouping import Group


@dataclass(frozen=True)
class Progress:
    """A moment of a command: `fraction` of the whole, `errors` as variable -> (current RMSE, units)."""

    stage: str
    fraction: float
    loss: float | None
    errors: dict[str, tuple[float, str]]


ProgressCallback = Callable[[Progress], None]


class SegmentReports:
    """Turns what the work on one segment reports into the progress of the whole command."""

    def __init__(self, dataset: xr.Dataset, progress: ProgressCallback | None, values: int) -> None:
        self._dataset, self._progress = dataset, progress
        self._values, self._done = max(values, 1), 0.0

    def for_segment(
        self, group: Group, size: int
    ) -> Callable[[str, float, float | None, NDArray[np.float64] | None], None]:
        """The callback of a segment of `size` values: stage, fraction of it, loss, RMSE per channel.

        Segments may advance side by side.
        """
        share, before = size / self._values, 0.0

        def report(stage: str, fraction: float, loss: float | None, rmse: NDArray[np.float64] | None) -> None:
            nonlocal before
            self._done, before = self._done + share * (fraction - before), fraction
            if self._progress is not None:
                errors = {} if rmse is None else self._by_variable(group, rmse)
                self._progress(Progress(stage, min(self._done, 1.0), loss, errors))

        return report

    def _by_variable(self, group: Group, rmse: NDArray[np.float64]) -> dict[str, tuple[float, str]]:
        return {
            layout.name: (float(np.sqrt(np.square(rmse[part]).mean())), units_of(self._dataset, layout.name))
            for layout, part in group.parts()
        }


def units_of(dataset: xr.Dataset, name: str) -> str:
    """Units of a variable, empty where it has none."""
    return str(dataset[name].attrs.get("units", ""))
