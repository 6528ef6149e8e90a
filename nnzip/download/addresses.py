"""Where the open mirrors are; NNZIP_ARCO_URL, NNZIP_WB2_URL and NNZIP_NCAR_URL replace them by institutional copies."""

from __future__ import annotations

import os

from nnzip.download.http import https_address
from nnzip.download.selection import Selection
from nnzip.download.variables import Source

TITLES: dict[Source, str] = {
    "cds": "the Climate Data Store", "arco": "ARCO-ERA5", "wb2": "WeatherBench2", "ncar": "NCAR",
}  # fmt: skip
_WB2 = "gs://weatherbench2/datasets/era5/1959-2023_01_10"
_WB2_COARSE = 1.5  # degrees; averages over cells, not values at points
_ADDRESSES: dict[Source, str] = {
    "arco": "gs://gcp-public-data-arco-era5/ar/full_37-1h-0p25deg-chunk-1.zarr-v3",
    "wb2": f"{_WB2}-wb13-6h-1440x721_with_derived_variables.zarr",
    "ncar": "https://nsf-ncar-era5.s3.amazonaws.com",
}


def address(source: Source, selection: Selection) -> str:
    """Where a mirror holds a selection: https, or gs and s3 for public buckets."""
    kept = _ADDRESSES[source]
    if is_averaged(source, selection):
        kept = f"{_WB2}-6h-240x121_equiangular_with_poles_conservative.zarr"
    return https_address(os.environ.get(f"NNZIP_{source.upper()}_URL", kept).rstrip("/"))


def is_averaged(source: Source, selection: Selection) -> bool:
    """True when the values are averages over the cells of a coarser grid."""
    return source == "wb2" and selection.grid == _WB2_COARSE
