"""Requests to the Climate Data Store, as its forms write them."""

from __future__ import annotations

from typing import Any, Literal

from nnzip.download.datasets import LAND, POINTS
from nnzip.download.plan import Part

DataFormat = Literal["netcdf", "grib"]


def dataset_of(part: Part) -> str:
    """Name of the collection that holds the part."""
    if part.is_series:
        return POINTS
    dataset = part.selection.dataset
    return dataset.pressure if part.selection.fields[0].levels else dataset.surface


def request_of(part: Part, data_format: DataFormat = "netcdf") -> dict[str, Any]:
    """The request of a part, whose days lie in one month (or months in one year): the product of all its lists."""
    selection = part.selection
    dataset, times = selection.dataset, selection.times.astype("datetime64[h]").tolist()
    is_land = dataset.name == LAND.name
    names = [field.variable.land if is_land else field.variable.cds_name for field in selection.fields]
    if part.is_series:
        latitude, longitude = selection.point
        return {
            "variable": names,
            "location": {"longitude": longitude, "latitude": latitude},
            "date": [f"{selection.start}/{selection.end}"],
            "data_format": "netcdf",
        }
    request: dict[str, Any] = {"variable": names, "year": [f"{times[0]:%Y}"]}
    for key, text in dataset.further:
        request[key] = [text] if key == "product_type" else text
    request["month"] = sorted({f"{time:%m}" for time in times})
    if dataset.step != "month":
        request["day"] = sorted({f"{time:%d}" for time in times})
    if dataset.step != "day":
        request["time"] = sorted({f"{time:%H:%M}" for time in times})
        request |= {"data_format": data_format, "download_format": "unarchived"}
    if selection.fields[0].levels:
        request["pressure_level"] = [str(level) for level in selection.fields[0].levels]
    if selection.area is not None:
        north, west, south, east = selection.area
        request["area"] = [north, west, south, east if east >= west else east + 360]
    if selection.grid != dataset.grid or any(field.variable.stream == "wave" for field in selection.fields):
        request["grid"] = [selection.grid, selection.grid]  # waves would come on a grid of 0.5 degrees
    return request
