"""Archives at URLs whose server errs, and the chunks of the Zarr codecs, damaged or made of nasty arrays."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import numpy as np

from attack.arrays import missing_of, shape_of, values_of
from attack.corruptions import archives, damage, everything, everything_of
from attack.running import FindingError
from nnzip.errors import CorruptArchiveError
from nnzip.integrations.chunks import decode_chunk
from nnzip.integrations.coding import encode_chunk
from nnzip.integrations.tolerance import Tolerance

ERRORS = TimeoutError, OSError, ConnectionError, FileNotFoundError, RuntimeError
TYPES = ("f2", "f4", "f8", ">f4", ">f8")


class Faulty(fsspec.AbstractFileSystem):  # type: ignore[misc]
    """A server that gives too little, too much, other bytes, or an error instead, in one of so many requests."""

    protocol = "faulty"
    cachable = False
    content: ClassVar[bytes] = b""
    rng: ClassVar[np.random.Generator] = np.random.default_rng(0)
    one_in: ClassVar[int] = 2

    def size(self, path: str) -> int:
        return len(self.content) + (int(self.rng.integers(-9, 9)) if self.rng.random() < 0.02 else 0)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        data = self.content[start:end]
        if self.rng.integers(self.one_in):
            return data
        kind = int(self.rng.integers(6))
        if kind == 0:
            raise ERRORS[int(self.rng.integers(len(ERRORS)))]("no answer")
        if kind == 1:
            return data[: int(self.rng.integers(len(data) + 1))]
        if kind == 2:
            return self.content[: end or None]
        if kind == 3:
            return damage(self.rng, data)
        return b"" if kind == 4 else self.content[(start or 0) + 1 :][: len(data)]


fsspec.register_implementation("faulty", Faulty, clobber=True)


def remote(number: int, folder: Path) -> str:
    """All of an archive, or an error of ours."""
    rng = np.random.default_rng(number)
    name = str(rng.choice(list(archives())))
    Faulty.content, Faulty.rng, Faulty.one_in = archives()[name], rng, int(rng.choice([2, 4, 8]))
    if everything("faulty://a.nnz", with_preview=False) != everything_of(name):
        raise FindingError("wrong", f"{name} reads as something else")
    return "the same"


@cache
def _chunks() -> list[bytes]:
    """Of arrays of every kind, coded in every way."""
    found = []
    for number in range(24):
        rng = np.random.default_rng(number)
        kind: Any = ("max_error", "relative_error", "rmse", "max_error")[number % 4]
        tolerance = Tolerance(kind, 0.0 if number % 8 == 7 else 0.1, 0.0 if number % 3 else None)
        with np.errstate(all="ignore"):
            array = missing_of(rng, values_of(rng, (3, 8, 12))).astype(TYPES[number % 5])
        found.append(encode_chunk(array, tolerance))
    return found


def chunk(number: int, folder: Path) -> str:
    """A damaged chunk (checksums are the store's): an array, or an error of ours."""
    rng = np.random.default_rng(number)
    try:
        decode_chunk(damage(rng, _chunks()[int(rng.integers(len(_chunks())))]))
    except ValueError as error:  # what Zarr expects of codecs
        if isinstance(error.__cause__, CorruptArchiveError):
            return "refused"
        raise
    return "read"


def chunk_array(number: int, folder: Path) -> str:
    """A nasty array as a chunk: never refused, and within its tolerance by float64 arithmetic."""
    rng = np.random.default_rng(number)
    with np.errstate(all="ignore"):
        array = missing_of(rng, values_of(rng, shape_of(rng))).astype(str(rng.choice(TYPES)))
    finite = np.abs(array[np.isfinite(array)].astype(np.float64))
    largest = float(finite.max(initial=1.0))
    kind: Any = str(rng.choice(["max_error", "relative_error", "rmse"]))
    number_of = 10 ** float(rng.uniform(-7, 0)) * (1.0 if kind == "relative_error" else min(largest, 1e300))
    fill = float(rng.choice(array.ravel())) if rng.random() < 0.3 else None
    tolerance = Tolerance(kind, float(rng.choice([number_of, 0.0])), None if fill is None or np.isnan(fill) else fill)
    found = decode_chunk(encode_chunk(array, tolerance))
    what = f"{tolerance} of {array.shape} {array.dtype}"
    if found.shape != array.shape or found.dtype != array.dtype:
        raise FindingError("wrong", f"{what} became {found.shape} {found.dtype}")
    x, y = array.astype(np.float64), found.astype(np.float64)
    special = ~np.isfinite(x) | (x == (np.nan if tolerance.fill_value is None else tolerance.fill_value))
    if not np.array_equal(x[special], y[special], equal_nan=True) or not np.isfinite(y[np.isfinite(x)]).all():
        raise FindingError("wrong", f"{what}: other points are missing, infinite or filled")
    with np.errstate(all="ignore"):
        error, known = np.abs(y - x), np.isfinite(x)
        limit = {"max_error": tolerance.number, "relative_error": tolerance.number * np.abs(x), "rmse": np.inf}[kind]
        wrong = known & ~(error <= limit) & (x != y)
        rmse = float(np.sqrt(np.mean(np.square(error[known])))) if known.any() else 0.0
    if wrong.any() or (kind == "rmse" and rmse > tolerance.number * (1 + 1e-9)):
        raise FindingError("violation", f"{what}: {int(wrong.sum())} points, {error[known].max()}, RMSE {rmse}")
    return str(kind)
