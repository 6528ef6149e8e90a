"""An open archive as a lazy dataset: any index gives what decoding everything gives, and decodes only what it needs."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from nnzip.codec import compress
from nnzip.layers import LayerDecoder
from nnzip.reader import Archive
from numpy.typing import NDArray

import nnzip.plan.budget
from nnzip.container.manifest import StoredArray
from nnzip.container.zip import ArchiveReader
from nnzip.errors import CorruptArchiveError, UsageError
from tests.support.field_examples import smooth

TIMES, ROWS, COLUMNS = 10, 9, 16
NAMES = ("t2m", "t", "sst", "orography", "flipped")


def make_dataset() -> xr.Dataset:
    """Four variables of two groups, one with gaps, one in another order of dimensions, and a lossless one."""
    latitude, longitude = np.linspace(80, -80, ROWS), np.arange(COLUMNS) * 22.5
    sst = smooth((TIMES, ROWS, COLUMNS), 2)
    sst[:, 2:5, 3:9] = np.nan
    sst[7, 0] = np.nan
    variables: dict[str, Any] = {
        "t2m": (("time", "latitude", "longitude"), smooth((TIMES, ROWS, COLUMNS)), {"units": "K"}),
        "t": (("level", "time", "latitude", "longitude"), smooth((2, TIMES, ROWS, COLUMNS), 1)),
        "sst": (("time", "latitude", "longitude"), sst),
        "orography": (("latitude", "longitude"), smooth((1, ROWS, COLUMNS), 3)[0]),
        "flipped": (("longitude", "latitude", "time"), smooth((TIMES, ROWS, COLUMNS), 4).T.astype(np.float64)),
        "land": (("latitude", "longitude"), (np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) % 3 == 0).astype("i1")),
    }
    coordinates = {
        "time": np.datetime64("2016-10-02", "ns") + np.arange(TIMES) * np.timedelta64(6, "h"),
        "level": ("level", [850, 500], {"units": "hPa"}),
        "latitude": ("latitude", latitude, {"units": "degrees_north", "standard_name": "latitude"}),
        "longitude": ("longitude", longitude, {"units": "degrees_east", "standard_name": "longitude"}),
    }
    return xr.Dataset(variables, coordinates, {"title": "test"})


DATASET = make_dataset()


def write(directory: Path, name: str, target: nnzip.plan.budget.Target) -> Path:
    """An archive of DATASET in three segments."""
    path = directory / name
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nnzip.plan.budget, "SEGMENT_VALUES", 4 * 5 * ROWS * COLUMNS)
        patch.setattr(nnzip.plan.budget, "TILE_VALUES", 2 * ROWS * COLUMNS)
        compress(DATASET, path, target, effort="fast")
    return path


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One archive that has a field only, and one with all layers. Read only."""
    directory = tmp_path_factory.mktemp("reader")
    return {
        "field": write(directory, "field.nnz", nnzip.plan.budget.Target(ratio=6)),
        "bound": write(directory, "bound.nnz", nnzip.plan.budget.Target(max_error={None: 0.2})),
    }


@pytest.fixture(scope="module", params=["field", "bound"])
def archive(paths: dict[str, Path], request: pytest.FixtureRequest) -> Iterator[Archive]:
    with Archive(paths[request.param]) as opened:
        yield opened


@pytest.fixture(scope="module")
def whole(archive: Archive) -> xr.Dataset:
    """Everything, decoded at once."""
    return archive.dataset().load()


