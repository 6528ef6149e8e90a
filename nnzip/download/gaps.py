"""Times at which a variable has no value although ERA5 has one there: chunks that a mirror lacks, files cut short."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.data.conventions import format_value
from nnzip.download.selection import Selection
from nnzip.download.variables import Variable
from nnzip.errors import InputError

GAPS = "nnzip_gaps"
"""Global attribute of files with gaps: JSON, the times by variable."""
_FIRST_FORECAST = np.datetime64("1940-01-01T07", "ns")  # the forecast that begins at 06 UTC is ERA5's first
_SHOWN = 3
_BLOCK_VALUES = 1 << 24  # read at a time


@dataclass(frozen=True)
class Gap:
    """Times (ascending datetime64[ns]) without a value of a variable, or of one level of it ("z@500")."""

    name: str
    times: NDArray[np.datetime64]

    def describe(self, total: int) -> str:
        """ "tp has no value at 5 of 744 times: 2016-10-03T00:00 to 2016-10-03T04:00"."""
        spans = np.split(self.times, np.flatnonzero(np.diff(self.times) > np.timedelta64(1, "D")) + 1)
        texts = [
            format_value(span[0]) if span.size == 1 else f"{format_value(span[0])} to {format_value(span[-1])}"
            for span in spans[:_SHOWN]
        ]
        more = f" and {len(spans) - _SHOWN} further spans" if len(spans) > _SHOWN else ""
        return f"{self.name} has no value at {self.times.size} of {total} times: {', '.join(texts)}{more}"


def has_begun(variable: Variable, selection: Selection) -> NDArray[np.bool_]:
    """Times of a selection that ERA5 has: hourly sums begin with the first forecast, at 07 UTC of 1940-01-01."""
    times = selection.times
    hourly = variable.past_hour and selection.dataset.step == "hour"
    return times >= _FIRST_FORECAST if hourly else np.full(times.shape, True)


def find_gaps(dataset: xr.Dataset, selection: Selection) -> list[Gap]:
    """Gaps in a dataset of the common layout; it is read some times at a time.

    A variable that is missing over land may be so in a whole area at all times, one that is often missing at any.
    """
    found = []
    times = dataset["valid_time"].to_numpy() if "valid_time" in dataset.dims else None
    for field in selection.fields:
        array = dataset[field.variable.short_name]
        many = "pressure_level" in array.dims
        for level in range(array.sizes["pressure_level"]) if many else [None]:
            layer = array if level is None else array.isel(pressure_level=level)
            name = str(field) if level is None else f"{array.name}@{field.levels[level]}"
            empty = _empty(layer)
            if times is None:
                empty_times = np.array(["NaT"], "datetime64[ns]") if empty.any() else np.array([], "datetime64[ns]")
            else:
                empty &= has_begun(field.variable, selection)
                empty_times = times[empty]
            if empty_times.size and not _by_nature(field.variable, selection, empty):
                found.append(Gap(name, empty_times))
    return found


def refuse_gaps(gaps: Sequence[Gap], total: int, where: str) -> None:
    """Raise InputError naming variables and times when there are gaps."""
    if gaps:
        raise InputError(
            f"{where}: {'; '.join(gap.describe(total) for gap in gaps)}. Take another --source, or "
            "--allow-gaps to keep the rest"
        )


def gaps_text(gaps: Sequence[Gap]) -> str:
    """The gaps as JSON: times by variable."""
    return json.dumps({gap.name: [format_value(time) for time in gap.times] for gap in gaps})


def blocks_of(array: xr.DataArray) -> Iterator[NDArray[Any]]:
    """The values of an array, some times at a time, with time as first axis."""
    if "valid_time" not in array.dims:
        yield array.to_numpy()[None]
        return
    times = array.sizes["valid_time"]
    step = max(1, _BLOCK_VALUES * times // max(array.size, 1))
    axis = array.dims.index("valid_time")
    for start in range(0, times, step):
        yield np.moveaxis(array.isel(valid_time=slice(start, start + step)).to_numpy(), axis, 0)


def _empty(array: xr.DataArray) -> NDArray[np.bool_]:
    """Which times have no finite value."""
    flags = [np.isfinite(block).reshape(block.shape[0], -1).any(axis=1) for block in blocks_of(array)]
    return ~np.concatenate(flags)


def _by_nature(variable: Variable, selection: Selection, empty: NDArray[np.bool_]) -> bool:
    masked = variable.missing == "land" or selection.dataset.masked
    return variable.missing == "often" or (masked and bool(empty.all()))
