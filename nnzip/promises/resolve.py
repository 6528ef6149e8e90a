"""From what users ask for to goals for the variables of a dataset. Every contradiction is found here, with numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import xarray as xr

from nnzip.data.area import Area
from nnzip.data.conventions import curvilinear_coordinates, read_values, time_coordinate
from nnzip.data.grouping import Group, VariableLayout, check_names, lossless_reason, read_box
from nnzip.data.selection import inside_box
from nnzip.data.times import block_numbers
from nnzip.errors import UsageError
from nnzip.plan import goals
from nnzip.plan.cutting import Box, Shape, check_tile
from nnzip.plan.goals import Bound, Survey
from nnzip.promises.constraints import Constraint, SameSide, Tolerance
from nnzip.promises.goals import Goals, Promised
from nnzip.promises.inside import Beyond, Region, Tails
from nnzip.promises.intervals import Points
from nnzip.promises.peaks import BlockPeaks
from nnzip.promises.percentiles import Read, cell_percentile
from nnzip.request.bounds import require_known
from nnzip.request.options import Options
from nnzip.request.promises import (
    BlockExtremes,
    ExceedanceSet,
    Promise,
    RegionTolerance,
    TailTolerance,
    ThresholdTolerance,
)
from nnzip.request.units import Label, threshold


def check(dataset: xr.Dataset, groups: Sequence[Group], options: Options) -> None:
    """Raise UsageError for what does not fit the data, as far as their values are not needed: unknown variables and
    dimensions, wrong units."""
    subjects = _subjects(dataset, groups)
    for what, wanted in (("bound", options.target.max_error), ("RMSE", options.target.rmse)):
        require_known(wanted or {}, subjects, what)
    check_tile(options.tile, [dim for subject in subjects.values() for dim in subject.layout.dims])
    for promise in options.promises:
        if promise.variable is not None and promise.variable not in subjects:
            raise UsageError(_unknown(dataset, promise, list(subjects)))
        if isinstance(promise, ExceedanceSet | ThresholdTolerance):
            threshold(promise.threshold, subjects[promise.variable].label)
        if isinstance(promise, RegionTolerance) and isinstance(promise.where, str):
            subjects[promise.variable or next(iter(subjects))].mask(promise.where)


def resolve(dataset: xr.Dataset, groups: Sequence[Group], surveys: Mapping[str, Survey], options: Options) -> Goals:
    """The goals of every compressed variable, of which `surveys` holds one.

    Raises UsageError for variables that do not exist or are not compressed, units that do not fit, bounds and
    tolerances that cannot be kept, regions outside the data, and promises that suit no variable. Percentiles read the
    data.
    """
    check(dataset, groups, options)
    subjects, target = _subjects(dataset, groups), options.target
    labels = [subject.label for subject in subjects.values()]
    if target.limits_size:
        tails = [promise for promise in options.promises if isinstance(promise, TailTolerance)]
        return Goals(target, tails={name: tuple(t for t in tails if t.variable in (None, name)) for name in subjects})
    if target.rmse is not None:
        return Goals(target, rmse=goals.rmse_of(labels, surveys, target.rmse))
    if target.psnr is not None:
        return Goals(target, rmse=goals.rmse_of_psnr(labels, surveys, target.psnr))
    if target.max_error is None:
        bounds = {name: goals.exact(surveys[name]) for name in subjects}
    else:
        bounds = goals.bounds(labels, surveys, target.max_error)
    kept = _constraints(subjects, options.promises, bounds)
    return Goals(
        target,
        {
            name: Promised(bound.number, bound.guards, subjects[name].layout.dtype, kept[name])
            for name, bound in bounds.items()
        },
    )


def constraints_of(
    dataset: xr.Dataset, group: Group, layout: VariableLayout, promises: Iterable[Promise], bound: float
) -> dict[str, Constraint]:
    """The constraints on one variable that promises about it mean under a bound, by their text, to check an archive.

    Raises UsageError where the dataset lacks a mask, dates or degrees that a promise refers to.
    """
    subjects = {layout.name: _Subject(dataset, group, layout)}
    return _constraints(subjects, promises, {layout.name: Bound(bound, ())})[layout.name]


def _constraints(
    subjects: Mapping[str, _Subject], promises: Iterable[Promise], bounds: Mapping[str, Bound]
) -> dict[str, dict[str, Constraint]]:
    found: dict[str, dict[str, Constraint]] = {name: {} for name in subjects}
    for promise in promises:
        obstacles = []
        for name in subjects if promise.variable is None else [promise.variable]:
            try:
                constraint = subjects[name].constraint(promise, bounds[name])
            except _UnsuitableError as error:
                obstacles.append(f"{name} {error}")
            else:
                found[name][str(replace(promise, variable=name))] = constraint
        if obstacles and (promise.variable is not None or len(obstacles) == len(subjects)):
            raise UsageError(f"{str(promise)!r} cannot be promised: {'; '.join(obstacles)}")
    return {  # levels of peaks look at what the others allow
        name: dict(sorted(some.items(), key=lambda item: isinstance(item[1], BlockPeaks)))
        for name, some in found.items()
    }


class _UnsuitableError(Exception):
    """Why a promise does not suit a variable, to follow the variable's name."""


