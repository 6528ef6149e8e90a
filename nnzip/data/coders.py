"""xarray's coders of times and durations, also with xarray before 2025.4, whose times are all in nanoseconds."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import xarray as xr
from xarray.conventions import decode_cf_variable as _decode

__all__ = ["DURATIONS", "CFDatetimeCoder", "CFTimedeltaCoder", "decode_cf_variable", "decode_durations"]

_OLD = tuple(map(int, xr.__version__.split(".")[:2])) < (2025, 4)

if TYPE_CHECKING or not _OLD:
    from xarray.coders import CFDatetimeCoder, CFTimedeltaCoder
else:

    @dataclass
    class CFDatetimeCoder:
        """What is asked for; `time_unit` cannot be chosen."""

        use_cftime: bool | None = None
        time_unit: str = "ns"

    @dataclass
    class CFTimedeltaCoder:
        """What is asked for."""

        decode_via_units: bool = True


# Only durations marked as such become timedelta64: otherwise a field in "seconds" (wave period) would.
DURATIONS: Any = False if _OLD else CFTimedeltaCoder(decode_via_units=False)
"""`decode_timedelta` of xarray's openers; `decode_durations` does the rest."""


def decode_cf_variable(name: str, variable: xr.Variable, decode_times: Any, decode_timedelta: Any) -> xr.Variable:
    """xarray's function of this name; the last two are booleans or coders."""
    if not _OLD:
        return _decode(name, variable, decode_times=decode_times, decode_timedelta=decode_timedelta)
    calendar = decode_times.use_cftime if isinstance(decode_times, CFDatetimeCoder) else None
    durations = bool(decode_timedelta)
    attrs = {key: value for key, value in variable.attrs.items() if not (durations and key == "dtype")}
    variable = xr.Variable(variable.dims, variable.values, attrs, variable.encoding)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*use_cftime", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message="(?s).*timedelta", category=FutureWarning)
        return _decode(name, variable, decode_times=bool(decode_times), use_cftime=calendar, decode_timedelta=durations)


def decode_durations(dataset: xr.Dataset) -> xr.Dataset:
    """A dataset opened with DURATIONS, with the durations decoded that its xarray left as numbers."""
    marked = [
        str(name)
        for name, variable in dataset.variables.items()
        if _OLD and str(variable.attrs.get("dtype")).startswith("timedelta64") and variable.dtype.kind != "m"
    ]
    if not marked:
        return dataset
    decoded = dataset.assign(
        {name: decode_cf_variable(name, dataset.variables[name], False, CFTimedeltaCoder()) for name in marked}
    )
    decoded.set_close(dataset.close)
    return decoded
