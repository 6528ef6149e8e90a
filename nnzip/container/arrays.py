"""Small arrays, losslessly: a formula or a list where it reproduces every bit, otherwise a few deflated layouts.

| coding | content |
|---|---|
| step | values (a, b, c): (a + i b) / c |
| span | values (a, b): a + i ((b - a) / (n - 1)), the last one b |
| sum | values (a, b, z): a, then each element plus b is the next one; the last one is z where it is given |
| list | values: one for each element, or one for all |
| shuffle | deflate of the bytes with equal significance side by side |
| delta, delta2 | the same for first or second differences of the bit patterns, modulo 2**bits |

Formulas run over the flattened index i = 0..n-1 in float64, operation by operation, and are then cast to the dtype;
integers have only a + i b, exactly. b = 0 and c = 1 where they are not given. ecCodes makes coordinates by sums.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from nnzip.container.deflate import deflate, inflate, manifest_dictionary
from nnzip.container.limits import MAX_FORMULA_VALUES
from nnzip.container.manifest import StoredArray
from nnzip.errors import CorruptArchiveError

_FORMULAS = {"step": (1, 3), "span": (2, 2), "sum": (2, 3)}  # fewest and most numbers
_LAYOUTS = ("shuffle", "delta", "delta2")
_LIST_VALUES = 256  # longer lists are never smaller than a layout
_RANGE_BYTES = 10  # of a manifest that says where a layout is
_SAMPLE_BYTES = 1 << 18  # the layout of larger arrays is chosen on this much of them
_PROBE_VALUES = 64  # most formulas fail on these already
_POWERS_OF_TEN = tuple(10**digits for digits in range(1, 8))
_EXACT = 1 << 53  # float64 holds all smaller integers
Values = tuple[int | float | str, ...]


class ArrayStore:
    """Collects arrays into one blob."""

    def __init__(self) -> None:
        self._data = bytearray()

    def add(self, values: NDArray[Any]) -> StoredArray:
        """Store an array and say where it is."""
        spec, payload = encode_array(values)
        return replace(spec, offset=self.add_bytes(payload), length=len(payload)) if payload else spec

    def add_bytes(self, payload: bytes) -> int:
        """Append bytes that are already coded (a mask, say); returns their offset."""
        offset = len(self._data)
        self._data += payload
        return offset

    def getvalue(self) -> bytes:
        """The archive's arrays."""
        return bytes(self._data)


