"""Match the variables, grids and coordinates of two datasets, so that values can be compared one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.data.grids import find_grid
from nnzip.errors import InputError, UsageError

_STEP_TOLERANCE = 1e-3  # of the smallest step: float32 against float64 coordinates pass, another grid does not
_TIME_TOLERANCE = np.timedelta64(1, "s")


def label(dataset: xr.Dataset, role: str) -> str:
    """The dataset's name in messages: its role and its file, if it has one."""
    source = dataset.encoding.get("source")
    return f"{role} ({source})" if source else role


def comparable_variables(original: xr.Dataset, decoded: xr.Dataset, variables: Sequence[str] | None) -> list[str]:
    """Names of the floating variables with a horizontal grid to compare, in the original's order.

    variables: None for all that both hold. Raises UsageError for a name the original lacks, InputError where the
    decoded dataset lacks one that was asked for or none is left.
    """
    eligible = [str(name) for name, array in original.data_vars.items() if is_comparable(array)]
    if variables is not None:
        unknown = [name for name in variables if name not in eligible]
        if unknown:
            raise UsageError(
                f"{label(original, 'the original')} has no gridded floating-point variable {', '.join(unknown)}; "
                f"it has {', '.join(eligible) or 'none'}"
            )
    wanted = eligible if variables is None else [name for name in eligible if name in set(variables)]
    missing = [name for name in wanted if name not in decoded]
    names = [name for name in wanted if name in decoded]
    if not names or (variables is not None and missing):
        raise InputError(
            f"{label(decoded, 'the decoded dataset')} lacks {', '.join(missing) or 'every variable'} of "
            f"{label(original, 'the original')}; it has {', '.join(map(str, decoded.data_vars)) or 'no variable'}"
        )
    return names


def is_comparable(array: xr.DataArray) -> bool:
    """True for floating-point variables with a horizontal grid."""
    return array.dtype.kind == "f" and array.size > 0 and find_grid(array) is not None


def align_decoded(original: xr.Dataset, decoded: xr.Dataset, names: Sequence[str]) -> xr.Dataset:
    """The decoded variables with the original's dimension order and exactly its coordinates; still lazy.

    Raises InputError, naming both datasets, when dimensions, sizes or coordinate values differ by more than rounding.
    """
    arrays = {}
    for name in names:
        first, second = original[name], decoded[name]
        if set(first.dims) != set(second.dims) or dict(first.sizes) != dict(second.sizes):
            raise InputError(
                f"variable {name!r} is {_shape(first)} in {label(original, 'the original')} but {_shape(second)} in "
                f"{label(decoded, 'the decoded dataset')}; compare data on the same grid, times and levels"
            )
        for dim in map(str, first.dims):
            _check_coordinate(original, decoded, dim)
        arrays[name] = second.transpose(*first.dims).reset_coords(drop=True).assign_coords(first.coords)
    return xr.Dataset(arrays)


def _shape(array: xr.DataArray) -> str:
    return " x ".join(f"{dim} {size}" for dim, size in array.sizes.items())


def _check_coordinate(original: xr.Dataset, decoded: xr.Dataset, dim: str) -> None:
    if dim not in original.coords or dim not in decoded.coords:
        return
    first, second = original[dim].values, decoded[dim].values
    place = _first_difference(first, second)
    if place is not None:
        raise InputError(
            f"coordinate {dim!r} differs: its value number {place} is {first[place]} in "
            f"{label(original, 'the original')} but {second[place]} in {label(decoded, 'the decoded dataset')}; "
            "compare data on the same grid, times and levels"
        )


def _first_difference(first: NDArray[Any], second: NDArray[Any]) -> int | None:
    """Number of the first value where two coordinates of one size differ, None when they agree."""
    if first.dtype.kind == "M" and second.dtype.kind == "M":
        same: NDArray[np.bool_] = np.abs(first - second) <= _TIME_TOLERANCE
    elif first.dtype.kind in "fiu" and second.dtype.kind in "fiu":
        a, b = first.astype(np.float64), second.astype(np.float64)
        step = float(np.min(np.abs(np.diff(a)))) if a.size > 1 else 0.0
        same = np.abs(a - b) <= np.maximum(_STEP_TOLERANCE * step, 1e-6 * np.abs(a))
    else:
        same = np.asarray(first == second)
    differing = np.nonzero(~same)[0]
    return int(differing[0]) if differing.size else None
