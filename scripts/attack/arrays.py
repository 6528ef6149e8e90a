"""Nasty arrays: written to NetCDF, compressed, decoded, and compared with what xarray gives for the source, in float64.

The comparison shares no code with nnzip: bounds, missing values, promises, sizes and what is said about the errors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import nnzip
from attack.running import FindingError
from nnzip.errors import InputError, NnzipError

Values = NDArray[np.float64]
TINY, LARGE = 5e-324, 1e300
SMALLEST = 1e-44  # of float32, in which errors may be stated
_DIMS = ("member", "level", "time", "latitude", "longitude")


def nasty(number: int, folder: Path) -> str:
    """One file of one variable; any array must be kept within its promise, or refused with a word."""
    rng = np.random.default_rng(number)
    shape = shape_of(rng)
    source = folder / "a.nc"
    with np.errstate(all="ignore"):
        encoding = _write(rng, missing_of(rng, values_of(rng, shape)), source)
    with xr.open_dataset(source) as dataset:
        truth = dataset["x"].values.astype(np.float64)
    if np.isinf(truth).any():
        raise_unless_refused(source, folder)
        return "refused"
    kind, options = _wish(rng, truth)
    what = f"{kind} of {shape} {encoding}: {options}"
    with nnzip.open_dataset(source) as dataset:
        try:
            result = nnzip.compress(dataset, folder / "a.nnz", options, stored_bytes=source.stat().st_size)
        except NnzipError as error:
            if kind == "lossless" and not isinstance(error, InputError):
                raise FindingError("violation", f"{what}: refused, {error}") from error
            if (folder / "a.nnz").exists():
                raise FindingError("violation", f"{what}: refused, and an archive is there") from error
            return "refused"
    with nnzip.open_archive(folder / "a.nnz") as archive:
        lazy = archive.dataset()
        found, attributes = lazy["x"].values, dict(lazy["x"].attrs)
    _compare(what, truth, found, kind, options, attributes, result)
    if rng.random() < 0.2:
        nnzip.decompress(folder / "a.nnz", folder / "b.nc")
        with xr.open_dataset(folder / "b.nc") as back:
            _compare(f"{what}, written", truth, back["x"].values, kind, options, dict(back["x"].attrs), result, 1.02)
    return kind


def raise_unless_refused(source: Path, folder: Path) -> None:
    """Infinities are bad input."""
    with nnzip.open_dataset(source) as dataset:
        try:
            nnzip.compress(dataset, folder / "a.nnz", nnzip.Target(lossless=True))
        except InputError:
            return
    with nnzip.open_archive(folder / "a.nnz") as archive:
        if "x" not in archive.manifest.lossless:
            raise FindingError("violation", "infinities were compressed")


def shape_of(rng: np.random.Generator) -> tuple[int, ...]:
    """One to five axes, some of length one, with at most some thousand values."""
    rank = int(rng.choice([1, 2, 2, 3, 3, 3, 4, 4, 5]))
    shape = [int(rng.choice([1, 2, 3, 5, 8, 17, 24])) for _ in range(rank)]
    while np.prod(shape) > 1500:
        shape[int(np.argmax(shape))] //= 2
    return tuple(max(size, 1) for size in shape)


def values_of(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    noise = rng.normal(size=shape)
    smooth = np.cumsum(noise, axis=-1)
    kind = int(rng.integers(16))
    found: Values = (
        lambda: np.full(shape, rng.choice([0.0, -0.0, 273.15, 0.1, 1e-310, 3e38, -1e10, LARGE])),
        lambda: noise,
        lambda: 280 + 3 * smooth,
        lambda: noise * TINY * rng.choice([1, 100, 1e10]),
        lambda: noise * 1e-40,
        lambda: np.sign(noise) * np.exp(rng.uniform(-80, 80, shape)),
        lambda: np.sign(noise) * 10 ** rng.uniform(-300, 300, shape),
        lambda: np.where(rng.random(shape) < 0.02, 1e8 * noise, 0.0),
        lambda: np.maximum(noise - 1, 0) ** 4,
        lambda: np.rint(3 * noise),
        lambda: 101325 + 0.01 * np.rint(smooth),
        lambda: 1e9 + 1e-3 * smooth,
        lambda: np.where((np.indices(shape).sum(0) % 2).astype(bool), -1.0, 1.0),
        lambda: rng.choice([3.4e38, -3.4e38, 1.0], shape),
        lambda: rng.choice([LARGE, -LARGE, 0.0], shape),
        lambda: np.where(rng.random(shape) < 0.5, -0.0, 0.0) + np.where(rng.random(shape) < 0.1, np.nan, 0),
    )[kind]()
    return found


def missing_of(rng: np.random.Generator, values: Values) -> Values:
    values, kind = values.copy(), int(rng.integers(9))
    if kind == 1:
        values[rng.random(values.shape) < 0.3] = np.nan
    elif kind == 2:
        values[..., : values.shape[-1] // 2] = np.nan
    elif kind == 3:
        values[:1] = np.nan
    elif kind == 4:
        values.reshape(-1)[1:] = np.nan
    elif kind == 5:
        values[...] = np.nan
    elif kind == 6 and rng.random() < 0.3:
        values.reshape(-1)[int(rng.integers(values.size))] = rng.choice([np.inf, -np.inf])
    return values


def _write(rng: np.random.Generator, values: Values, path: Path) -> dict[str, Any]:
    """The file; floats of either width and byte order, or packed integers."""
    dims = _DIMS[-values.ndim :] if values.ndim > 1 or rng.random() < 0.5 else ("station",)
    if values.ndim == 2 and rng.random() < 0.2:
        dims = ("y", "x2")
    coordinates: dict[str, Any] = {
        "latitude": np.linspace(70, 10, dict(zip(dims, values.shape, strict=True)).get("latitude", 1)),
        "longitude": np.arange(dict(zip(dims, values.shape, strict=True)).get("longitude", 1)) * 15.0,
    }
    if "time" in dims and rng.random() < 0.8:
        hours = np.timedelta64(1, "h") * np.arange(values.shape[dims.index("time")])
        coordinates["time"] = np.datetime64("2019-12-31T22", "ns") + hours
    attrs = {"units": str(rng.choice(["K", "Pa", "1", "", "m s-1", "nonsense"]))}
    beside = ("yc", "xc"), np.zeros((2, 3))  # so that there is something to compress
    known = {name: coordinate for name, coordinate in coordinates.items() if name in dims}
    dataset = xr.Dataset({"x": (dims, values, attrs), "beside": beside}, known)
    encoding: dict[str, Any] = {"dtype": str(rng.choice(["f4", "f8", ">f4", ">f8", "<f8"])), "_FillValue": None}
    finite = values[np.isfinite(values)]
    if rng.random() < 0.4 and not np.isinf(values).any():
        integer = str(rng.choice(["i2", "u1", "i1", "i4", "u2"]))
        limits = np.iinfo(integer)
        spread = float(np.ptp(finite)) if finite.size else 1.0
        scale = spread / (limits.max - limits.min - 3) or 0.01
        if 1e-30 < scale < 1e30:
            kind: Any = np.float32 if rng.random() < 0.5 else np.float64
            offset = kind((finite.min() + finite.max()) / 2 if finite.size else 0.0)
            if limits.min == 0:
                offset = kind(finite.min() if finite.size else 0.0)
            encoding = {"dtype": integer, "scale_factor": kind(scale), "_FillValue": np.dtype(integer).type(limits.max)}
            encoding |= {"add_offset": offset} if rng.random() < 0.9 or abs(offset) > spread / 4 else {}
    dataset.to_netcdf(path, encoding={"x": encoding}, engine="netcdf4")
    return encoding


def _wish(rng: np.random.Generator, truth: Values) -> tuple[str, nnzip.Options]:
    finite = truth[np.isfinite(truth)]
    with np.errstate(over="ignore"):
        spread = float(np.ptp(finite)) if finite.size else 1.0
    spread = spread if 0 < spread < 1e307 else 1.0
    effort = str(rng.choice(["fast"] * 5 + ["normal"]))
    tile = {} if rng.random() < 0.5 else {"time": int(rng.integers(1, 6)), "latitude": int(rng.integers(2, 9))}
    kind = str(rng.choice(["bound", "bound", "bound", "share", "lossless", "rmse", "ratio", "promise", "promise"]))
    promises: tuple[str, ...] = ()
    bound = spread * 10 ** float(rng.uniform(-6, 0.3))
    target = {
        "lossless": lambda: nnzip.Target(lossless=True),
        "share": lambda: nnzip.Target(max_error={None: str(rng.choice(["1%", "0.1%", "0.001%"]))}),
        "rmse": lambda: nnzip.Target(rmse={None: bound}),
        "ratio": lambda: nnzip.Target(ratio=float(rng.choice([0.5, 1, 3]))),
    }.get(kind, lambda: nnzip.Target(max_error={None: bound}))()
    if kind == "promise":
        middle = float(rng.choice(finite)) if finite.size else 0.0
        condition = f"preserve x {rng.choice(['>', '>=', '<', '<='])} {middle!r}"
        others = "preserve-maxima x=day", "preserve-minima x=day", "extremes x=p90:0.1", "extremes x<p10:0.3"
        promises = (condition if rng.random() < 0.6 else str(rng.choice(others)),)
    return kind, nnzip.Options(target, promises=tuple(map(nnzip.parse_promise, promises)), effort=effort, tile=tile)


def _compare(
    what: str,
    truth: Values,
    found: NDArray[Any],
    kind: str,
    options: nnzip.Options,
    attributes: dict[str, Any],
    result: nnzip.CompressionResult,
    looseness: float = 1.002,
) -> None:
    decoded = found.astype(np.float64)
    if decoded.shape != truth.shape or not np.array_equal(np.isnan(decoded), np.isnan(truth)):
        counts = f"{np.isnan(decoded).sum()} of {np.isnan(truth).sum()} missing"
        raise FindingError("wrong", f"{what}: shape {decoded.shape}, {counts}")
    known = ~np.isnan(truth)
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.abs(decoded - truth)[known]
    largest = float(error.max(initial=0.0))
    bound = attributes.get("nnzip_bound")
    is_exact = np.array_equal(decoded[known].view(np.int64), truth[known].view(np.int64))
    if (kind == "lossless" or "x" not in result.errors) and not is_exact:
        raise FindingError("violation", f"{what}: {int((error > 0).sum())} values differ, by up to {largest}")
    if bound is not None and largest > bound:
        count = int((error > bound).sum())
        raise FindingError("violation", f"{what}: {largest} is above the bound {bound} at {count} points")
    if "x" not in result.errors:
        return
    if kind in ("bound", "promise") and options.target.max_error is not None:
        asked = float(options.target.max_error[None])
        if bound is None or bound > asked * (1 + 1e-12):
            raise FindingError("violation", f"{what}: the bound {bound} is not the {asked} asked for")
    said, most = float(attributes["nnzip_max_error"]), largest * looseness + SMALLEST
    if looseness > 1.01:  # a file that may be narrower than the archive claims what its rounding may add
        most = max(
            most,
            bound or 0.0,
            largest + 2 * float(np.spacing(np.float32(min(np.abs(truth[known]).max(initial=0.0), 3e38)))),
        )
    if not largest * (1 - 1e-9) <= said <= most:
        raise FindingError("violation", f"{what}: it says the error {said}, and {largest} is true")
    if kind == "rmse" and result.errors["x"].rmse > float((options.target.rmse or {})[None]) * (1 + 1e-9):
        raise FindingError("violation", f"{what}: the RMSE is {result.errors['x'].rmse}")
    if kind == "ratio" and result.source_bytes / result.file_bytes < 0.97 * float(options.target.ratio or 0):
        raise FindingError("violation", f"{what}: the ratio is {result.source_bytes / result.file_bytes}")
    for promise in map(str, options.promises):
        _promise(what, promise, truth, decoded)


def _promise(what: str, promise: str, truth: Values, decoded: Values) -> None:
    words = promise.split()
    if words[0] == "preserve":
        compare = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}[words[2]]
        threshold, known = float(words[3]), ~np.isnan(truth)
        wrong = (compare(truth, threshold) != compare(decoded, threshold)) & known
        if wrong.any():
            raise FindingError("violation", f"{what}: {int(wrong.sum())} points on the other side of {threshold}")