def encode_array(values: NDArray[Any]) -> tuple[StoredArray, bytes]:
    """Code an array of dtype f2 to f8, i1 to u8 or fixed-width text in the fewest bytes.

    Returns the description (without `offset` and `length`) and the payload, empty for formulas and lists.
    Raises TypeError for other dtypes.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiuU" or (array.dtype.itemsize > 8 and array.dtype.kind != "U"):
        raise TypeError(f"arrays of dtype {array.dtype} cannot be stored losslessly")
    flat = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).reshape(-1)
    spec = StoredArray(dtype=array.dtype.str[1:])
    formula = _find_formula(flat)
    if formula is not None:
        return replace(spec, coding=formula[0], values=formula[1]), b""
    listed = _listed(flat)
    sample = flat[: max(_SAMPLE_BYTES // max(flat.dtype.itemsize, 1), 1)]
    packed = {coding: _pack(sample, coding) for coding in _LAYOUTS}
    coding = min(packed, key=lambda name: len(packed[name]))
    if listed is not None and _list_bytes(listed) <= len(packed[coding]) + _RANGE_BYTES:
        return replace(spec, coding="list", values=listed), b""
    return replace(spec, coding=coding), packed[coding] if sample.size == flat.size else _pack(flat, coding)


def decode_array(spec: StoredArray, shape: tuple[int, ...], payload: bytes) -> NDArray[Any]:
    """Inverse of `encode_array`. Raises CorruptArchiveError unless the payload holds exactly what is declared."""
    count = math.prod(shape)
    dtype = np.dtype("<" + spec.dtype)
    if (payload and spec.coding not in _LAYOUTS) or (spec.values and spec.coding in _LAYOUTS):
        raise CorruptArchiveError(f'a stored array has values and a range, one too many for its coding "{spec.coding}"')
    if spec.coding in _FORMULAS:
        flat = _evaluate(spec, dtype, count)
    elif spec.coding == "list":
        flat = _from_list(spec, dtype, count)
    elif spec.coding in _LAYOUTS:
        flat = _unpack(payload, spec.coding, dtype, count)
    else:
        raise CorruptArchiveError(f'a stored array has the unknown coding "{spec.coding}"')
    return flat.reshape(shape).astype(dtype.newbyteorder("="), copy=False)


# --- formulas ---------------------------------------------------------------------------------------------------------


def _find_formula(flat: NDArray[Any]) -> tuple[str, Values] | None:
    """A coding and its numbers that reproduce `flat` to the last bit, or None."""
    if flat.dtype.kind == "U" or not 0 < flat.size <= MAX_FORMULA_VALUES or not np.isfinite(flat[[0, -1]]).all():
        return None
    few = min(_PROBE_VALUES, flat.size - 1)
    for coding, values in _candidates(flat):
        if all(_same(_formula(coding, values, n, flat.size, flat.dtype), flat[:n]) for n in (few, flat.size)):
            return coding, tuple(_brief(value) for value in values)
    return None


def _candidates(flat: NDArray[Any]) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Formulas worth trying, the ones with the shortest decimals first."""
    steps = max(flat.size - 1, 1)
    if flat.dtype.kind in "iu":
        start = int(flat[0])
        increment = (int(flat[-1]) - start) // steps
        yield "step", (start, increment) if increment else (start,)
        return
    first, last, second = (_decimals(flat[index]) for index in (0, -1, min(1, flat.size - 1)))
    for a in first:
        yield "step", (a,)
        apart = [*(b - a for b in second), *((b - a) / steps for b in last)]
        yield from (("step", (a, step)) for b in apart for step in _roundings(b))
        yield from (("span", (a, b)) for b in last)
        for step in dict.fromkeys([*(step for b in apart for step in _roundings(b)), *apart]):
            yield from (("step", (a, step)), ("sum", (a, step)))
            if flat.size > 3:
                yield "sum", (a, step, last[0])
        fractions = [round(1 / abs(b - a)) for b in second if 1e-6 < abs(b - a) < 1]  # cells of 1/12 degree, say
        for divisor in (*_POWERS_OF_TEN, *fractions, *(2 * n for n in fractions)):
            if abs(a) * divisor < _EXACT and abs(second[0]) * divisor < _EXACT:
                yield "step", (round(a * divisor), round((second[0] - a) * divisor), divisor)


def _decimals(value: Any) -> list[float]:
    """The shortest decimal that reads as this number in its own precision, then the number itself."""
    shortest, exact = float(str(value)), float(value)
    return [shortest] if shortest == exact else [shortest, exact]


def _roundings(step: float) -> list[float]:
    return [float(f"{step:.{digits}g}") for digits in (1, 2, 3, 4, 5, 6, 8, 10, 12)] if math.isfinite(step) else []


def _brief(value: float) -> float:
    """An integer where that is the same number: its text is shorter."""
    whole = isinstance(value, float) and value.is_integer() and abs(value) < _EXACT
    return int(value) if whole and math.copysign(1, value) == math.copysign(1, int(value)) else value


def _formula(
    coding: str, values: tuple[float, ...], stop: int, count: int, dtype: np.dtype[Any]
) -> NDArray[Any] | None:
    """The first `stop` of `count` values of a formula, or None where the dtype cannot hold them."""
    if dtype.kind in "iu":
        first, step = (int(value) for value in (*values, 0)[:2])
        low, high = sorted((first, first + max(count - 1, 0) * step))
        limits = np.iinfo(dtype)
        if low < limits.min or high > limits.max:
            return None
        whole = np.arange(stop, dtype=np.uint64)
        whole *= np.uint64(step % (1 << 64))
        whole += np.uint64(first % (1 << 64))
        return whole.astype(dtype)  # modulo 2**64: exact, since the true values fit the dtype
    a, b, c = (float(value) for value in (*values, *(0.0, 0.0, 1.0)[len(values) :]))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        if coding == "sum":
            out = np.full(stop, b)
            out[:1] = a
            np.add.accumulate(out, out=out)
            if len(values) == 3 and stop == count:
                out[-1:] = c
        else:
            out = np.arange(stop, dtype=np.float64)
            out *= b if coding == "step" else (b - a) / max(count - 1, 1)
            out += a
            if coding == "step":
                out /= c
            elif 1 < stop == count:
                out[-1] = b
        return out.astype(dtype, copy=False)


def _same(ours: NDArray[Any] | None, theirs: NDArray[Any]) -> bool:
    return ours is not None and ours.tobytes() == theirs.tobytes()