def label_of(variable: xr.DataArray) -> Label:
    """A variable's name, units and other names."""
    others = (str(variable.attrs.get(key, "")) for key in ("standard_name", "GRIB_shortName"))
    return Label(str(variable.name), str(variable.attrs.get("units", "")), frozenset(others))


def _subjects(dataset: xr.Dataset, groups: Sequence[Group]) -> dict[str, _Subject]:
    return {layout.name: _Subject(dataset, group, layout) for group in groups for layout in group.variables}


@dataclass(frozen=True)
class _Subject:
    """A variable that promises are about."""

    dataset: xr.Dataset
    group: Group
    layout: VariableLayout

    @property
    def label(self) -> Label:
        return label_of(self.dataset[self.layout.name])

    @property
    def shape(self) -> Shape:
        return (self.layout.channels, *self.group.shape[1:])

    @property
    def read(self) -> Read:
        return partial(read_box, self.dataset, self.group, self.layout)

    def constraint(self, promise: Promise, bound: Bound) -> Constraint:
        label, dtype = self.label, self.layout.dtype
        if isinstance(promise, ExceedanceSet):
            return SameSide(promise.comparison, threshold(promise.threshold, label), dtype)
        if isinstance(promise, BlockExtremes):
            return self._peaks(promise)
        tolerance = promise.factor * bound.number
        if tolerance <= bound.finest and not bound.exact:
            raise UsageError(
                f"{str(promise)!r} asks for {tolerance:.4g} {label.units} of {label.name}, {promise.factor:g} of its "
                f"bound {bound.number:.4g} {label.units}; decoders and {dtype} can keep {1.01 * bound.finest:.3g} "
                f"{label.units}: ask for a factor of at least {1.01 * bound.finest / bound.number:.3g}, or a larger "
                "bound"
            )
        if isinstance(promise, TailTolerance):
            return Tolerance(tolerance, self._tails(promise))
        if isinstance(promise, RegionTolerance):
            return Tolerance(tolerance, self._region(promise.where))
        return Tolerance(tolerance, Beyond(promise.comparison, threshold(promise.threshold, label)))

    def _tails(self, promise: TailTolerance) -> Tails:
        if self.shape[1] < 2:
            raise _UnsuitableError("has a single time step, so its cells have no percentiles")
        lower, upper = (
            None if percentile is None else cell_percentile(self.read, self.shape, percentile)
            for percentile in (promise.lower, promise.upper)
        )
        return Tails(lower, upper)

    def _peaks(self, promise: BlockExtremes) -> BlockPeaks:
        coordinate = time_coordinate(self.dataset, self.group.time.dim)
        if coordinate is None or not self.group.time.geographic or self.group.time.dim is None:
            raise _UnsuitableError("has no dates along its time")
        numbers = block_numbers(coordinate.to_numpy(), promise.block)
        return BlockPeaks(numbers, self.read, self.shape, promise.largest, self.layout.dtype)

    def _region(self, where: Area | str) -> Region:
        return Region(self.mask(where) if isinstance(where, str) else self._area(where))

    def _area(self, area: Area) -> Callable[[Box], Points]:
        latitude, longitude = self.group.latitude, self.group.longitude
        curvilinear = curvilinear_coordinates(self.dataset, self.group.dims[1], self.group.dims[2])
        if latitude.geographic and longitude.geographic:
            found = inside_box(latitude.values, longitude.values, area)
        elif curvilinear is not None:
            first, second = (self.dataset[name].transpose(*self.group.dims[1:]).to_numpy() for name in curvilinear)
            found = inside_box(first, second, area)
        else:
            raise _UnsuitableError("has no degrees, so no region can be cut out")
        return lambda box: found[box.slices[2:]].copy()

    def mask(self, name: str) -> Callable[[Box], Points]:
        """Where a mask variable is neither zero nor missing. Raises UsageError for one that is no mask."""
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

        def points(box: Box) -> Points:
            ranges = dict(zip(self.group.dims, box.slices[1:], strict=True))
            values = read_values(mask.transpose(*dims).isel({dim: ranges[dim] for dim in dims}), name)
            missing = tuple(i for i, dim in enumerate(self.group.dims) if dim is None or dim not in dims)
            return np.expand_dims(np.isfinite(values) & (values != 0), missing)

        return points


def _unknown(dataset: xr.Dataset, promise: Promise, compressed: Sequence[str]) -> str:
    """Why the variable of a promise is not among those compressed. Raises UsageError for a name the data lack."""
    name = check_names(dataset, [str(promise.variable)])[0]
    reason = lossless_reason(dataset, name)
    if reason is not None:
        return f"{name} is kept losslessly ({reason}): it is exact without {str(promise)!r}; leave that out"
    return f"{str(promise)!r} is about {name}, which is not among the variables compressed, {', '.join(compressed)}"
