"""Small arrays, losslessly: a formula where one reproduces every bit, otherwise the smallest of a few deflated layouts.

| coding | content |
|---|---|
| step | values (a, b): a + i b |
| span | values (a, b): a + i ((b - a) / (n - 1)) |
| ratio | values (a, b): a + (i (b - a)) / (n - 1) |
| fraction | values (a, b): (a + i) / b |
| plain | the bytes in C order |
| shuffle | deflate of the bytes with equal significance side by side |
| delta, delta2 | the same for first or second differences of the bit patterns, modulo 2**bits |
| text | deflate of a JSON list of strings |

Formulas run over the flattened index i = 0..n-1 in float64 (integers: exactly) and are then cast to the dtype.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from nnzip.container.limits import MAX_FORMULA_VALUES, MAX_INFLATION
from nnzip.container.manifest import StoredArray
from nnzip.errors import CorruptArchiveError

_INLINE_BYTES = 32  # smaller payloads live in the manifest: a member of their own costs 88 bytes
_LAYOUTS = ("plain", "shuffle", "delta", "delta2")
_SAMPLE_BYTES = 1 << 18  # the layout of larger arrays is chosen on this much of them
_Formula = Callable[[NDArray[np.float64], float, float, int], NDArray[np.float64]]
_FORMULAS: dict[str, _Formula] = {
    "step": lambda i, a, b, n: a + i * b,
    "span": lambda i, a, b, n: a + i * ((b - a) / max(n - 1, 1)),
    "ratio": lambda i, a, b, n: a + (i * (b - a)) / max(n - 1, 1),
    "fraction": lambda i, a, b, n: (a + i) / b,
}


class ArrayStore:
    """Collects arrays into the one member "arrays"."""

    def __init__(self) -> None:
        self._data = bytearray()

    def add(self, values: NDArray[Any]) -> StoredArray:
        """Store an array and say where it is."""
        spec, payload = encode_array(values)
        if len(payload) <= _INLINE_BYTES:
            return replace(spec, inline=payload)
        return replace(spec, offset=self.add_bytes(payload), length=len(payload))

    def add_bytes(self, payload: bytes) -> int:
        """Append bytes that are already coded (a mask, say); returns their offset."""
        offset = len(self._data)
        self._data += payload
        return offset

    def getvalue(self) -> bytes:
        """The member's content; empty when no array needs it."""
        return bytes(self._data)


