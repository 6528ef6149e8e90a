"""Requests to the Climate Data Store, as its forms write them."""

from __future__ import annotations

from typing import Any, Literal

from nnzip.download.plan import Part

DataFormat = Literal["netcdf", "grib"]


def dataset_of(part: Part) -> str:
    """Name of the dataset that holds the part."""
    kind = "pressure" if part.selection.fields[0].levels else "single"
    return f"reanalysis-era5-{kind}-levels"


def request_of(part: Part, data_format: DataFormat = "netcdf") -> dict[str, Any]:
    """The request of a part, whose days lie in one month: the product of all its lists."""
    selection = part.selection
    first, last = selection.start, selection.end
    request: dict[str, Any] = {
        "product_type": ["reanalysis"],
        "variable": [field.variable.long_name for field in selection.fields],
        "year": [f"{first:%Y}"],
        "month": [f"{first:%m}"],
        "day": [f"{day:02d}" for day in range(first.day, last.day + 1)],
        "time": [f"{hour:02d}:00" for hour in selection.hours],
        "data_format": data_format,
        "download_format": "unarchived",
    }
    if selection.fields[0].levels:
        request["pressure_level"] = [str(level) for level in selection.fields[0].levels]
    if selection.area is not None:
        north, west, south, east = selection.area
        request["area"] = [north, west, south, east if east > west else east + 360]
    return request
