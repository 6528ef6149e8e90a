"""Everything that is not compressed, as plain arrays and JSON: coordinates, lossless variables, attributes.

Values are stored as CF encodes them (times as numbers "seconds since 1970-01-01"), so an archive can be read without
xarray. The reserved attribute ``_nnzip_dtype`` names the type to decode to; without it values and attributes are as
they stand:

    datetime64[ns], cftime   numbers with `units` and `calendar`
    timedelta64[ns]          numbers with `units`
    bool                     int8
    object                   Python strings, stored as fixed-width text
    S4                       bytes, stored as Latin-1 text
    float32, float64         `_FillValue` and `missing_value` belong to the encoding; values equal to them are NaN
"""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.conventions import CF_RELATED_DATA, encode_cf_variable

from nnzip.data.coders import CFDatetimeCoder, CFTimedeltaCoder, decode_cf_variable
from nnzip.data.conventions import read_values
from nnzip.data.packing import is_packed, unpacked_attributes
from nnzip.data.times import is_time_valued
from nnzip.errors import CorruptArchiveError, InputError

DTYPE_ATTRIBUTE = "_nnzip_dtype"
UNLIMITED_ATTRIBUTE = "_nnzip_unlimited"
OUTPUT_ENCODING = {"_FillValue": np.nan}
_FILL_KEYS = ("_FillValue", "missing_value")
_ATTRIBUTE_KINDS = "fiubUSMm"
_ATTRIBUTE_TYPE = re.compile(r"[<>|=]([fiub][1248]|[US][0-9]{1,7}|[Mm]8(\[[0-9a-zA-Z]{1,5}\])?)")
_MAX_ITEM_BYTES = 1 << 20  # of one fixed-width text: an archive may not ask for more memory than its content fills
_MALFORMED = (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError)
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


@dataclass(frozen=True)
class RawArray:
    """A variable as it is stored: dimensions, JSON attributes, and values of kind f, i, u or U."""

    dims: tuple[str, ...]
    attrs: dict[str, Any]
    values: NDArray[Any]


@dataclass(frozen=True)
class Decoding:
    """What is decoded, in the terms of `xarray.open_dataset`: a value for all variables or a mapping by name.

    What is left as it stands here gets the types it had when it was compressed.
    """

    mask_and_scale: bool | Mapping[str, bool] = True
    decode_times: bool | CFDatetimeCoder | Mapping[str, bool | CFDatetimeCoder] = True
    use_cftime: bool | Mapping[str, bool] | None = None
    decode_timedelta: bool | CFTimedeltaCoder | Mapping[str, bool | CFTimedeltaCoder] | None = None

    def of(self, option: str, name: str) -> Any:
        """An option for one variable."""
        wish = getattr(self, option)
        return wish.get(name, getattr(EXACTLY, option)) if isinstance(wish, Mapping) else wish


EXACTLY = Decoding()
"""Every variable as it was compressed."""


def to_raw(dataset: xr.Dataset, names: Iterable[str]) -> dict[str, RawArray]:
    """Coordinates and lossless variables `names` of `dataset` as raw arrays; checks that each decodes to itself.

    Packing (scale_factor, add_offset) is not kept: the unpacked values are. Raises InputError for values that neither
    NetCDF nor nnzip can hold (complex numbers, arbitrary objects, a pandas MultiIndex).
    """
    return {name: _to_raw(name, dataset[name].variable) for name in names}


def dataset_of(
    coordinates: Mapping[str, xr.Variable], variables: Mapping[str, xr.Variable], attrs: Mapping[str, Any]
) -> xr.Dataset:
    """A dataset of decoded coordinates and data variables; `attrs` are JSON attributes.

    Raises CorruptArchiveError for attributes that `dataset_attributes` does not write.
    """
    dataset = xr.Dataset(variables, coordinates, attrs_from_json(attrs))
    unlimited = dataset.attrs.pop(UNLIMITED_ATTRIBUTE, None)
    if unlimited is not None:
        dataset.encoding["unlimited_dims"] = set(unlimited)
    for name, variable in {**coordinates, **variables}.items():  # indexes are rebuilt without the encoding
        dataset.variables[name].encoding = variable.encoding
    return dataset


def dataset_attributes(dataset: xr.Dataset) -> dict[str, Any]:
    """JSON attributes of the dataset itself, with its unlimited dimensions as a reserved one."""
    unlimited = sorted(str(dim) for dim in dataset.encoding.get("unlimited_dims", ()) if dim in dataset.dims)
    return attrs_to_json({**dataset.attrs, **({UNLIMITED_ATTRIBUTE: unlimited} if unlimited else {})})