def _evaluate(spec: StoredArray, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    numbers = [value for value in spec.values if not isinstance(value, str)]
    fewest, most = (1, 2) if dtype.kind in "iu" else _FORMULAS[spec.coding]
    if dtype.kind == "U" or not fewest <= len(numbers) <= most or len(numbers) != len(spec.values):
        raise CorruptArchiveError(
            f'a stored array of dtype {spec.dtype} has the coding "{spec.coding}" and the values {spec.values}'
        )
    if count > MAX_FORMULA_VALUES:
        raise CorruptArchiveError(f"a stored formula declares {count} values; the limit is {MAX_FORMULA_VALUES}")
    if dtype.kind in "iu" and not (spec.coding == "step" and all(isinstance(value, int) for value in numbers)):
        raise CorruptArchiveError(f'a stored array of dtype {spec.dtype} has the coding "{spec.coding}" {spec.values}')
    try:
        values = _formula(spec.coding, tuple(numbers), count, count, dtype)
    except OverflowError as error:
        raise CorruptArchiveError(f"a stored formula has the values {spec.values}, beyond float64") from error
    if values is None:
        raise CorruptArchiveError(f"a stored formula leaves the range of {spec.dtype}: values {spec.values}")
    return values


# --- lists ------------------------------------------------------------------------------------------------------------


def _listed(flat: NDArray[Any]) -> Values | None:
    """The values, or the one that they all have, where a list of them reproduces every bit; otherwise None."""
    alike = flat.size > 1 and bool((flat[1:] == flat[:-1]).all())
    if flat.size > _LIST_VALUES and not alike:
        return None
    few = flat[:1] if alike else flat
    if few.dtype.kind == "f":
        if not np.isfinite(few).all():
            return None
        values: Values = tuple(_brief(float(str(value))) for value in few)
    else:
        values = tuple(few.tolist())
    spec = StoredArray(dtype=flat.dtype.str[1:], coding="list", values=values)
    try:
        msgspec.json.encode(values)
        return values if _same(_from_list(spec, flat.dtype, flat.size), flat) else None
    except (CorruptArchiveError, UnicodeEncodeError):
        return None


def _list_bytes(values: Values) -> int:
    """About what a list takes in a manifest."""
    return len(deflate(msgspec.json.encode(values), manifest_dictionary()))


def _from_list(spec: StoredArray, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    if len(spec.values) not in (1, count) or count * dtype.itemsize > MAX_FORMULA_VALUES * 8:
        raise CorruptArchiveError(f"a stored list of dtype {spec.dtype} has {len(spec.values)} values for {count}")
    if dtype.kind == "U":
        fits = all(isinstance(value, str) and 4 * len(value) <= dtype.itemsize for value in spec.values)
    else:
        fits = all(isinstance(value, int | float if dtype.kind == "f" else int) for value in spec.values)
    if not fits:
        raise CorruptArchiveError(f"a stored list of dtype {spec.dtype} holds other values")
    try:
        with np.errstate(over="ignore"):
            out = np.empty(count, dtype)
            out[...] = np.array(spec.values, dtype=dtype)
    except OverflowError as error:
        raise CorruptArchiveError(f"a stored list of dtype {spec.dtype} holds other values: {error}") from error
    return out


# --- deflated layouts -------------------------------------------------------------------------------------------------


def _pattern(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Unsigned integers with this dtype's bit patterns; those of its characters for text."""
    return np.dtype(f"<u{4 if dtype.kind == 'U' else dtype.itemsize}")


def _pack(flat: NDArray[Any], coding: str) -> bytes:
    data = flat
    if coding != "shuffle":
        data = np.frombuffer(flat.tobytes(), _pattern(flat.dtype))
        for _ in range(1 if coding == "delta" else 2):
            data = np.diff(data, prepend=np.zeros(1, data.dtype))
    octets = np.frombuffer(data.tobytes(), dtype=np.uint8).reshape(-1, max(data.dtype.itemsize, 1))
    return deflate(octets.T.tobytes())


def _unpack(payload: bytes, coding: str, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    size = count * dtype.itemsize
    data = inflate(payload, size)
    if not size:
        return np.zeros(count, dtype)
    pattern = _pattern(dtype)
    width = dtype.itemsize if coding == "shuffle" else pattern.itemsize
    octets = np.frombuffer(data, dtype=np.uint8).reshape(width, -1).T.tobytes()
    if coding == "shuffle":
        return np.frombuffer(octets, dtype).copy()
    bits = np.frombuffer(octets, pattern)
    for _ in range(1 if coding == "delta" else 2):
        bits = np.cumsum(bits, dtype=pattern)
    return np.frombuffer(bits.tobytes(), dtype).copy()