def encode_array(values: NDArray[Any]) -> tuple[StoredArray, bytes]:
    """Code an array of any bool, integer, float, complex, bytes or string dtype (objects: all str) in the fewest bytes.

    Returns the description (without `offset`, `length` and `inline`) and the payload, empty for a formula.
    Raises TypeError for other dtypes.
    """
    array = np.asarray(values)
    if array.dtype.kind in "OT":
        return _encode_text(array)
    if array.dtype.kind not in "biufcSU" or (array.dtype.kind in "fc" and _pattern(array.dtype) is None):
        raise TypeError(f"arrays of dtype {array.dtype} cannot be stored losslessly")
    spec = StoredArray(dtype=array.dtype.str, coding="plain", shape=array.shape)
    formula = _find_formula(array)
    if formula is not None:
        coding, first, second = formula
        numbers = (first, second) if array.size > 1 else (first,)
        if 3 * len(repr(numbers)) < 4 * array.nbytes + 9:  # else base64 is shorter
            return replace(spec, coding=coding, values=numbers), b""
    plain = np.ascontiguousarray(array)
    sample = plain.reshape(-1)[: max(_SAMPLE_BYTES // max(array.dtype.itemsize, 1), 1)]
    packed = {coding: _pack(sample, coding) for coding in _LAYOUTS}
    coding = min(packed, key=lambda name: len(packed[name]))
    return replace(spec, coding=coding), packed[coding] if sample.size == plain.size else _pack(plain, coding)


def decode_array(spec: StoredArray, payload: bytes) -> NDArray[Any]:
    """Inverse of `encode_array`. Raises CorruptArchiveError unless the payload holds exactly what `spec` declares."""
    count = math.prod(spec.shape)
    if spec.dtype == "O" or spec.coding == "text":
        return _decode_text(spec, payload, count)
    try:
        dtype = np.dtype(spec.dtype)
    except TypeError as error:
        raise CorruptArchiveError(f'a stored array has the unknown dtype "{spec.dtype}"') from error
    if spec.coding in _FORMULAS:
        return _evaluate(spec, dtype, count).reshape(spec.shape)
    if spec.coding not in _LAYOUTS:
        raise CorruptArchiveError(f'a stored array has the unknown coding "{spec.coding}"')
    return _unpack(payload, spec.coding, dtype, count).reshape(spec.shape)


# --- formulas ---------------------------------------------------------------------------------------------------------


def _find_formula(array: NDArray[Any]) -> tuple[str, float, float] | None:
    """A coding and two numbers that reproduce `array` to the last bit, or None."""
    flat = array.reshape(-1)
    if array.dtype.kind not in "iuf" or flat.size == 0 or flat.size > MAX_FORMULA_VALUES:
        return None
    if not np.isfinite(flat[[0, -1]]).all():
        return None
    for coding, first, second in _candidates(flat):
        probe = np.unique([0, 1 % flat.size, flat.size // 3, flat.size - 1])
        if not _same(_formula_values(coding, first, second, probe, flat.size, array.dtype), flat[probe]):
            continue
        if _same(_formula_values(coding, first, second, np.arange(flat.size), flat.size, array.dtype), flat):
            return coding, first, second
    return None


def _candidates(flat: NDArray[Any]) -> Iterator[tuple[str, float, float]]:
    """Pairs of numbers worth trying, the ones with the shortest decimals first."""
    steps = max(flat.size - 1, 1)
    if flat.dtype.kind in "iu":
        start = int(flat[0])
        yield "step", start, (int(flat[-1]) - start) // steps
        return
    first, last, second = (_decimals(flat[index]) for index in (0, -1, min(1, flat.size - 1)))
    for a in first:
        for b in second:
            yield from (("step", a, step) for step in _roundings(b - a))
        for b in last:
            yield from (("step", a, step) for step in _roundings((b - a) / steps))
            yield "span", a, b
            yield "ratio", a, b
            if steps / 1e6 < abs(b - a) < steps * 1e6:
                divisor = float(round(steps / (b - a)) or 1)
                yield "fraction", round(2 * a * divisor) / 2, divisor


def _decimals(value: Any) -> list[float]:
    """The shortest decimal that reads as this number in its own precision, then the number itself."""
    shortest, exact = float(str(value)), float(value)
    return [shortest] if shortest == exact else [shortest, exact]


def _roundings(step: float) -> list[float]:
    rounded = [float(f"{step:.{digits}g}") for digits in (1, 2, 3, 4, 5, 6, 8, 10, 12)] if math.isfinite(step) else []
    return list(dict.fromkeys(value for value in [*rounded, step] if math.isfinite(value)))


def _formula_values(
    coding: str, first: float, second: float, index: NDArray[Any], count: int, dtype: np.dtype[Any]
) -> NDArray[Any] | None:
    """The formula at these indices, or None where the dtype cannot hold the result."""
    if dtype.kind in "iu":
        low, high = sorted((int(first), int(first) + (count - 1) * int(second)))
        limits = np.iinfo(dtype)
        if low < limits.min or high > limits.max:
            return None
        unsigned = index.astype(np.uint64) * np.uint64(int(second) % (1 << 64)) + np.uint64(int(first) % (1 << 64))
        return unsigned.astype(dtype)  # modulo 2**64: exact, since the true values fit the dtype
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return _FORMULAS[coding](index.astype(np.float64), float(first), float(second), count).astype(dtype)


def _same(ours: NDArray[Any] | None, theirs: NDArray[Any]) -> bool:
    return ours is not None and ours.tobytes() == theirs.tobytes()


def _evaluate(spec: StoredArray, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    if dtype.kind not in "iuf" or not 1 <= len(spec.values) <= 2:
        raise CorruptArchiveError(
            f'a stored array of dtype {spec.dtype} has the coding "{spec.coding}" and {len(spec.values)} values'
        )
    if count > MAX_FORMULA_VALUES:
        raise CorruptArchiveError(f"a stored formula declares {count} values; the limit is {MAX_FORMULA_VALUES}")
    first, second = (*spec.values, 0)[:2]
    if dtype.kind in "iu" and not (spec.coding == "step" and isinstance(first, int) and isinstance(second, int)):
        raise CorruptArchiveError(f'a stored array of dtype {spec.dtype} has the coding "{spec.coding}" {spec.values}')
    try:
        values = _formula_values(spec.coding, first, second, np.arange(count), count, dtype)
    except OverflowError as error:
        raise CorruptArchiveError(f"a stored formula has the values {spec.values}, beyond float64") from error
    if values is None:
        raise CorruptArchiveError(f"a stored formula leaves the range of its dtype {spec.dtype}: values {spec.values}")
    return values


# --- deflated layouts -------------------------------------------------------------------------------------------------


def _deflate(data: bytes) -> bytes:
    coder = zlib.compressobj(9 if len(data) <= _SAMPLE_BYTES else 6, zlib.DEFLATED, -15)
    return coder.compress(data) + coder.flush()


def inflate(data: bytes, size: int | None) -> bytes:
    """Undo raw deflate; exactly `size` bytes must come out (any number when None, within deflate's own limit)."""
    limit = MAX_INFLATION * len(data) + 64
    if size is not None and size > limit:
        raise CorruptArchiveError(f"{len(data)} deflated bytes cannot hold the declared {size}")
    coder = zlib.decompressobj(-15)
    try:
        out = coder.decompress(data, (limit if size is None else size) + 1)
    except zlib.error as error:
        raise CorruptArchiveError(f"deflated bytes are damaged: {error}") from error
    if not coder.eof or coder.unused_data or (size is not None and len(out) != size):
        raise CorruptArchiveError(
            f"deflated bytes hold {len(out)} bytes where {size} were declared, or do not end there"
        )
    return out


def _pattern(dtype: np.dtype[Any]) -> np.dtype[Any] | None:
    """The unsigned integers with this dtype's bit patterns, if there are any."""
    size = dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
    return np.dtype(f"{dtype.byteorder}u{size}") if dtype.kind in "iufc" and size in (1, 2, 4, 8) else None


def _pack(flat: NDArray[Any], coding: str) -> bytes:
    if coding == "plain":
        return flat.tobytes()
    pattern = _pattern(flat.dtype)
    data = flat.reshape(-1)
    if coding != "shuffle" and pattern is not None:
        bits = data.view(pattern)
        for _ in range(1 if coding == "delta" else 2):
            bits = np.diff(bits, prepend=np.zeros(1, bits.dtype)).astype(pattern)
        data = bits
    width = max(data.dtype.itemsize, 1)
    octets = np.frombuffer(data.tobytes(), dtype=np.uint8).reshape(-1, width)
    return _deflate(octets.T.tobytes())


def _unpack(payload: bytes, coding: str, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    size = count * dtype.itemsize
    if coding == "plain":
        if len(payload) != size:
            raise CorruptArchiveError(f"a stored array has {len(payload)} bytes; its shape and dtype need {size}")
        return np.frombuffer(payload, dtype=dtype).copy() if size else np.zeros(count, dtype)
    data = inflate(payload, size)
    pattern = _pattern(dtype)
    width = max((pattern or dtype).itemsize if coding != "shuffle" else dtype.itemsize, 1)
    octets = np.frombuffer(data, dtype=np.uint8).reshape(width, -1).T.tobytes()
    if coding == "shuffle" or pattern is None:
        return np.frombuffer(octets, dtype=dtype).copy() if size else np.zeros(count, dtype)
    bits = np.frombuffer(octets, dtype=pattern).astype(pattern.newbyteorder("="))
    for _ in range(1 if coding == "delta" else 2):
        bits = np.cumsum(bits, dtype=bits.dtype)
    return bits.astype(pattern).view(dtype)


# --- text -------------------------------------------------------------------------------------------------------------


def _encode_text(array: NDArray[Any]) -> tuple[StoredArray, bytes]:
    items = array.astype(object).reshape(-1).tolist()
    wrong = next((item for item in items if not isinstance(item, str)), None)
    if wrong is not None:
        raise TypeError(f"an object array holds a {type(wrong).__name__}; only text can be stored losslessly")
    data = json.dumps(items, separators=(",", ":")).encode("ascii")
    return StoredArray(dtype="O", coding="text", shape=array.shape), _deflate(data)


def _decode_text(spec: StoredArray, payload: bytes, count: int) -> NDArray[Any]:
    if spec.dtype != "O" or spec.coding != "text":
        raise CorruptArchiveError(f'a stored array of dtype {spec.dtype} has the coding "{spec.coding}"')
    try:
        items = json.loads(inflate(payload, None))
    except (ValueError, RecursionError) as error:
        raise CorruptArchiveError(f"a stored text array is not JSON: {error}") from error
    if not isinstance(items, list) or len(items) != count or not all(isinstance(item, str) for item in items):
        raise CorruptArchiveError(f"a stored text array does not hold {count} strings")
    array = np.empty(count, dtype=object)
    array[:] = items
    return array.reshape(spec.shape)
