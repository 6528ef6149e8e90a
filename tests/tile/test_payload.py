"""The detail layer: what decoding gives is what the encoder saw, for both codings, and damage is reported."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnzip.errors import CorruptArchiveError
from nnzip.field.device import CPU
from nnzip.tile.payload import Detail, encode_interpolation, encode_wavelet, read_detail
from nnzip.tile.tile import compose, decode_tile
from nnzip.transform.wavelet import max_depth

FLAGS = (False, False, False)
SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 13), st.integers(1, 17))


def waves(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float64]:
    """A smooth field plus noise."""
    generator = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.linspace(0, 3, n) for n in shape), indexing="ij")
    return np.sin(sum(axes)) * 10 + generator.normal(scale=0.1, size=shape)


def limits(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.stack([values.min(axis=(1, 2, 3)), values.max(axis=(1, 2, 3))]).astype(np.float32)


def wavelet_of(values: NDArray[np.float64], step: float) -> tuple[bytes, NDArray[np.floating]]:
    """The payload, and what the encoder saw."""
    seen = np.empty(values.shape, dtype=np.float32)
    depths = (max_depth(values.shape[1]), max_depth(values.shape[2]), max_depth(values.shape[3]))
    tensor = torch.from_numpy(values.astype(np.float32))
    return encode_wavelet(tensor, step, depths, FLAGS, limits(values), None, seen.__setitem__), seen


def interpolation_of(values: NDArray[np.float64], step: float) -> tuple[bytes, NDArray[np.floating]]:
    """The payload, and what the encoder saw."""
    seen = np.empty(values.shape)
    return encode_interpolation(values, step, limits(values), CPU, seen.__setitem__), seen


def decoded_channels(detail: Detail) -> NDArray[np.floating]:
    return np.stack(list(detail.channels(torch.device("cpu"))))


@settings(max_examples=25, deadline=None)
@given(SHAPES, st.sampled_from([0.01, 0.3, 5.0]))
def test_wavelet_decodes_to_what_the_encoder_saw(shape: tuple[int, int, int, int], step: float) -> None:
    values = waves(shape)
    data, seen = wavelet_of(values, step)
    detail = read_detail(data, shape, FLAGS)
    decoded = decoded_channels(detail)
    np.testing.assert_array_equal(decoded, seen)
    assert not detail.absolute
    assert np.sqrt(np.square(decoded - values).mean()) < step


@settings(max_examples=25, deadline=None)
@given(SHAPES, st.floats(1e-3, 10.0))
def test_interpolation_is_within_half_a_step_everywhere(shape: tuple[int, int, int, int], step: float) -> None:
    values = waves(shape, seed=1)
    data, seen = interpolation_of(values, step)
    detail = read_detail(data, shape, FLAGS)
    decoded = decoded_channels(detail)
    np.testing.assert_array_equal(decoded, seen)
    assert detail.absolute
    assert np.abs(decoded - values).max() <= step / 2 * (1 + 1e-12)


def test_finer_steps_cost_more_and_err_less() -> None:
    values = waves((1, 8, 24, 32))
    sizes, errors = [], []
    for step in (0.1, 0.4, 1.6):
        data, seen = wavelet_of(values, step)
        sizes.append(len(data))
        errors.append(float(np.abs(seen - values).max()))
    assert sizes == sorted(sizes, reverse=True)
    assert errors == sorted(errors)


def test_values_stay_within_the_limits_of_the_data() -> None:
    rain = np.maximum(waves((1, 4, 16, 16)), 0)
    data, seen = wavelet_of(rain, 4.0)
    assert seen.min() < 0
    detail = read_detail(data, rain.shape, FLAGS)
    assert compose(seen[0], 0.0, detail.limits[:, 0]).min() == 0
    assert decode_tile(detail, b"", lambda _: np.zeros(rain.shape[1:]), "float32", torch.device("cpu")).min() == 0


def test_too_large_values_for_integers_are_refused() -> None:
    values = np.full((1, 2, 2, 2), 1e12)
    with pytest.raises(OverflowError, match=r"2\^30 steps"):
        interpolation_of(values, 1e-3)


@pytest.mark.parametrize("interpolated", [False, True])
def test_damage_is_reported(interpolated: bool) -> None:
    values = waves((2, 4, 9, 11))
    data = (interpolation_of if interpolated else wavelet_of)(values, 0.1)[0]
    with pytest.raises(CorruptArchiveError, match="shape"):
        decoded_channels(read_detail(data, (2, 4, 9, 12), FLAGS))
    with pytest.raises(CorruptArchiveError):
        decoded_channels(read_detail(data[:-3], values.shape, FLAGS))
    with pytest.raises(CorruptArchiveError, match="header"):
        decoded_channels(read_detail(data[:4] + b"\xc1" * 30 + data[34:], values.shape, FLAGS))
    reported = 0
    for position in range(4, len(data), 7):
        damaged = bytearray(data)
        damaged[position] ^= 0x55
        try:
            decoded_channels(read_detail(bytes(damaged), values.shape, FLAGS))
        except CorruptArchiveError:
            reported += 1
    assert reported > 0.8 * len(range(4, len(data), 7))
