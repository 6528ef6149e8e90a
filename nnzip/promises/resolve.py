"""From what users ask to promises about the variables of a dataset. Every contradiction is found here, with numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.data.conventions import curvilinear_coordinates, read_values, time_coordinate
from nnzip.data.grouping import Group, VariableLayout, check_names, lossless_reason, stack
from nnzip.data.selection import Box, inside_box
from nnzip.data.times import block_numbers
from nnzip.errors import UsageError
from nnzip.promises.constraints import Constraint, SameSide, Tolerance
from nnzip.promises.inside import Beyond, Region, Tails
from nnzip.promises.intervals import Points
from nnzip.promises.peaks import BlockPeaks
from nnzip.promises.percentiles import cell_percentile
from nnzip.request.promises import (
    BlockExtremes,
    ExceedanceSet,
    RegionTolerance,
    Request,
    TailTolerance,
    ThresholdTolerance,
)
from nnzip.request.units import convert_value, split_quantity


@dataclass(frozen=True)
class Promise:
    """A constraint on one variable, and the text that asks for it."""

    text: str
    constraint: Constraint


@dataclass(frozen=True)
class Precision:
    """The bound of a variable, and the finest tolerance that decoders and its output type can keep."""

    bound: float
    finest: float


def resolve(
    dataset: xr.Dataset, groups: Sequence[Group], requests: Sequence[Request], precision: Mapping[str, Precision]
) -> dict[str, tuple[Promise, ...]]:
    """The promises of every compressed variable.

    Raises UsageError for variables that do not exist or are not compressed, units that do not fit, tolerances that
    cannot be kept, regions outside the data, and requests that suit no variable. Percentiles read the data.
    """
    check_requests(dataset, groups, requests)
    targets = {layout.name: _Target(dataset, group, layout) for group in groups for layout in group.variables}
    found: dict[str, list[Promise]] = {name: [] for name in targets}
    for request in requests:
        obstacles = []
        for name in targets if request.variable is None else [request.variable]:
            try:
                constraint = targets[name].constraint(request, precision[name])
            except _UnsuitableError as error:
                obstacles.append(f"{name} {error}")
            else:
                found[name].append(Promise(str(replace(request, variable=name)), constraint))
        if obstacles and (request.variable is not None or len(obstacles) == len(targets)):
            raise UsageError(f"{str(request)!r} cannot be promised: {'; '.join(obstacles)}")
    for promises in found.values():  # levels of peaks look at what the others allow
        promises.sort(key=lambda promise: isinstance(promise.constraint, BlockPeaks))
    return {name: tuple(promises) for name, promises in found.items()}


def check_requests(dataset: xr.Dataset, groups: Sequence[Group], requests: Sequence[Request]) -> None:
    """Raise UsageError for what `resolve` would, as far as the data are not needed: unknown variables, wrong units."""
    targets = {layout.name: _Target(dataset, group, layout) for group in groups for layout in group.variables}
    for request in requests:
        if request.variable is not None and request.variable not in targets:
            raise UsageError(_unknown(dataset, request, list(targets)))
        if isinstance(request, ExceedanceSet | ThresholdTolerance):
            targets[request.variable].number(request.threshold)
        if isinstance(request, RegionTolerance) and isinstance(request.where, str):
            targets[request.variable or next(iter(targets))].mask(request.where)


class _UnsuitableError(Exception):
    """Why a request does not suit a variable, to follow the variable's name."""


