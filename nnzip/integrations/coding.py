"""From an array to the bytes of a chunk, within a tolerance that is checked on what a reader gets from these bytes."""

from __future__ import annotations

from dataclasses import replace
from math import inf, log1p

import numpy as np

from nnzip.coder.mask import MaskEncoder
from nnzip.integrations.chunks import TYPES, Chunk, Points, Values
from nnzip.integrations.tolerance import Tolerance
from nnzip.plan.goals import GUARD
from nnzip.promises.goals import BoxPromised
from nnzip.tile.budgeted import Scaling
from nnzip.tile.encode import Goal, Rmse, encode_tile
from nnzip.tile.header import LARGEST_TILE

_ROUNDING = {"float16": 2.0**-10, "float32": 2.0**-22, "float64": 2.0**-41}
"""Part of a relative error that is kept for taking the logarithm and back, in the values' type: then arithmetic in that
type finds the bound kept too."""

_LARGEST = float(np.finfo(np.float32).max) / 4  # of values whose differences a tile can hold


def encode_chunk(array: Values, tolerance: Tolerance) -> bytes:
    """Code an array of any shape, float16, float32 or float64, in C or Fortran order.

    NaN (without its payload) and infinities are kept. Raises ValueError for other types and for arrays that are larger
    than a tile. Cost: that of `encode_tile`, and decoding once.
    """
    if array.dtype.name not in TYPES:
        raise ValueError(f"an nnzip codec takes float16, float32 and float64, not {array.dtype.name}")
    if array.size > LARGEST_TILE:
        raise ValueError(f"a chunk of {array.size} values is too large for nnzip: chunks have at most {LARGEST_TILE}")
    if tolerance.kind == "relative_error" and tolerance.number <= _ROUNDING[array.dtype.name]:
        tolerance = replace(tolerance, kind="max_error", number=0.0)
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    chunk = Chunk(array.dtype, array.shape, fortran, logarithms=tolerance.kind == "relative_error")
    if not array.size:
        return chunk.pack()
    original = chunk.as_tile(array)
    chunk, rest = _with_masks(chunk, original, tolerance.fill_value)
    known = np.isfinite(rest)
    if known.any():
        chunk = replace(chunk, tile=_encode_tile(np.where(known, rest, np.nan), original.dtype.name, tolerance))
    decoded = chunk.values()
    if tolerance.kind == "rmse" and not _rmse(decoded[known], original[known]) <= tolerance.number:
        return encode_chunk(array, replace(tolerance, kind="max_error"))
    wrong = _wrong(decoded, original, tolerance)
    return (chunk.with_patches(original, wrong) if wrong.any() else chunk).pack()


def _with_masks(chunk: Chunk, original: Values, fill_value: float | None) -> tuple[Chunk, Values]:
    """With masks of what a tile cannot hold; and what it can, in a type of tiles: NaN or infinite elsewhere."""
    double = chunk.logarithms or original.dtype.name == "float64"
    rest: Values = original.astype(np.float64 if double else np.float32)
    gone = {"missing": np.isnan(rest)}
    if fill_value is not None:
        gone["filled"] = original == original.dtype.type(fill_value)
    if chunk.logarithms:
        gone["zero"] = rest == 0
    masks = {name: _mask(points) for name, points in gone.items()}
    if masks.get("filled"):
        masks["filled"] = np.array(fill_value, dtype="<f8").tobytes() + masks["filled"]
    for points in gone.values():
        rest[points] = np.nan
    if chunk.logarithms:
        masks["negative"] = _mask(rest < 0)
        rest = np.log(np.abs(rest))
    return replace(chunk, **masks), rest  # type: ignore[arg-type]


def _mask(points: Points) -> bytes:
    if not points.any():
        return b""
    encoder = MaskEncoder()
    encoder.add(points)
    return encoder.encode()


def _encode_tile(values: Values, dtype: str, tolerance: Tolerance) -> bytes:
    """A tile of values [channel, time, lat, lon] or of their logarithms (NaN: none), for an array of type `dtype`."""
    own, bound = values.dtype.name, tolerance.number
    if tolerance.kind == "relative_error":
        bound, dtype = log1p(bound - _ROUNDING[dtype]), own
    known = ~np.isnan(values)
    low, high = (
        np.array([least(channel[where], initial=-sign * inf) for channel, where in zip(values, known, strict=True)])
        for least, sign in ((np.min, -1), (np.max, 1))
    )
    largest = max(-low.min(), high.max())
    with np.errstate(over="ignore"):  # of numbers that are kept exactly
        guards = np.maximum(GUARD * (high.astype(np.float64) - low), 0.0)
    goal: Goal = BoxPromised(bound, tuple(guards.tolist()), dtype)
    if largest > _LARGEST or bound <= _rounding(largest, dtype):
        goal = BoxPromised(0.0, (), own)
    elif tolerance.kind == "rmse":
        counts = np.maximum(known.sum(axis=(1, 2, 3)), 1)
        means = np.sum(values, axis=(1, 2, 3), dtype=np.float64, where=known) / counts
        goal = Rmse(bound, np.ones(values.shape[2]), Scaling(means, np.ones(len(values))))
    return encode_tile(values, goal, own).data


def _rounding(largest: float, dtype: str) -> float:
    """Half the distance of the largest value from its neighbour."""
    value = np.asarray(largest, dtype=dtype)
    return float(value - np.nextafter(value, value.dtype.type(0))) / 2


def _rmse(found: Values, original: Values) -> float:
    error = found.astype(np.float64) - original.astype(np.float64)
    return float(np.sqrt(np.square(error).mean())) if error.size else 0.0


def _wrong(found: Values, original: Values, tolerance: Tolerance) -> Points:
    """Points outside the tolerance, by float64 arithmetic."""
    exact = original.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # of infinities and of their neighbours
        error = np.abs(found.astype(np.float64) - exact)
        allowed = {"max_error": tolerance.number, "relative_error": tolerance.number * np.abs(exact), "rmse": inf}
        kept = np.isfinite(exact) & (error <= allowed[tolerance.kind])
    points: Points = ~(kept | np.isnan(exact) | (found == original))
    return points
