"""Maps: geometry of the projections, coastlines, colours, images that hide no error."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from nnzip.report import coasts
from nnzip.report.maps import Frame, Mark, Picture, draw_map, error_scale, field_scale, size_scale
from nnzip.report.projection import choose_projection
from nnzip.report.raster import png, projected

GLOBE = (-180.0, 180.0, -90.0, 90.0)
EXTENTS = {"globe": GLOBE, "arctic": (0.0, 360.0, 55.0, 90.0), "antarctic": (-180.0, 180.0, -90.0, -50.0)}


@pytest.mark.parametrize("extent", EXTENTS.values(), ids=EXTENTS)
def test_projections_invert_and_keep_areas(extent: tuple[float, float, float, float]) -> None:
    projection = choose_projection(extent, True)
    south, north = extent[2:]
    rng = np.random.default_rng(0)
    longitude, latitude = rng.uniform(-179, 179, 500), rng.uniform(south + 0.1, north - 0.1, 500)
    x, y = projection.forward(longitude, latitude)
    back = projection.inverse(x, y)
    np.testing.assert_allclose((back[0] - longitude + 180) % 360 - 180, 0, atol=1e-3)
    np.testing.assert_allclose(back[1], latitude, atol=1e-3)
    dots = (np.arange(800) + 0.5) / 800
    seen = projection.inverse(*np.meshgrid(dots, dots))
    inside, middle = np.isfinite(seen[0]), (south + north) / 2
    share = np.mean(seen[1][inside] < middle)
    low, high, half = np.sin(np.radians((south, north, middle)))
    assert share == pytest.approx((half - low) / (high - low), abs=0.005)


def test_regions_ask_for_their_projection() -> None:
    assert "Equal Earth" in choose_projection((0, 360, -90, 90), True).name
    assert "zimuthal" in choose_projection((0, 360, 60, 90), True).name
    assert choose_projection((-10, 3, 50, 59), True).name == ""
    assert choose_projection((0, 360, 0, 180), False).name == ""
    assert choose_projection((-10, 10, 55, 65), True).height == pytest.approx(1.0, rel=0.01)  # 60 N: half as wide


def test_a_single_wrong_cell_shows_on_the_globe() -> None:
    field = np.zeros((90, 180))
    field[2, 77] = -5.0  # near the pole, where cells are narrower than dots
    picture, inside = projected(field, GLOBE, choose_projection(GLOBE, True), extremes=True)
    assert picture[inside].min() == -5
    assert not inside[0, 0]


def test_images_have_missing_values_grey_and_space_clear() -> None:
    field = np.array([[0.0, 1.0], [np.nan, 5.0]])
    uri = png(field, np.array([[True, True], [True, False]]), (0.0, 1.0), "gray", 2)
    image = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGBA")
    assert image.getpixel((0, 1)) == (184, 188, 196, 255)
    assert image.getpixel((1, 1))[3] == 0  # type: ignore[index]
    assert image.getpixel((0, 0)) != image.getpixel((1, 0))


def test_values_on_both_sides_of_zero_get_colours_that_part_there() -> None:
    wind, pressure = np.array([-8.0, 10.0]), np.array([98e3, 102e3])
    assert field_scale([wind], "u", "m s**-1").limits == (-10, 10)
    assert field_scale([pressure], "msl", "Pa").limits == (98e3, 102e3)
    assert field_scale([wind], "t2m", "degC").limits == (-8, 10)
    errors = error_scale([wind], "K")
    assert errors.limits[0] == -errors.limits[1]
    assert errors.levels % 2 == 1  # zero is one colour
    assert size_scale([np.array([0.0, 2.0])], "RMSE", "K").limits[0] == 0
    assert error_scale([np.zeros(3)], "K").limits == (-1, 1)


def test_a_map_has_a_picture_and_its_symbols_for_every_step() -> None:
    fields = [np.full((10, 20), value) for value in (1.0, 2.0)]
    pictures = [Picture(field, (Mark("ring", 5.0, 52.0),)) for field in fields]
    frame = Frame((0.0, 20.0, 45.0, 55.0), True)
    text = draw_map(pictures, frame, field_scale(fields, "t", "K"), 'of "t"')
    assert text.count("<image") == 3  # and the colour bar
    assert text.count('<g class="step step-1"><g fill="none"') == 1
    assert 'aria-label="of &quot;t&quot;"' in text


def test_coastlines_lie_where_they_should_and_maps_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    field = np.zeros((10, 20))
    frame, scale = Frame((-10.0, 4.0, 49.0, 60.0), True), field_scale([field], "t", "K")
    if coasts.available():
        lines = list(coasts.coastlines(frame.extent))
        dover = min(float(np.nanmin(np.hypot(line[:, 0] - 1.35, line[:, 1] - 51.13))) for line in lines)
        assert dover < 0.1
        shifted = list(coasts.coastlines((350.0, 364.0, 49.0, 60.0)))
        assert sum(map(len, shifted)) == sum(map(len, lines))
        assert 'class="shared"' in draw_map([Picture(field)], frame, scale, "")
    monkeypatch.setattr(coasts, "_folder", lambda: None)
    other = Frame((-10.0, 4.0, 49.0, 61.0), True)
    assert 'class="shared"' not in draw_map([Picture(field)], other, scale, "")