@dataclass(frozen=True)
class _Target:
    dataset: xr.Dataset
    group: Group
    layout: VariableLayout

    @property
    def variable(self) -> xr.DataArray:
        return self.dataset[self.layout.name]

    def constraint(self, request: Request, precision: Precision) -> Constraint:
        if isinstance(request, ExceedanceSet):
            return SameSide(request.comparison, self.number(request.threshold), self.layout.dtype)
        if isinstance(request, BlockExtremes):
            return self._peaks(request)
        tolerance = request.factor * precision.bound
        units = self.variable.attrs.get("units", "")
        if tolerance <= precision.finest:
            raise UsageError(
                f"{str(request)!r} asks for {tolerance:.4g} {units} of {self.layout.name}, {request.factor:g} of its "
                f"bound {precision.bound:.4g} {units}; decoders and {self.layout.dtype} can keep "
                f"{1.01 * precision.finest:.3g} {units}: ask for a factor of at least "
                f"{1.01 * precision.finest / precision.bound:.3g}, or a larger bound"
            )
        if isinstance(request, TailTolerance):
            return Tolerance(tolerance, self._tails(request))
        if isinstance(request, RegionTolerance):
            return Tolerance(tolerance, self._region(request.where))
        return Tolerance(tolerance, Beyond(request.comparison, self.number(request.threshold)))

    def _read(self, times: slice, rows: slice = slice(None)) -> NDArray[np.floating]:
        """Values [channel, time, lat, lon] of ranges of times and rows."""
        latitude = replace(self.group.latitude, values=self.group.latitude.values[rows])
        part = replace(self.group, latitude=latitude, variables=(self.layout,))
        return stack(self.dataset.isel({self.group.dims[1]: rows}), part, times)

    def number(self, quantity: str) -> float:
        parts = split_quantity(quantity)
        if parts is None:
            raise UsageError(f"the threshold {quantity!r} of {self.layout.name} is no number with units")
        number, unit = parts
        return convert_value(number, unit, self.variable) if unit else number

    def _tails(self, request: TailTolerance) -> Tails:
        shape = (self.layout.channels, *self.group.shape[1:])
        if shape[1] < 2:
            raise _UnsuitableError("has a single time step, so its cells have no percentiles")
        lower, upper = (
            None if percentile is None else cell_percentile(self._read, shape, percentile)
            for percentile in (request.lower, request.upper)
        )
        return Tails(lower, upper)

    def _peaks(self, request: BlockExtremes) -> Constraint:
        coordinate = time_coordinate(self.dataset, self.group.time.dim)
        if coordinate is None or not self.group.time.geographic or self.group.time.dim is None:
            raise _UnsuitableError("has no dates along its time")
        blocks = block_numbers(coordinate.to_numpy(), request.block)
        return BlockPeaks(blocks, self._read, largest=request.largest, dtype=self.layout.dtype)

    def _region(self, where: Box | str) -> Region:
        return Region(self.mask(where) if isinstance(where, str) else self._box(where))

    def _box(self, box: Box) -> Callable[[slice], Points]:
        latitude, longitude = self.group.latitude, self.group.longitude
        curvilinear = curvilinear_coordinates(self.dataset, self.group.dims[1], self.group.dims[2])
        if latitude.geographic and longitude.geographic:
            found = inside_box(latitude.values, longitude.values, box)
        elif curvilinear is not None:
            first, second = (self.dataset[name].transpose(*self.group.dims[1:]).to_numpy() for name in curvilinear)
            found = inside_box(first, second, box)
        else:
            raise _UnsuitableError("has no degrees, so no region can be cut out")
        return lambda times: found

    def mask(self, name: str) -> Callable[[slice], Points]:
        if name not in self.dataset.variables:
            known = ", ".join(map(str, self.dataset.data_vars))
            raise UsageError(f"there is no mask variable {name!r} for a region: there are {known}")
        mask = self.dataset[name]
        dims = [dim for dim in self.group.dims if dim is not None and dim in mask.dims]
        if not dims or set(dims) != set(mask.dims) or mask.dtype.kind not in "fiub":
            raise UsageError(
                f"the mask {name!r} has dimensions {', '.join(map(str, mask.dims)) or 'none'} and type {mask.dtype}: "
                f"it needs numbers over some of {', '.join(dim for dim in self.group.dims if dim)}"
            )

        def points(times: slice) -> Points:
            time = self.group.dims[0]
            part = mask.isel({time: times}) if time in mask.dims else mask
            values = read_values(part.transpose(*dims), name)
            found = np.isfinite(values) & (values != 0)
            missing = tuple(i for i, dim in enumerate(self.group.dims) if dim is None or dim not in dims)
            return np.expand_dims(found, missing)

        return points


def _unknown(dataset: xr.Dataset, request: Request, compressed: Sequence[str]) -> str:
    """Why the variable of a request is not among those compressed. Raises UsageError for a name the data lack."""
    name = check_names(dataset, [str(request.variable)])[0]
    reason = lossless_reason(dataset, name)
    if reason is not None:
        return f"{name} is kept losslessly ({reason}): it is exact without {str(request)!r}; leave that out"
    return f"{str(request)!r} is about {name}, which is not among the variables compressed, {', '.join(compressed)}"
