"""Every layout in which ERA5 reaches users compresses within a bound and comes back as it was."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from nnzip.data.opening import open_dataset
from nnzip.download.variables import BY_NAME
from nnzip.errors import InputError, ResourceError
from nnzip.sample.sample import make_sample
from tests.conftest import Nnzip
from tests.support import era5_examples
from tests.support.era5_examples import netcdf

BOUND = 0.02  # of each variable's range


@pytest.fixture(scope="module")
def weather() -> xr.Dataset:
    """The sample, 6 times on a 13 x 24 grid. Read only."""
    return make_sample(resolution=15.0, hours=18, step_hours=3, variables=["t2m", "tp", "z"])


def packed(dataset: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Encodings as the Climate Data Store packed its files until 2024."""
    encodings = {}
    for name, array in dataset.data_vars.items():
        low, high = float(array.min()), float(array.max())
        scale = (high - low) / 65532
        encodings[str(name)] = {
            "dtype": "i2", "scale_factor": scale, "add_offset": low + 32766 * scale, "_FillValue": -32767,
            "missing_value": -32767,
        }  # fmt: skip
    return encodings


def current(weather: xr.Dataset) -> bytes:
    """valid_time, pressure_level, number and expver of the files since 2024, ERA5T at the end."""
    expver = np.array(["0001"] * 4 + ["0005"] * 2)
    return netcdf(weather.assign_coords(number=np.int64(0), expver=("valid_time", expver)))


def former(weather: xr.Dataset) -> bytes:
    """time, level, hours since 1900, int16, 64-bit offset NetCDF of the files until 2024."""
    old = weather.rename(valid_time="time", pressure_level="level")
    old = old.assign_coords(level=old.level.astype("i4"))
    old.time.encoding = {"units": "hours since 1900-01-01 00:00:00.0", "dtype": "i4"}
    return netcdf(old, format="NETCDF3_64BIT", encoding=packed(old))


def versions(weather: xr.Dataset) -> bytes:
    """expver as a dimension: final values first, ERA5T in the last two times, the others missing."""
    old = weather[["t2m", "tp"]].rename(valid_time="time")
    final, preliminary = (old.where(keep) for keep in (old.time < old.time[4], old.time >= old.time[4]))
    mixed = xr.concat([final, preliminary], "expver").assign_coords(expver=np.array([1, 5], "i4"))
    mixed = mixed.transpose("time", "expver", ...)
    return netcdf(mixed, format="NETCDF3_64BIT", encoding=packed(mixed))


def ascending(weather: xr.Dataset) -> bytes:
    """Latitudes from the south."""
    return netcdf(weather.isel(latitude=slice(None, None, -1)))


def around_greenwich(weather: xr.Dataset) -> bytes:
    """Longitudes from -180."""
    return netcdf(weather.assign_coords(longitude=(weather.longitude + 180) % 360 - 180).sortby("longitude"))


def members(weather: xr.Dataset) -> bytes:
    """The ensemble of ERA5: number as a dimension."""
    return netcdf(
        xr.concat([weather[["t2m"]] + 0.1 * number for number in range(3)], "number").assign_coords(number=[0, 1, 2])
    )


def zipped(weather: xr.Dataset) -> bytes:
    """A ZIP named .nc, instantaneous variables and sums apart."""
    import io

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for kind, names in (("instant", ["t2m"]), ("accum", ["tp"])):
            archive.writestr(f"data_stream-oper_stepType-{kind}.nc", netcdf(weather[names].assign_coords(number=0)))
    return buffer.getvalue()


def messages(weather: xr.Dataset) -> bytes:
    """GRIB messages of surface, levels, and sums along forecast steps."""
    pytest.importorskip("eccodes")
    times = era5_examples.hours("2016-10-01", "2016-10-01", 3)
    latitude, longitude = np.arange(2, -0.1, -0.25), np.arange(-1, 1.1, 0.25)
    surface = era5_examples.grib([BY_NAME["t2m"], BY_NAME["tp"]], times, latitude, longitude)
    return surface + era5_examples.grib([BY_NAME["z"], BY_NAME["t"]], times, latitude, longitude, (850, 500))


