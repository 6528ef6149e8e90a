"""How decoded variables are stored: as narrow as their error bounds allow."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from nnzip.container.manifest import AchievedErrors
from nnzip.errors import NnzipWarning
from nnzip.read import Archive
from nnzip.tile.header import TileHeader
from nnzip.transform.lattice import ONE_LATTICE, read_lattice

_LARGEST = 32766  # of the packed integers; -32768 is missing
_MISSING = -32768
_SAME = 1e-6  # of a step: origins

Encodings = dict[str, dict[str, Any]]


def packings(archive: Archive, dataset: xr.Dataset, *, packed: bool) -> tuple[Encodings, dict[str, float]]:
    """Encodings (dtype, scale_factor, ...) of the variables of `dataset` that need not be as wide as they were decoded,
    and what those add to the largest errors.

    Values on a lattice that 16 bits hold, as those of packed sources may be, are packed without any loss. Otherwise
    rounding may add to the largest error only what it leaves of the bound: float64 becomes float32 where that suffices,
    with `packed` 16-bit integers; these too where the archive promises no bound.
    """
    exact = any("nnzip_max_error" in variable.attrs for variable in dataset.data_vars.values())  # not between points
    found, added = Encodings(), dict[str, float]()
    for number, (name, entry) in enumerate(archive.manifest.variables.items()):
        if name not in dataset.data_vars or entry.network:  # whose range no tile says
            continue
        headers = list(archive.tiles.headers(number))
        errors = archive.manifest.errors.get(name)
        slack = np.inf if entry.bound is None or errors is None else entry.bound - errors.max_error
        low, high = _limits(headers)
        lattice = _lattice_packing(headers, low, high) if exact else None
        single = np.dtype(np.float32)
        if lattice is not None:
            found[name] = lattice
        elif packed and high > low and (high - low) / (2 * _LARGEST) <= 2 * slack * (1 - 1e-6):
            found[name] = _packing((high - low) / (2 * _LARGEST), (low + high) / 2)
            added[name] = (high - low) / (4 * _LARGEST)
        else:
            if packed:
                warnings.warn(
                    _refusal(name, (high - low) / (4 * _LARGEST), entry.bound, errors), NnzipWarning, stacklevel=2
                )
            largest = max(-low, high, 0)
            fits = largest < np.finfo(single).max / 2  # the largest numbers have no next one
            rounding = float(np.spacing(single.type(largest))) / 2 if fits else np.inf
            if np.dtype(entry.dtype) != single and fits and rounding <= slack:
                found[name], added[name] = {"dtype": single}, rounding
    return found, added


def with_rounding(variable: xr.DataArray, added: float) -> xr.DataArray:
    """The variable with what its encoding adds to the errors that it claims, within its bound."""
    attrs = dict(variable.attrs)
    if "nnzip_max_error" not in attrs:
        return variable
    largest = float(f"{(attrs['nnzip_max_error'] + added) * (1 + 5e-4):.4g}")  # rounded up
    attrs["nnzip_max_error"] = min(largest, attrs.get("nnzip_bound", np.inf))
    attrs["nnzip_rmse"] = float(f"{np.hypot(attrs['nnzip_rmse'], added / np.sqrt(3)):.4g}")
    return variable.assign_attrs(attrs)


def _refusal(name: str, added: float, bound: float | None, errors: AchievedErrors | None) -> str:
    reached = 0.0 if errors is None else errors.max_error
    return (
        f"{name} is not packed: 16 bits would add up to {added:.3g} to its largest error {reached:.4g}, beyond its "
        f"bound {bound or 0:g}; compress with a bound smaller by that much to pack it"
    )


def _limits(headers: Sequence[TileHeader]) -> tuple[float, float]:
    """Smallest and largest value that the tiles can decode to."""
    limits = np.array([header.smallest_largest for header in headers])
    return float(limits[:, 0].min()), float(limits[:, 1].max())


def _lattice_packing(headers: Sequence[TileHeader], low: float, high: float) -> dict[str, Any] | None:
    """The packing that holds the values of tiles on one lattice exactly; None where they are on none, or it is wide."""
    if not all(len(header.lattice) == ONE_LATTICE for header in headers):
        return None
    lattices = [read_lattice(header.lattice, 1, 1) for header in headers]
    steps, origins = (
        np.array([getattr(lattice, part).item() for lattice in lattices]) for part in ("steps", "origins")
    )
    step, away = steps[0], np.abs((origins - origins[0]) / steps[0] % 1)
    if (steps != step).any() or not (np.minimum(away, 1 - away) < _SAME).all() or high - low > 2 * _LARGEST * step:
        return None
    return _packing(step, origins[0] + step * round(((low + high) / 2 - origins[0]) / step))


def _packing(step: float, middle: float) -> dict[str, Any]:
    return {
        "dtype": np.int16,
        "scale_factor": float(step),
        "add_offset": float(middle),
        "_FillValue": np.int16(_MISSING),
    }