class Decoded:
    """Counts which fields (group, segment) are decoded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.segments: set[tuple[int, int]] = set()
        original = LayerDecoder.field

        def counted(layers: LayerDecoder, group: int, segment: int) -> Any:
            self.segments.add((group, segment))
            return original(layers, group, segment)

        monkeypatch.setattr(LayerDecoder, "field", counted)


def test_the_example_has_several_segments(archive: Archive) -> None:
    assert [len(group.segments) for group in archive.manifest.groups] == [3, 1]
    assert archive.groups[0].channels == 5


def test_the_dataset_is_the_source(archive: Archive, whole: xr.Dataset) -> None:
    assert list(whole.data_vars) == list(DATASET.data_vars)
    assert whole.attrs == DATASET.attrs
    for name in (*DATASET.coords, "land"):
        xr.testing.assert_identical(whole[name].variable, DATASET[name].variable)
    for name in NAMES:
        assert whole[name].dims == DATASET[name].dims
        assert whole[name].dtype == DATASET[name].dtype
        np.testing.assert_array_equal(np.isnan(whole[name]), np.isnan(DATASET[name]))
        error = np.abs(whole[name] - DATASET[name])
        assert float(error.max()) == pytest.approx(archive.manifest.errors[name].max_error, rel=1e-4)
        assert whole[name].attrs["nnzip_rmse"] == archive.manifest.errors[name].rmse
    assert whole["t2m"].attrs["units"] == "K"


def indexers(size: int) -> st.SearchStrategy[Any]:
    """Integers, slices with any step, and lists with repetitions."""
    positions = st.integers(-size, size - 1)
    return st.one_of(
        positions,
        st.lists(positions, max_size=5).map(lambda chosen: np.array(chosen, dtype=np.intp)),
        st.builds(slice, st.none() | positions, st.none() | positions, st.sampled_from((None, 1, 2, 3))),
        st.sampled_from((slice(None, None, -1), slice(None, None, -2))),
    )


@given(st.sampled_from(NAMES), st.data())
@settings(max_examples=40, deadline=None)
def test_any_index_gives_what_decoding_everything_gives(
    archive: Archive, whole: xr.Dataset, name: str, data: st.DataObject
) -> None:
    lazy = archive.dataset()[name]
    key = {dim: data.draw(indexers(size), label=str(dim)) for dim, size in lazy.sizes.items()}
    found, expected = lazy.isel(key), whole[name].isel(key)
    assert found.dims == expected.dims
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-6)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))


@pytest.mark.parametrize("kind", ["field", "bound"])
def test_only_the_segments_asked_for_are_decoded(
    paths: dict[str, Path], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = Decoded(monkeypatch)
    with Archive(paths[kind]) as archive:
        dataset = archive.dataset()
        part = dataset["t2m"].isel(time=4, latitude=slice(2, 4))
        assert decoded.segments == set(), "nothing is decoded before values are asked for"
        part.load()
        assert decoded.segments <= {(0, 1)}
        archive.select(["t"], "2016-10-02").load()
        assert decoded.segments <= {(0, 0), (0, 1)}
        dataset["orography"].load()
        assert (0, 2) not in decoded.segments
        if kind == "field":
            assert decoded.segments == {(0, 0), (0, 1), (1, 0)}


def test_a_selection_is_a_part_of_the_whole(archive: Archive, whole: xr.Dataset) -> None:
    chosen = archive.select(["sst"], "2016-10-03T06/2016-10-04", "-45,45,300,60")
    expected = whole["sst"].sel(time=slice("2016-10-03T06", "2016-10-04T18"))
    expected = expected.sel(latitude=slice(45, -45)).isel(longitude=[14, 15, 0, 1, 2])
    assert list(chosen.data_vars) == ["sst"]
    assert chosen["sst"].shape == expected.shape
    np.testing.assert_allclose(chosen["sst"].values, expected.values, rtol=1e-6)


def test_values_may_be_changed_by_their_owner(archive: Archive, whole: xr.Dataset) -> None:
    for name in ("t2m", "flipped"):
        first = archive.dataset()[name].load()
        first.values[...] = -1
        np.testing.assert_allclose(archive.dataset()[name].values, whole[name].values, rtol=1e-6)


def test_several_threads_may_read(archive: Archive, whole: xr.Dataset) -> None:
    dataset = archive.dataset()

    def read(number: int) -> bool:
        name, time = NAMES[number % 3], number % TIMES
        found = dataset[name].isel(time=time).values
        return bool(np.allclose(found, whole[name].isel(time=time).values, rtol=1e-6, equal_nan=True))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(40)))


# --- other grids ----------------------------------------------------------------------------------------------------


def test_regridding_to_the_source_grid_changes_nothing(archive: Archive, whole: xr.Dataset) -> None:
    regridded = archive.regrid(DATASET["latitude"].values, DATASET["longitude"].values)
    for name in NAMES:
        np.testing.assert_allclose(regridded[name].values, whole[name].values, rtol=1e-6)
    assert regridded["latitude"].attrs == DATASET["latitude"].attrs
    assert "land" not in regridded, "what cannot be regridded is left out"


def test_regridding_in_the_other_convention(archive: Archive, whole: xr.Dataset) -> None:
    longitude = np.arange(COLUMNS) * 22.5 - 180
    regridded = archive.regrid(DATASET["latitude"].values, longitude, ["t2m"])
    np.testing.assert_allclose(regridded["t2m"].values, np.roll(whole["t2m"].values, 8, axis=-1), rtol=1e-6)


def test_between_points_it_is_linear_also_across_the_seam(archive: Archive, whole: xr.Dataset) -> None:
    regridded = archive.regrid(np.array([70.0]), np.array([11.25, 348.75, 359.0]), ["t2m"])["t2m"]
    rows = whole["t2m"].values[:, :2].astype(np.float64).mean(axis=1)
    expected = np.stack([rows[:, 0] + rows[:, 1], rows[:, 15] + rows[:, 0]], axis=-1) / 2
    np.testing.assert_allclose(regridded.values[:, 0, :2], expected, rtol=0, atol=2e-3)
    assert regridded.sizes == {"time": TIMES, "latitude": 1, "longitude": 3}


def test_gaps_are_those_of_the_nearest_point(archive: Archive) -> None:
    near = archive.regrid(np.array([79.0, 41.0]), np.array([0.0, 60.0, 190.0]), ["sst"])["sst"]
    missing = np.isnan(DATASET["sst"].values)[:, [0, 2]][:, :, [0, 3, 8]]
    np.testing.assert_array_equal(np.isnan(near), missing)


def test_chosen_variables_only(archive: Archive) -> None:
    regridded = archive.regrid(np.array([0.0]), np.array([0.0]), ["orography"])
    assert list(regridded.data_vars) == ["orography"]


@pytest.mark.parametrize(
    ("latitude", "longitude", "variables", "message"),
    [
        ([95.0, 89.0], [0.0], None, None),
        ([-101.0], [0.0], None, "latitude -101 lies outside"),
        ([np.nan], [0.0], None, "latitude nan"),
        ([0.0], [0.0], ["t2"], "did you mean t2m"),
    ],
)
def test_impossible_grids_are_refused(
    archive: Archive, latitude: list[float], longitude: list[float], variables: list[str] | None, message: str | None
) -> None:
    if message is None:
        archive.regrid(np.array(latitude), np.array(longitude), variables)
        return
    with pytest.raises(UsageError, match=message):
        archive.regrid(np.array(latitude), np.array(longitude), variables)


def test_data_without_degrees_have_no_other_grid(tmp_path: Path) -> None:
    dataset = xr.Dataset({"a": (("y", "x"), smooth((1, 8, 9))[0])})
    compress(dataset, tmp_path / "a.nnz", nnzip.plan.budget.Target(size_bytes=800), effort="fast")
    with Archive(tmp_path / "a.nnz") as archive:
        assert archive.dataset()["a"].shape == (8, 9)
        with pytest.raises(UsageError, match="'a' has no regular latitudes"):
            archive.regrid(np.zeros(1), np.zeros(1))


# --- layers and damage ----------------------------------------------------------------------------------------------


def test_the_field_alone_is_a_preview(paths: dict[str, Path]) -> None:
    with Archive(paths["bound"], layer="field") as preview, Archive(paths["bound"]) as complete:
        coarse, fine = preview.dataset()["t2m"].values, complete.dataset()["t2m"].values
    truth = DATASET["t2m"].values
    assert np.abs(fine - truth).max() <= 0.2
    assert np.abs(coarse - truth).max() > 0.2
    with pytest.raises(UsageError, match="no layer 'detail'"):
        Archive(paths["bound"], layer="detail")


@pytest.mark.parametrize("member", ["f0.1"])
def test_damage_is_an_error_where_it_is_read(paths: dict[str, Path], tmp_path: Path, member: str) -> None:
    with Archive(paths["field"]) as archive:
        content = archive.reader.read(member)
    data = bytearray(paths["field"].read_bytes())
    data[data.index(content) + len(content) // 2] ^= 1
    damaged = tmp_path / "damaged.nnz"
    damaged.write_bytes(data)
    with Archive(damaged) as archive:
        archive.dataset()["orography"].load()
        with pytest.raises(CorruptArchiveError):
            archive.dataset()["sst"].isel(time=5).load()


def test_an_archive_whose_coordinates_are_damaged_is_closed_again(
    paths: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []
    original = ArchiveReader.close

    def close(reader: ArchiveReader) -> None:
        original(reader)
        closed.append(True)

    def damaged(reader: ArchiveReader, array: StoredArray) -> NDArray[Any]:
        raise CorruptArchiveError("damaged")

    monkeypatch.setattr(ArchiveReader, "read_array", damaged)
    monkeypatch.setattr(ArchiveReader, "close", close)
    with pytest.raises(CorruptArchiveError):
        Archive(paths["field"])
    assert closed == [True]