LAYOUTS: list[Callable[[xr.Dataset], bytes]] = [
    current, former, versions, ascending, around_greenwich, members, zipped, messages,
]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_a_layout_compresses_and_comes_back(
    layout: Callable[[xr.Dataset], bytes], weather: xr.Dataset, tmp_path: Path, nnzip: Nnzip
) -> None:
    source, archive = tmp_path / "source.nc", tmp_path / "archive.nnz"
    source.write_bytes(layout(weather))
    nnzip("compress", source, "-o", archive, "--max-error", f"{100 * BOUND}%", "--effort", "fast")
    nnzip("decompress", archive, "-o", tmp_path / "back.nc")
    with open_dataset(source) as dataset, open_dataset(tmp_path / "back.nc") as back:
        assert list(back.data_vars) == list(dataset.data_vars)
        assert set(back.coords) == set(dataset.coords)
        for name in dataset.coords:
            np.testing.assert_array_equal(back[name], dataset[name])
        for name, array in dataset.data_vars.items():
            assert back[name].dims == array.dims
            assert back[name].dtype == np.float32
            spread = float(array.max() - array.min())
            assert float(abs(back[name] - array).max()) <= BOUND * spread
            assert back[name].attrs["units"] == array.attrs["units"]


def test_current_files_keep_what_is_preliminary(weather: xr.Dataset, tmp_path: Path) -> None:
    (tmp_path / "a.nc").write_bytes(current(weather))
    with open_dataset(tmp_path / "a.nc") as dataset:
        assert dataset.expver.values.tolist() == ["0001"] * 4 + ["0005"] * 2


def test_mixed_versions_become_one_value_per_time(weather: xr.Dataset, tmp_path: Path) -> None:
    (tmp_path / "a.nc").write_bytes(versions(weather))
    with open_dataset(tmp_path / "a.nc") as dataset:
        assert dataset.t2m.dims == ("time", "latitude", "longitude")
        assert dataset.t2m.attrs["expver"] == "final ERA5 (expver 1) where it exists, else ERA5T (expver 5)"
        step = float(np.ptp(weather.t2m.to_numpy())) / 65532
        np.testing.assert_allclose(dataset.t2m, weather.t2m, atol=step)


def test_other_dimensions_called_expver_stay(weather: xr.Dataset, tmp_path: Path) -> None:
    odd = xr.concat([weather[["t2m"]]] * 2, "expver").assign_coords(expver=[1, 7])
    odd.to_netcdf(tmp_path / "a.nc")
    with open_dataset(tmp_path / "a.nc") as dataset:
        assert dataset.t2m.dims[0] == "expver"


def test_sums_along_forecast_steps_lie_on_the_times_of_the_analyses(weather: xr.Dataset, tmp_path: Path) -> None:
    (tmp_path / "a.nc").write_bytes(messages(weather))
    with open_dataset(tmp_path / "a.nc") as dataset:
        assert dataset.tp.dims == dataset.t2m.dims == ("valid_time", "latitude", "longitude")
        times = dataset.valid_time.to_numpy()
        wanted = era5_examples.values(BY_NAME["tp"], times, dataset.latitude.values, dataset.longitude.values)
        np.testing.assert_allclose(dataset.tp, wanted, atol=1e-9)


def test_forecasts_that_overlap_keep_their_steps(tmp_path: Path) -> None:
    """Two forecasts for one time are two values: nothing may be dropped."""
    eccodes = pytest.importorskip("eccodes")
    content = b""
    for reference, step in ((0, 12), (0, 24), (1200, 12), (1200, 24)):
        handle = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib1")
        for key, value in {"shortName": "tp", "dataDate": 20200101, "dataTime": reference}.items():
            eccodes.codes_set(handle, key, value)
        eccodes.codes_set(handle, "stepType", "accum")
        eccodes.codes_set(handle, "stepRange", f"0-{step}")
        content += eccodes.codes_get_message(handle)
        eccodes.codes_release(handle)
    (tmp_path / "a.grib").write_bytes(content)
    with open_dataset(tmp_path / "a.grib") as dataset:
        assert dataset.tp.dims[:2] == ("time", "step")


def test_a_damaged_zip(weather: xr.Dataset, tmp_path: Path) -> None:
    content = bytearray(zipped(weather))
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "a.nc").write_bytes(content)
    with pytest.raises(InputError, match=r"a.nc is a damaged ZIP file \(Bad CRC-32"):
        open_dataset(tmp_path / "a.nc")


def test_a_zip_that_does_not_fit_on_the_disk(
    weather: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    (tmp_path / "a.nc").write_bytes(zipped(weather))
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real(path)._replace(free=1000))
    with pytest.raises(ResourceError, match="set TMPDIR to a larger disk"):
        open_dataset(tmp_path / "a.nc")


def test_an_unpacked_zip_leaves_nothing_behind(
    weather: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "a.nc").write_bytes(zipped(weather))
    with open_dataset(tmp_path / "a.nc") as dataset:
        assert float(dataset.tp.max()) > 0
        assert len(list((tmp_path / "tmp").iterdir())) == 1
    assert not list((tmp_path / "tmp").iterdir())