def compressed_attributes(variable: xr.Variable) -> dict[str, Any]:
    """JSON attributes of a compressed variable: its output is unpacked, and missing values are NaN."""
    attrs = _attributes(variable)
    return attrs_to_json({key: value for key, value in attrs.items() if key not in _FILL_KEYS})


def attrs_to_json(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes as JSON values that `attrs_from_json` turns back into the same values and types.

    str, bool, int, finite float and flat lists of them are themselves; everything else is {"dtype": ..., "value": ...}:
    a numpy type such as "<f4" with a scalar or flat list (NaN and infinity as "nan", "inf", "-inf"; "shape" beside it
    for several dimensions), "float" for a non-finite float, "bytes" as Latin-1 text, "json" as a JSON text.
    Raises InputError for a type that has no such form.
    """
    return {str(key): _attribute_to_json(str(key), value) for key, value in attrs.items()}


def attrs_from_json(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Inverse of `attrs_to_json`. Raises CorruptArchiveError for what `attrs_to_json` does not write."""
    decoded = {}
    for key, value in attrs.items():
        try:
            decoded[key] = _attribute_from_json(value)
        except _MALFORMED as error:
            raise CorruptArchiveError(f"the attribute {key!r} is not as nnzip writes it ({error})") from error
    return decoded


def _attributes(variable: xr.Variable) -> dict[str, Any]:
    """With the names of related variables (bounds, grid_mapping, ...), which xarray may have moved to the encoding."""
    related = {key: variable.encoding[key] for key in CF_RELATED_DATA if key in variable.encoding}
    return {**related, **unpacked_attributes(variable)}


def _to_raw(name: str, variable: xr.Variable) -> RawArray:
    values = read_values(variable, name)
    attempts = [xr.Variable(variable.dims, values, variable.attrs, variable.encoding)]
    if variable.encoding:
        attempts.append(xr.Variable(variable.dims, values, _attributes(variable)))
    for attempt in attempts:
        raw = _encode(name, attempt)
        decoded = _decode(name, raw)
        if _same_type(decoded.dtype, values.dtype) and _are_equal(decoded.values, values):
            return raw
    raise InputError(f"the values of {name!r} ({variable.dtype}) cannot be kept exactly: drop the variable")


def _same_type(a: np.dtype[Any], b: np.dtype[Any]) -> bool:
    """Apart from the order of bytes, and from what StringDType calls a missing text."""
    return a.kind == b.kind == "T" or (b.kind != "T" and a == b.newbyteorder("="))


def _are_equal(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return np.array_equal(a, b, equal_nan=a.dtype.kind in "fMm")


def _encode(name: str, variable: xr.Variable) -> RawArray:
    dims = tuple(str(dim) for dim in variable.dims)
    attrs = _attributes(variable)
    values: NDArray[Any] = np.asarray(variable.values)
    kind = values.dtype.kind
    if is_time_valued(variable) or kind == "m":
        values, attrs = _encode_times(name, variable, attrs)
    elif kind == "b":
        attrs[DTYPE_ATTRIBUTE], values = "bool", values.astype(np.int8)
    elif kind == "S":
        attrs[DTYPE_ATTRIBUTE], values = values.dtype.str[1:], np.char.decode(values, "latin-1")
    elif kind in "OT":
        if not all(isinstance(value, str) for value in values.flat):
            raise InputError(f"{name!r} holds Python objects that are not text, which no file can hold: drop it")
        attrs[DTYPE_ATTRIBUTE], values = "object" if kind == "O" else "StringDType", _fixed_width(values)
    elif kind in "fiu":
        values, attrs = _encode_numbers(variable, attrs)
    elif kind != "U":
        raise InputError(f"{name!r} has the type {variable.dtype}, which no NetCDF file can hold: drop or convert it")
    return RawArray(dims, attrs_to_json(attrs), np.asarray(values, dtype=values.dtype.newbyteorder("=")))


def _fixed_width(texts: NDArray[Any]) -> NDArray[np.str_]:
    """numpy does not find the width of its own StringDType."""
    return np.array(texts.tolist(), dtype=np.str_).reshape(texts.shape)


def _encode_times(name: str, variable: xr.Variable, attrs: dict[str, Any]) -> tuple[NDArray[Any], dict[str, Any]]:
    kept = {k: v for k, v in variable.encoding.items() if k in ("units", "calendar", "dtype", *_FILL_KEYS)}
    encoding = {"_FillValue": None, **kept}
    with warnings.catch_warnings():
        # xarray warns when it takes finer units than asked for; the values are compared afterwards
        warnings.filterwarnings("ignore", message="Times can't be serialized faithfully")
        warnings.simplefilter("ignore", xr.SerializationWarning)  # and of odd units, which are the source's
        try:
            encoded = encode_cf_variable(xr.Variable(variable.dims, variable.values, attrs, encoding), name=name)
        except (KeyError, OverflowError):  # further from the first date than its unit can count
            encoding = _counted(name, variable)
            encoded = encode_cf_variable(xr.Variable(variable.dims, variable.values, attrs, encoding), name=name)
    attrs = {**encoded.attrs, DTYPE_ATTRIBUTE: "cftime" if variable.dtype.kind == "O" else _plain_dtype(variable.dtype)}
    if variable.dtype.kind == "m":
        attrs.pop("dtype", None)  # xarray's own mark of a duration
    if str(kept.get("units")).split()[:1] == str(attrs["units"]).split()[:1]:
        attrs["units"] = kept["units"]  # the source's spelling of the same reference time
    return np.asarray(encoded.values), attrs


def _counted(name: str, variable: xr.Variable) -> dict[str, Any]:
    """An encoding that holds any dates of a resolution: their own numbers. Raises InputError where some are missing."""
    if variable.dtype.kind != "M" or np.isnat(variable.values).any():
        raise InputError(f"the times of {name!r} are too far apart for NetCDF's units: drop it, or convert it")
    unit = {"s": "seconds", "ms": "milliseconds", "us": "microseconds"}.get(
        np.datetime_data(variable.dtype)[0], "nanoseconds"
    )
    return {"units": f"{unit} since 1970-01-01", "calendar": "proleptic_gregorian", "dtype": "int64"}


def _encode_numbers(variable: xr.Variable, attrs: dict[str, Any]) -> tuple[NDArray[Any], dict[str, Any]]:
    values: NDArray[Any] = np.asarray(variable.values)
    fill = {key: variable.encoding[key] for key in _FILL_KEYS if variable.encoding.get(key) is not None}
    if values.dtype.kind != "f" or is_packed(variable) or not fill:
        return values, attrs
    stored = np.dtype(variable.encoding.get("dtype", values.dtype))
    if stored.kind in "iu":  # integers with a fill value, which xarray showed as floats
        encoding = {**fill, "dtype": stored}
        values = np.asarray(encode_cf_variable(xr.Variable(variable.dims, values, {}, encoding)).values)
    return values, {**attrs, **fill, DTYPE_ATTRIBUTE: _plain_dtype(variable.dtype)}


def _plain_dtype(dtype: np.dtype[Any]) -> str:
    return str(dtype.newbyteorder("="))


def decode(name: str, raw: RawArray, how: Decoding = EXACTLY) -> xr.Variable:
    """Inverse of `to_raw` for one variable, as far as `how` says.

    Raises CorruptArchiveError for an array or attributes that `to_raw` does not write.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", xr.SerializationWarning)  # of odd units, which are the source's
            return _decode(name, raw, how)
    except _MALFORMED as error:
        raise CorruptArchiveError(f"{name!r} is not stored as nnzip writes it ({error})") from error


def _decode(name: str, raw: RawArray, how: Decoding = EXACTLY) -> xr.Variable:
    attrs = attrs_from_json(raw.attrs)
    dtype = attrs.pop(DTYPE_ATTRIBUTE, None)
    variable = xr.Variable(raw.dims, raw.values, attrs)
    if dtype is None:
        variable.encoding = {"dtype": variable.dtype, **({"_FillValue": None} if variable.dtype.kind == "f" else {})}
        return variable
    if dtype.startswith("timedelta64"):
        return _decode_durations(name, variable, dtype, how)
    if dtype == "cftime" or dtype.startswith("datetime64"):
        return _decode_times(name, variable, dtype, how)
    if dtype in ("float32", "float64", "float16"):
        if not how.of("mask_and_scale", name):
            return variable
        decoded = decode_cf_variable(name, variable, decode_times=False, decode_timedelta=False)
        return xr.Variable(decoded.dims, decoded.values.astype(dtype, copy=False), decoded.attrs, decoded.encoding)
    if dtype == "StringDType":
        values: NDArray[Any] = raw.values.astype(np.dtypes.StringDType())
    elif dtype.startswith("S") and np.dtype(dtype).itemsize <= _MAX_ITEM_BYTES:
        values = np.char.encode(raw.values, "latin-1").astype(dtype)
    elif dtype in ("bool", "object"):
        values = raw.values.astype(dtype)
    else:
        raise ValueError(f"type {dtype}")
    return xr.Variable(raw.dims, values, attrs)


def _decode_times(name: str, variable: xr.Variable, dtype: str, how: Decoding) -> xr.Variable:
    coder, calendar = how.of("decode_times", name), how.of("use_cftime", name)
    if coder is False:
        return variable
    if isinstance(coder, CFDatetimeCoder):
        return decode_cf_variable(name, variable, decode_times=coder, decode_timedelta=False)
    unit: Any = "ns" if dtype == "cftime" else np.datetime_data(dtype)[0]
    coder = CFDatetimeCoder(dtype == "cftime" if calendar is None else calendar, unit)
    decoded = decode_cf_variable(name, variable, decode_times=coder, decode_timedelta=False)
    return _as_it_was(decoded, dtype) if calendar is None else decoded


def _decode_durations(name: str, variable: xr.Variable, dtype: str, how: Decoding) -> xr.Variable:
    coder = how.of("decode_timedelta", name)
    if coder is None:
        coder = how.of("decode_times", name) is not False
    variable.attrs["dtype"] = dtype
    if coder is False:
        return variable
    if isinstance(coder, CFTimedeltaCoder):
        return decode_cf_variable(name, variable, decode_times=False, decode_timedelta=coder)
    decoded = decode_cf_variable(name, variable, decode_times=False, decode_timedelta=CFTimedeltaCoder())
    return _as_it_was(decoded, dtype)


def _as_it_was(decoded: xr.Variable, dtype: str) -> xr.Variable:
    """Decoded times in the very type that was compressed. Raises ValueError where units and values do not give it."""
    if dtype != "cftime" and decoded.dtype != np.dtype(dtype):
        raise ValueError(f"the units {decoded.encoding.get('units')!r} do not give {dtype}")
    encoding = dict(decoded.encoding)
    encoding.setdefault("_FillValue", None)
    values = decoded.values if dtype == "cftime" else decoded.values.astype(dtype, copy=False)
    return xr.Variable(decoded.dims, values, decoded.attrs, encoding)


def _attribute_to_json(key: str, value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return _numpy_to_json(key, value)
    if isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"dtype": "float", "value": str(value)}
    if isinstance(value, bytes):
        return {"dtype": "bytes", "value": value.decode("latin-1")}
    if isinstance(value, list | tuple):
        if any(isinstance(item, np.generic) for item in value):
            return _numpy_to_json(key, np.asarray(value))
        if all(isinstance(item, str | bool | int | float) and not _is_non_finite(item) for item in value):
            return list(value)
    try:
        return {"dtype": "json", "value": json.dumps(value)}
    except (TypeError, ValueError) as error:
        raise _unstorable(key, type(value).__name__) from error


def _unstorable(key: str, kind: object) -> InputError:
    return InputError(f"the attribute {key!r} has the type {kind}, which cannot be stored: remove it")


def _numpy_to_json(key: str, value: NDArray[Any] | np.generic) -> Any:
    array = np.asarray(value)
    if isinstance(value, np.str_):
        return str(value)
    if array.dtype.kind == "O":
        return _attribute_to_json(key, array.tolist())
    if array.dtype.kind not in _ATTRIBUTE_KINDS or (array.dtype.kind == "f" and array.dtype.itemsize > 8):
        raise _unstorable(key, array.dtype)
    plain = array.ravel()
    if array.dtype.kind in "Mm":
        plain = plain.astype(np.int64)
    elif array.dtype.kind == "S":
        plain = np.char.decode(plain, "latin-1")
    items = [item if not _is_non_finite(item) else str(item) for item in plain.tolist()]
    coded: dict[str, Any] = {"dtype": array.dtype.newbyteorder("=").str, "value": items if array.ndim else items[0]}
    return {**coded, "shape": list(array.shape)} if array.ndim > 1 else coded


def _is_non_finite(item: Any) -> bool:
    return isinstance(item, float) and not math.isfinite(item)


def _attribute_from_json(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return list(value) if isinstance(value, list | tuple) else value
    dtype, content = value["dtype"], value["value"]
    if dtype == "float":
        return _NON_FINITE[content]
    if dtype == "bytes":
        return content.encode("latin-1")
    if dtype == "json":
        return json.loads(content)
    if not _ATTRIBUTE_TYPE.fullmatch(dtype) or np.dtype(dtype).itemsize > _MAX_ITEM_BYTES:
        raise ValueError(f"type {dtype}")
    kind = np.dtype(dtype).kind
    items = list(content) if isinstance(content, list | tuple) else [content]
    if kind == "f":
        items = [_NON_FINITE[item] if isinstance(item, str) else item for item in items]
    elif kind == "S":
        items = [item.encode("latin-1") for item in items]
    array = np.array(items, dtype=np.int64).view(dtype) if kind in "Mm" else np.array(items, dtype=dtype)
    array = array.reshape(value.get("shape", array.shape))
    return array if isinstance(content, list | tuple) else array[0]
