"""Where the open mirrors are; NNZIP_ARCO_URL, NNZIP_WB2_URL, NNZIP_NCAR_URL and NNZIP_ECMWF_URL
replace them by institutional copies."""

from __future__ import annotations

import os

from nnzip.download.http import https_address
from nnzip.download.selection import Selection
from nnzip.download.variables import Source

TITLES: dict[Source, str] = {
    "cds": "the Climate Data Store", "arco": "ARCO-ERA5", "wb2": "WeatherBench2", "ncar": "NCAR",
    "ecmwf": "ECMWF's Zarr store",
}  # fmt: skip
_WB2 = "gs://weatherbench2/datasets/era5/1959-2023_01_10"
_LOCAL_POINTS = 21 * 21  # 5 degrees each way
_WB2_COARSE = 1.5  # degrees; averages over cells, not values at points
_ADDRESSES: dict[Source, str] = {
    "arco": "gs://gcp-public-data-arco-era5/ar/full_37-1h-0p25deg-chunk-1.zarr-v3",
    "wb2": f"{_WB2}-wb13-6h-1440x721_with_derived_variables.zarr",
    "ncar": "https://nsf-ncar-era5.s3.amazonaws.com",
    "ecmwf": "https://arco.datastores.ecmwf.int",
}


def address(source: Source, selection: Selection) -> str:
    """Where a mirror holds a selection: https, or gs and s3 for public buckets."""
    kept = _ADDRESSES[source]
    if is_averaged(source, selection):
        kept = f"{_WB2}-6h-240x121_equiangular_with_poles_conservative.zarr"
    found = https_address(os.environ.get(f"NNZIP_{source.upper()}_URL", kept).rstrip("/"))
    return f"{found}/{_ecmwf_store(selection)}" if source == "ecmwf" else found


def is_averaged(source: Source, selection: Selection) -> bool:
    """True when the values are averages over the cells of a coarser grid."""
    return source == "wb2" and selection.grid == _WB2_COARSE


def is_local(selection: Selection) -> bool:
    """True for so small an area that ECMWF's stores are read along time, in chunks of 4 x 8 points."""
    return selection.latitudes.size * selection.longitudes.size <= _LOCAL_POINTS


def _ecmwf_store(selection: Selection) -> str:
    """Path of the store that holds the first field of a selection: waves lie apart."""
    is_wave = selection.fields[0].variable.stream == "wave"
    number, kind = ("003", "wav") if is_wave else ("002", "sfc")
    way = "geo" if is_local(selection) else "time"
    return f"cadl-arco-{way}-{number}/arco/reanalysis_era5_single_levels/{kind}/{way}Chunked.zarr"
