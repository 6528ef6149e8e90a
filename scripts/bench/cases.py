"""The cases of peers.json: which files and variable each one is, opened as a user would open them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.peers import PeerCase

if TYPE_CHECKING:
    import xarray as xr

_RELATIVE = 1e-5  # peers.json has six digits

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """Files (a glob below the data directory), the variable, and the dimension that peers coded level by level."""

    files: str
    variable: str
    level: str | None = None


CASES = {
    "uk_t2m": Case("era5_t2m_uk_201903_hourly.grib", "t2m"),
    "telangana_tp": Case("era5_tp_telangana_2023JJA_hourly.nc", "tp"),
    "matthew_z500": Case("z500anom_global_1deg_matthew_20161002-12_daily.nc", "anom"),
    "eastasia_u": Case("era5_wuv_pl_eastasia_*.grib", "u", "isobaricInhPa"),
    "eastasia_v": Case("era5_wuv_pl_eastasia_*.grib", "v", "isobaricInhPa"),
    "eastasia_w": Case("era5_wuv_pl_eastasia_*.grib", "w", "isobaricInhPa"),
    "global_t2m_2012": Case("era5_t2m_global_20121201T14.nc", "t2m"),
    "global_t_2023": Case("era5_t_global_20230110T23.nc", "temperature"),
    "med_sst": Case("era5_u10v10sst_med_202201_daily12z_int16.nc", "sst"),
    "med_u10": Case("era5_u10v10sst_med_202201_daily12z_int16.nc", "u10"),
    "ostia_sst": Case("ostia_sst_global_0.25_*_int16.nc", "analysed_sst"),
    "gfs_gh500": Case("gfs/gfs_gh_500hPa_*.grib", "gh"),
    "gfs_msl": Case("gfs/gfs_msl_*.grib", "msl"),
    "gfs_gh_6lev": Case("gfs/gfs_gh_*hPa_*.grib", "gh", "isobaricInhPa"),
}


def open_case(case: Case, data: Path) -> xr.Dataset:
    """The case's variable alone, lazily, with coordinates and attributes. Raises InputError for missing files."""
    import nnzip

    return nnzip.open_dataset(str(data / case.files))[[case.variable]]


def channels(dataset: xr.Dataset, case: Case) -> Values:
    """All variables of a case's dataset as [channel, time, latitude, longitude]; float64, NaN where missing."""
    parts = []
    for array in dataset.data_vars.values():
        if case.level is not None and case.level in array.dims:
            array = array.transpose(case.level, ...)
        else:
            array = array.expand_dims("channel")
        values = array.to_numpy().astype(np.float64)
        parts.append(values.reshape(values.shape[0], -1, *values.shape[-2:]))
    return np.concatenate(parts)


def latitudes(dataset: xr.Dataset) -> Values:
    """Degrees of every row."""
    dim = str(next(iter(dataset.data_vars.values())).dims[-2])
    return np.asarray(dataset[dim].to_numpy(), dtype=np.float64)


def split_levels(dataset: xr.Dataset, case: Case) -> xr.Dataset:
    """A dataset with one variable per level (`gh_500`), so that every level can have its own bound."""
    if case.level is None:
        return dataset
    array = dataset[case.variable]
    names = [f"{case.variable}_{level:g}" for level in dataset[case.level].to_numpy()]
    parts = {name: array.isel({case.level: i}, drop=True) for i, name in enumerate(names)}
    return dataset.drop_vars([case.variable, case.level]).assign(parts)


def differences(values: Values, peer: PeerCase) -> list[str]:
    """What about [channel, time, latitude, longitude] is not as the peers' case, in words; empty: all is."""
    sizes = [n for n in values.shape if n > 1]
    finite = values[np.isfinite(values)]
    found = [] if sizes == [n for n in peer.shape if n > 1] else [f"shape {list(values.shape)}, not {peer.shape}"]
    numbers = {
        "valid values": (float(finite.size), float(peer.n_valid)),
        "minimum": (float(finite.min()), peer.min),
        "maximum": (float(finite.max()), peer.max),
        "standard deviation": (float(finite.std()), peer.std),
    }
    allowed = _RELATIVE * max(abs(peer.min), abs(peer.max))
    return found + [
        f"{name} {ours:g}, not {theirs:g}" for name, (ours, theirs) in numbers.items() if abs(ours - theirs) > allowed
    ]
