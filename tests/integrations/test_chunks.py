"""A chunk and back: its tolerance holds at every point, whatever the shape, type, order and values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nnzip.integrations.chunks import Chunk, Values, decode_chunk
from nnzip.integrations.coding import encode_chunk
from nnzip.integrations.tolerance import Quantity, Tolerance
from nnzip.tile.header import LARGEST_TILE
from tests.support.chunk_examples import ARRAY_SHAPES, TOLERANCES, TYPES, array_of, outside, waves
from tests.support.tile_examples import KINDS

EXACT = Tolerance("max_error", 0.0)
FINE = Tolerance("max_error", 0.05)
GOLDEN = Path(__file__).parents[1] / "golden" / "chunks1.npz"


def round_trip(array: Values, tolerance: Tolerance) -> Values:
    found = decode_chunk(encode_chunk(array, tolerance))
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    return found


@given(st.sampled_from(KINDS), ARRAY_SHAPES, TYPES, TOLERANCES, st.booleans(), st.integers(0, 3))
@example("denormal", (9, 61), "float32", Tolerance("relative_error", 1e-3), False, 0)
@example("huge", (9, 61), "float64", Tolerance("relative_error", 1e-12), False, 0)
@example("noise", (6, 5, 7), "float64", Tolerance("relative_error", 1.5), True, 1)
@settings(max_examples=40, deadline=None)
def test_a_tolerance_holds(
    kind: str, shape: tuple[int, ...], dtype: str, tolerance: Tolerance, fortran: bool, gaps: int
) -> None:
    array = array_of(kind, shape, dtype)
    if gaps:
        flat = array.reshape(-1)
        flat[:: 3 * gaps] = np.nan
        flat[1::17] = 0.0
        flat[2::19] = -np.inf
    array = np.asfortranarray(array) if fortran else array
    found = round_trip(array, tolerance)
    assert outside(found, array, tolerance) == 0
    assert found.flags.f_contiguous or not array.flags.f_contiguous


def test_chunks_of_earlier_releases_decode_to_what_they_did() -> None:
    with np.load(GOLDEN, allow_pickle=False) as golden:
        names = [name.removeprefix("coded ") for name in golden.files if name.startswith("coded ")]
        assert set(names) >= {"bounded", "gaps", "relative", "rmse", "half", "exact"}
        for name in names:
            found, values = decode_chunk(golden[f"coded {name}"].tobytes()), golden[f"values {name}"]
            assert (found.dtype, found.shape) == (values.dtype, values.shape)
            drift = 0.25 if name == "half" else 1e-4  # of other machines: a float16 may round to its neighbour
            np.testing.assert_allclose(found.astype("f8"), values.astype("f8"), rtol=1e-4, atol=drift)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_exact_is_exact_bit_by_bit(dtype: str) -> None:
    array = np.array([[1.5, -0.0, 0.0, 65504.0], [6e-8, -3.25, 2.0**-14, 1.0]], dtype=dtype)
    assert round_trip(array, EXACT).tobytes() == array.tobytes()


@pytest.mark.parametrize("tolerance", [FINE, Tolerance("relative_error", 0.01), Tolerance("rmse", 0.05), EXACT])
def test_what_is_no_number_stays_where_it_is(tolerance: Tolerance) -> None:
    array = waves((3, 20, 30))
    array[0, :5, :6], array[1, 3, 4], array[2, 1:3, 7], array[:, 9, 9] = np.nan, np.inf, -np.inf, 0.0
    array[:, 12:, 20:] *= -1
    found = round_trip(array, tolerance)
    assert outside(found, array, tolerance) == 0
    assert not (np.sign(found) * np.sign(array) < 0).any()


@pytest.mark.parametrize("shape", [(), (0,), (4, 0, 3), (2, 3)])
@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, -7.5])
def test_arrays_of_one_value_or_none(shape: tuple[int, ...], value: float) -> None:
    for tolerance in (FINE, Tolerance("relative_error", 0.01), Tolerance("rmse", 0.05)):
        assert outside(round_trip(np.full(shape, value), tolerance), np.full(shape, value), tolerance) == 0


@pytest.mark.parametrize("fill_value", [-9999.0, 1e20, 0.0, np.nan])
def test_a_fill_value_is_exact_and_does_not_disturb(fill_value: float) -> None:
    array = waves((4, 30, 40))
    array[:, 5:20, 10:25] = np.nan
    missing = len(encode_chunk(array, FINE))
    array[:, 5:20, 10:25] = fill_value
    tolerance = Tolerance.of(0.05, None, None, fill_value)
    coded = encode_chunk(array, tolerance)
    assert np.array_equal(decode_chunk(coded)[:, 5:20, 10:25], array[:, 5:20, 10:25], equal_nan=True)
    assert len(coded) <= missing + 8


@pytest.mark.parametrize(
    "shape", [(1, 24, 32), (24, 1, 32), (24, 32, 1, 1), (1, 1, 24, 1, 32, 1)], ids=lambda shape: str(shape)
)
def test_axes_of_length_one_do_not_matter(shape: tuple[int, ...]) -> None:
    array = waves((24, 32))
    squeezed, other = encode_chunk(array, FINE), encode_chunk(array.reshape(shape), FINE)
    assert Chunk.unpack(other).tile == Chunk.unpack(squeezed).tile
    assert len(other) - len(squeezed) == len(shape) - 2


@pytest.mark.parametrize("shape", [(64,), (24, 32), (12, 24, 32), (2, 12, 24, 32), (1, 3, 10, 20, 30)])
@pytest.mark.parametrize("tolerance", [FINE, Tolerance("relative_error", 1e-4), Tolerance("rmse", 0.05)])
def test_a_header_is_short(shape: tuple[int, ...], tolerance: Tolerance) -> None:
    """Everything but streams and corrections; the means of channels beyond the first are coefficients."""
    coded = encode_chunk(waves(shape), tolerance)
    chunk = Chunk.unpack(coded)
    header = int.from_bytes(chunk.tile[:2], "little") + 2 + len(coded) - len(chunk.tile)
    assert header <= 100 + 8 * (chunk.tile_shape[0] - 1)


def test_a_chunk_takes_hardly_more_than_its_tile_needs() -> None:
    """Smooth data at a bound above their noise: fewer bytes than a twentieth of float32."""
    array = waves((8, 48, 64))
    assert len(encode_chunk(array, Tolerance("max_error", 0.1))) < array.nbytes / 20
    assert len(encode_chunk(array, Tolerance("relative_error", 0.1 / 280))) < array.nbytes / 20
    assert len(encode_chunk(array, Tolerance("rmse", 0.03))) < array.nbytes / 20


@pytest.mark.parametrize(
    ("tolerance", "array"),
    [
        (FINE, waves((3, 12, 16))),
        (EXACT, waves((6, 8))),
        (Tolerance("relative_error", 0.02), np.where(np.eye(12) > 0, np.nan, np.linspace(-3, 5, 144).reshape(12, 12))),
        (Tolerance("max_error", 0.1, 7.0), np.array([1.0, np.inf, 7.0, np.nan, 2.0, 7.0])),
    ],
)
def test_damaged_bytes_are_a_value_error(tolerance: Tolerance, array: Values) -> None:
    """Bytes changed, and the end cut off: an array of the same shape, or ValueError and nothing else."""
    coded = encode_chunk(array, tolerance)
    damaged = [coded[:length] for length in range(0, len(coded), 5)]
    damaged += [coded[:place] + bytes([coded[place] ^ 0x5A]) + coded[place + 1 :] for place in range(0, len(coded), 2)]
    refused = 0
    with np.errstate(all="ignore"):
        for data in damaged:
            try:
                decode_chunk(data)
            except ValueError:
                refused += 1
    assert refused > len(damaged) / 2


@pytest.mark.parametrize("array", [np.arange(3), np.ones(3, dtype=bool), np.ones(3, dtype=complex)])
def test_only_floats_are_taken(array: Values) -> None:
    with pytest.raises(ValueError, match="takes float16, float32 and float64, not"):
        encode_chunk(array, FINE)


def test_a_chunk_that_is_larger_than_a_tile_is_refused() -> None:
    array = np.broadcast_to(np.float32(1), (LARGEST_TILE // 8, 9))
    with pytest.raises(ValueError, match="too large for nnzip"):
        encode_chunk(array, FINE)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((0.05, None, None, None), FINE),
        (("0.05 K", None, None, float("nan")), FINE),
        ((None, "1%", None, -1.0), Tolerance("relative_error", 0.01, -1.0)),
        (("0.05degC", None, None, None), Tolerance("max_error", 0.05)),
        (("10 m**2 s**-2", None, None, None), Tolerance("max_error", 10.0)),
        ((None, None, "2", None), Tolerance("rmse", 2.0)),
    ],
)
def test_a_configuration_is_a_tolerance(
    arguments: tuple[Quantity | None, Quantity | None, Quantity | None, float | None], expected: Tolerance
) -> None:
    assert Tolerance.of(*arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, None, None, None), "needs one of max_error, relative_error and rmse, and has none"),
        ((0.1, 0.1, None, None), "has max_error and relative_error"),
        ((-0.1, None, None, None), "not a finite number >= 0"),
        ((float("nan"), None, None, None), "not a finite number >= 0"),
        (("small", None, None, None), "is no number"),
        (("0.1 %", None, None, None), "share of a range"),
        (("50 mK", None, None, None), "'50 mK' of an nnzip codec cannot be converted"),
        (("5 hPa", None, None, None), "write a number in those units"),
        ((None, "1 K", None, None), "write a number in shares of each value"),
        ((None, None, "0.1 m s-1 mean", None), "cannot be converted"),
    ],
)
def test_a_wrong_configuration_is_a_value_error(
    arguments: tuple[Quantity | None, Quantity | None, Quantity | None, float | None], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Tolerance.of(*arguments)
