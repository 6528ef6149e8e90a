"""The fields that are drawn: the worst one among them, north up, coarsened without hiding errors."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from nnzip.evaluate.evaluate import evaluate
from nnzip.report.fields import MapField, chosen_steps, image_plan, step_fields


def _worst(latitude: np.typing.NDArray[np.float64], geographic: bool = True, dots: int = 1000) -> MapField:
    values = np.arange(2 * latitude.size * 6, dtype=np.float64).reshape(2, latitude.size, 6)
    coords = {"time": [0, 1], "lat": latitude, "lon": np.arange(6) * 2.0} if geographic else {"time": [0, 1]}
    original = xr.Dataset({"t": (("time", "lat", "lon"), values, {"units": "K"})}, coords)
    decoded = original.copy(deep=True)
    decoded["t"][1, 1, 4] -= 3.0
    decoded["t"][1, 3, 0] += 1.0
    decoded["t"][0, 0, 0] = np.nan
    scores = evaluate(original, decoded, structure=False).variables[0]
    steps, place = chosen_steps(original["t"], scores, 5)
    assert (steps, place) == ([0, 1], 1)
    return step_fields(original["t"], decoded["t"].transpose("lon", "time", "lat"), scores, steps, dots)[place]


@pytest.mark.parametrize("descending", [True, False])
def test_the_field_of_the_largest_error_north_up(descending: bool) -> None:
    latitude = np.linspace(40, 10, 4) if descending else np.linspace(10, 40, 4)
    field = _worst(latitude)
    assert field.extent == (-1, 11, 5, 45)
    assert field.worst == (8.0, 30.0 if descending else 20.0)
    row = 1 if descending else 2
    assert field.error[row, 4] == -3
    assert np.count_nonzero(field.error) == 2
    np.testing.assert_array_equal(field.error, field.decoded - field.original)


def test_index_space_has_row_0_on_top() -> None:
    field = _worst(np.arange(4.0), geographic=False)
    assert not field.geographic
    assert field.error[1, 4] == -3
    assert field.worst == (4.0, 2.0)


def test_coarse_maps_keep_the_worst_error_of_every_block() -> None:
    field = _worst(np.linspace(40, 10, 4), dots=6)
    assert field.block == 2
    assert field.error.shape == field.original.shape == (2, 3)
    assert field.error[0, 2] == -3
    assert field.error[1, 0] == 1
    assert field.original[0, 0] == pytest.approx(np.mean([24, 25, 30, 31]))


def test_the_step_of_the_largest_error_is_one_of_those_shown() -> None:
    values = np.zeros((100, 4, 5))
    original = xr.Dataset({"t": (("time", "lat", "lon"), values)}, {"lat": np.arange(4.0), "lon": np.arange(5.0)})
    decoded = original.copy(deep=True)
    decoded["t"][37, 2, 2] = 1
    scores = evaluate(original, decoded, structure=False).variables[0]
    steps, place = chosen_steps(original["t"], scores, 5)
    assert steps[place] == 37
    assert len(steps) == 5
    assert steps[0] == 0
    assert steps[-1] == 99


@pytest.mark.parametrize("images", [(3, 2), (21, 14), (300, 200)])
def test_many_images_are_fewer_or_smaller(images: tuple[int, int]) -> None:
    steps, dots = image_plan(*images, 1_000_000, 24)
    assert dots * (steps * images[0] + images[1]) <= 3_600_000
    assert image_plan(*images, 1_000_000, 1)[0] == 1
