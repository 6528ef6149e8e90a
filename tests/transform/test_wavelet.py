"""The CDF 9/7 wavelet: perfect reconstruction on any grid, and agreement with the published filters."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnzip.coder.bands import band_edges
from nnzip.transform import wavelet

# Analysis filters of the CDF 9/7 wavelet (Cohen, Daubechies & Feauveau 1992; JPEG 2000, ISO/IEC 15444-1, table F.2),
# scaled to the DC gain sqrt(2) and the sign of a prediction error. Centred on even and on odd samples.
LOW = {0: 0.8526986790094, 1: 0.3774028556126, 2: -0.1106244044184, 3: -0.0238494650194, 4: 0.0378284555070}
HIGH = {0: 0.7884856164057, 1: -0.4180922732222, 2: -0.0406894176096, 3: 0.0645388826289}

LENGTHS = st.one_of(st.sampled_from((1, 2, 3, 7, 8, 9, 13, 31)), st.integers(1, 40))


def filtered(signal: np.ndarray, periodic: bool) -> np.ndarray:
    """One level by plain convolution: `signal` extended, low half first."""
    length = len(signal)

    def at(index: int) -> float:
        if periodic and length % 2 == 0:
            return float(signal[index % length])
        index = abs(index) % (2 * (length - 1))
        return float(signal[min(index, 2 * (length - 1) - index)])

    def convolved(taps: dict[int, float], centre: int) -> float:
        return sum(w * (at(centre) if k == 0 else at(centre - k) + at(centre + k)) for k, w in taps.items())

    low = [convolved(LOW, centre) for centre in range(0, length, 2)]
    high = [convolved(HIGH, centre) for centre in range(1, length, 2)]
    return np.array(low + high)


def random(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=dtype)


@given(
    st.tuples(LENGTHS, LENGTHS, LENGTHS),
    st.tuples(*[st.booleans()] * 3),
    st.sampled_from((torch.float32, torch.float64)),
)
@settings(max_examples=80, deadline=None)
def test_inverse_reconstructs_any_shape(shape: tuple[int, ...], periodic: tuple[bool, ...], dtype: torch.dtype) -> None:
    values = random(shape, dtype)
    kept = values.clone()
    depths = [wavelet.max_depth(length) for length in shape]
    coefficients = wavelet.forward(values, depths, periodic)
    assert coefficients.shape == values.shape
    assert coefficients.dtype == dtype
    tolerance = 2e-5 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(wavelet.inverse(coefficients, depths, periodic), values, rtol=0, atol=tolerance)
    assert torch.equal(values, kept)


def test_leading_dimensions_are_transformed_one_by_one() -> None:
    values = random((3, 4, 17, 20))
    together = wavelet.forward(values, (1, 2), (False, True))
    for index in np.ndindex(3, 4):
        assert torch.equal(together[index], wavelet.forward(values[index], (1, 2), (False, True)))


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("length", [8, 9, 16, 21, 34])
def test_one_level_is_the_published_filter_bank(length: int, periodic: bool) -> None:
    signal = random((length,))
    found = wavelet.forward(signal, (1,), (periodic,)).numpy()
    np.testing.assert_allclose(found, filtered(signal.numpy(), periodic), atol=1e-10)


def test_deeper_levels_split_the_low_band() -> None:
    signal = random((45,)).numpy()
    first = filtered(signal, False)
    second = filtered(first[:23], False)
    third = filtered(second[:12], False)
    expected = np.concatenate([third, second[12:], first[23:]])
    np.testing.assert_allclose(wavelet.forward(torch.from_numpy(signal), (3,), (False,)).numpy(), expected, atol=1e-10)


def test_axes_are_separable() -> None:
    values = random((12, 15, 18))
    by_axis = values
    for axis, (depth, closed) in enumerate(zip((1, 2, 2), (False, False, True), strict=True)):
        moved = wavelet.forward(by_axis.movedim(axis, -1), (depth,), (closed,))
        by_axis = moved.movedim(-1, axis)
    torch.testing.assert_close(wavelet.forward(values, (1, 2, 2), (False, False, True)), by_axis)


def test_polynomials_of_degree_three_leave_no_detail() -> None:
    t = torch.arange(64, dtype=torch.float64) / 64
    coefficients = wavelet.forward(1 - 2 * t + 3 * t**2 - t**3, (1,), (False,))
    assert coefficients[36:60].abs().max() < 1e-9  # away from the ends


def test_a_periodic_axis_has_no_seam() -> None:
    """Rotating a periodic signal by a multiple of 2^depth rotates every band."""
    signal = random((48,))
    depth = 3
    rotated = wavelet.forward(signal.roll(16), (depth,), (True,))
    plain = wavelet.forward(signal, (depth,), (True,))
    for start, stop in band_edges(48, depth):
        expected = plain[start:stop].roll(16 * (stop - start) // 48)
        torch.testing.assert_close(rotated[start:stop], expected, rtol=0, atol=1e-12)


@given(st.integers(1, 5000))
@settings(max_examples=60, deadline=None)
def test_bands_cover_an_axis(length: int) -> None:
    depth = wavelet.max_depth(length)
    edges = band_edges(length, depth)
    assert edges[0] == (0, math.ceil(length / 2**depth))
    assert edges[0][1] < wavelet.SHORTEST
    assert [start for start, _ in edges[1:]] == [stop for _, stop in edges[:-1]]
    assert edges[-1][1] == length


@pytest.mark.parametrize("depth", range(7))
def test_basis_functions_have_norms_near_one(depth: int) -> None:
    norms = wavelet.band_norms(depth)
    assert len(norms) == depth + 1
    assert min(norms) > 0.98
    assert max(norms) < 1.05


def test_white_errors_of_coefficients_keep_their_energy() -> None:
    """Why one quantisation step serves all bands."""
    errors = random((32, 48, 64))
    values = wavelet.inverse(errors, (2, 3, 3), (False, False, True))
    assert float(values.square().mean() / errors.square().mean()) == pytest.approx(1, abs=0.15)
