"""Times of every CF calendar as seconds, and as sortable digits for selection by text.

datetime64 and cftime objects (noleap, 360_day, ...) both occur; cftime is imported only where such objects are met.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.errors import UsageError

_TEXT = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d)(?::?(\d\d)(?::?(\d\d))?)?)?)?)?Z?")

BLOCKS = {"day": 6, "month": 8, "year": 10}
"""Calendar blocks, and how many digits of YYYYMMDDhhmmss are below them."""


def is_time_valued(variable: xr.Variable) -> bool:
    """True when the values are points in time: datetime64 or cftime objects (durations are not)."""
    if variable.dtype.kind == "M":
        return True
    return variable.dtype.kind == "O" and variable.size > 0 and hasattr(variable.values.flat[0], "calendar")


def seconds_since_epoch(times: NDArray[Any]) -> NDArray[np.float64]:
    """Seconds since 1970-01-01 of datetime64 or cftime `times` (same shape, float64; NaT becomes NaN).

    Days of other calendars keep their place in the year and their hour: a date of the proleptic Gregorian calendar
    as it is written, day d of a 360-day year the real day floor(d * days / 360), so that the season and the local hour
    of the sun stay right.
    """
    if times.dtype.kind == "M":
        seconds = (times - np.datetime64(0, "s")) / np.timedelta64(1, "s")
        return np.asarray(seconds, dtype=np.float64)
    return np.array([_cftime_seconds(t) for t in times.ravel()], dtype=np.float64).reshape(times.shape)


def time_text(wanted: object) -> str:
    """What `time_indices` takes, from that, from a date (datetime64, datetime, date, cftime) or from a slice of both.

    Raises TypeError for other types and UsageError for a slice with a step.
    """
    if isinstance(wanted, slice):
        if wanted.step is not None:
            raise UsageError(f"a time slice takes no step, but has {wanted.step!r}: take every n-th time afterwards")
        return "/".join("" if end is None else time_text(end) for end in (wanted.start, wanted.stop))
    if isinstance(wanted, str):
        return wanted
    if isinstance(wanted, np.datetime64):
        return str(wanted.astype("datetime64[s]") if np.datetime_data(wanted)[0] in ("ms", "us", "ns") else wanted)
    if isinstance(wanted, datetime) and wanted.tzinfo is not None:
        wanted = wanted.astimezone(UTC).replace(tzinfo=None)
    if hasattr(wanted, "isoformat"):
        return str(wanted.isoformat()).partition(".")[0]
    raise TypeError(
        f"the time {wanted!r} is a {type(wanted).__name__}: give text as '2016-10-05' or '2016-10-02/2016-10-08', a "
        "date, or a slice of them"
    )


def time_indices(times: NDArray[Any], text: str) -> slice | NDArray[np.intp]:
    """Positions of the 1-D `times` (datetime64, cftime, or float seconds since 1970-01-01) that `text` names.

    ``2016-10-05`` is the whole day, ``2016-10`` the month, ``2016-10-05T06`` the hour; ``A/B`` runs from the beginning
    of A to the end of B, and an empty A or B is open. Returns a slice where the positions are contiguous.
    Raises UsageError when the text is no time, or nothing lies inside (naming the available range).
    """
    low, high = _digit_range(text)
    digits = _sortable_digits(times)
    chosen = np.flatnonzero((digits >= low) & (digits <= high))
    if chosen.size == 0:
        raise UsageError(
            f"no time of the data lies in {text!r}: they run from {_from_digits(digits.min())} to "
            f"{_from_digits(digits.max())} ({digits.size} in all)"
        )
    if chosen[-1] - chosen[0] + 1 == chosen.size:
        return slice(int(chosen[0]), int(chosen[-1]) + 1)
    return chosen


def block_numbers(times: NDArray[Any], block: str) -> NDArray[np.int64]:
    """Which day, month or year (`block`) of its own calendar each of the 1-D `times` lies in, in UTC.

    Equal numbers mean the same block; later blocks have larger numbers. `times` as for `time_indices`.
    """
    numbers: NDArray[np.int64] = _sortable_digits(times) // 10 ** BLOCKS[block]
    return numbers


def _cftime_seconds(time: Any) -> float:
    start = np.datetime64(f"{time.year:04d}-01-01", "D")
    days = int((np.datetime64(f"{time.year + 1:04d}-01-01", "D") - start).astype(int))
    if time.calendar == "360_day":
        day = start + np.timedelta64((time.dayofyr - 1) * days // 360, "D")
    elif time.calendar in ("all_leap", "366_day"):
        day = start + np.timedelta64((time.dayofyr - 1) * days // 366, "D")
    elif time.calendar == "julian":
        day = start + np.timedelta64(time.dayofyr - 1, "D")
    else:
        day = np.datetime64(f"{time.year:04d}-{time.month:02d}-{time.day:02d}", "D")
    clock = time.hour * 3600 + time.minute * 60 + time.second + time.microsecond * 1e-6
    return float(day.astype("datetime64[s]").astype(np.int64) + clock)


def _sortable_digits(times: NDArray[Any]) -> NDArray[np.int64]:
    """YYYYMMDDhhmmss of each time, as an integer."""
    if times.dtype.kind == "O":
        return np.array(
            [int(f"{t.year:04d}{t.month:02d}{t.day:02d}{t.hour:02d}{t.minute:02d}{t.second:02d}") for t in times],
            dtype=np.int64,
        )
    if times.dtype.kind != "M":
        times = np.rint(times * 1e3).astype("datetime64[ms]")
    text = np.datetime_as_string(times.astype("datetime64[s]"))
    return np.array([int(re.sub(r"\D", "", t)) for t in text], dtype=np.int64)


def _digit_range(text: str) -> tuple[int, int]:
    first, separator, last = text.strip().partition("/")
    if not separator:
        last = first
    if not (first or last):
        raise UsageError(f"{text!r} names no time: write 2016-10-05, 2016-10-05T06 or 2016-10-02/2016-10-08")
    low = int(_digits(first, text).ljust(14, "0")) if first else 0
    high = int(_digits(last, text).ljust(14, "9")) if last else 10**14
    if low > high:
        raise UsageError(f"the time range {text!r} ends before it begins: write the earlier time first")
    return low, high


def _digits(part: str, text: str) -> str:
    match = _TEXT.fullmatch(part.strip())
    if match is None or not _is_calendar_like(match):
        raise UsageError(f"{part!r} in {text!r} is no time: write 2016-10-05, 2016-10-05T06 or 2016-10-02/2016-10-08")
    return "".join(group for group in match.groups() if group)


def _is_calendar_like(match: re.Match[str]) -> bool:
    limits = (9999, 12, 31, 23, 59, 59)
    parts = [int(group) for group in match.groups() if group]
    return all(part <= limit for part, limit in zip(parts, limits, strict=False)) and min(parts[1:3], default=1) >= 1


def _from_digits(digits: np.int64) -> str:
    text = f"{int(digits):014d}"
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}T{text[8:10]}:{text[10:12]}"
