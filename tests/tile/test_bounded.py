"""The promise: at every point of every kind of data the decoded value is within the bound, through real archives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import nnzip
from nnzip.errors import UsageError
from nnzip.tile import bounded

KINDS = ("noise", "smooth", "steps", "constant", "spikes", "rain")
SIZES = st.tuples(st.sampled_from([1, 2, 3, 7, 12]), st.sampled_from([2, 3, 11]), st.sampled_from([2, 5, 13]))


def field(kind: str, shape: tuple[int, ...], seed: int) -> NDArray[np.float64]:
    generator = np.random.default_rng(seed)
    if kind == "noise":
        return generator.normal(size=shape)
    if kind == "smooth":
        return np.sin(sum(np.meshgrid(*(np.linspace(0, 2, n) for n in shape), indexing="ij"))) + 280
    if kind == "steps":
        return np.floor(3 * generator.random(shape)) * 10
    if kind == "constant":
        return np.full(shape, 273.15)
    if kind == "spikes":
        return np.where(generator.random(shape) < 0.1, 1e30, 1e-30)
    return np.maximum(generator.normal(size=shape) - 1, 0) ** 3


def dataset(values: NDArray[np.floating]) -> xr.Dataset:
    times = np.datetime64("2016-10-01", "ns") + np.arange(values.shape[0]) * np.timedelta64(6, "h")
    coords = {"time": times, "lat": np.linspace(60, 30, values.shape[1]), "lon": np.linspace(0, 40, values.shape[2])}
    attrs = {"lat": {"units": "degrees_north"}, "lon": {"units": "degrees_east"}}
    made = xr.Dataset({"x": (("time", "lat", "lon"), values, {"units": "K"})}, coords)
    for name, own in attrs.items():
        made[name].attrs.update(own)
    return made


def largest_error(original: xr.Dataset, path: Path) -> float:
    with nnzip.open_archive(path) as archive:
        decoded = archive.dataset()["x"].to_numpy().astype(np.float64)
    wanted = original["x"].to_numpy().astype(np.float64)
    np.testing.assert_array_equal(np.isnan(decoded), np.isnan(wanted))
    return float(np.nanmax(np.abs(decoded - wanted)))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(KINDS),
    SIZES,
    st.sampled_from([1e-5, 1e-3, 0.03, 1.0]),
    st.booleans(),
    st.integers(0, 2),
    st.booleans(),
)
def test_bound_holds(
    tmp_path: Path, kind: str, shape: tuple[int, ...], share: float, single: bool, missing: int, with_field: bool
) -> None:
    values: NDArray[np.floating] = field(kind, shape, seed=len(kind))
    values = values.astype(np.float32) if single else values
    generator = np.random.default_rng(1)
    if missing == 1:
        values[:, generator.random(shape[1:]) < 0.3] = np.nan
    elif missing == 2:
        values[generator.random(shape) < 0.3] = np.nan
    if not np.isfinite(values).any():
        return
    original = dataset(values)
    spread = float(np.nanmax(values) - np.nanmin(values))
    bound = share * spread if spread > 0 else 0.01
    path = tmp_path / "a.nnz"
    target = nnzip.Target(max_error={"x": bound})
    largest = np.nanmax(np.abs(values)) + values.dtype.type(bound)
    if bound <= 2e-6 * spread + float(np.spacing(largest)) / 2:  # finer than any decoder can promise
        with pytest.raises(UsageError, match="cannot be promised"):
            nnzip.compress(original, path, target, effort="fast", overwrite=True)
        return
    nnzip.compress(original, path, target, effort="fast", with_field=with_field, overwrite=True)
    assert largest_error(original, path) <= bound


def test_bound_below_the_guard_is_refused_with_numbers(tmp_path: Path) -> None:
    original = dataset(field("smooth", (3, 11, 13), 0).astype(np.float32))
    with pytest.raises(UsageError, match=r"1e-07 K of x cannot be promised.*differ by.*float32 rounds by.*at least"):
        nnzip.compress(original, tmp_path / "a.nnz", nnzip.Target(max_error={"x": 1e-7}))
    assert not list(tmp_path.iterdir())


def test_notes_on_packing_and_on_second_compression(tmp_path: Path) -> None:
    original = dataset(field("noise", (3, 11, 13), 0).astype(np.float32))
    original["x"].encoding["scale_factor"] = 0.5
    result = nnzip.compress(original, tmp_path / "a.nnz", nnzip.Target(max_error={"x": 0.1}), effort="fast")
    assert any("half the step 0.5" in note for note in result.notes)
    with nnzip.open_archive(tmp_path / "a.nnz") as archive:
        again = archive.dataset().load()
    second = nnzip.compress(again, tmp_path / "b.nnz", nnzip.Target(max_error={"x": 0.1}), effort="fast")
    assert any("decoded by nnzip before" in note for note in second.notes)
    assert "nnzip_rmse" in again["x"].attrs


def test_levels_and_groups_share_an_archive(tmp_path: Path) -> None:
    sample = nnzip.make_sample(resolution=6.0, hours=24, step_hours=3)
    path = tmp_path / "a.nnz"
    bounds: dict[str | None, str | float] = {"t2m": "0.2K", "tp": "0.1mm", "msl": "1hPa", None: "1%"}
    result = nnzip.compress(sample, path, nnzip.Target(max_error=bounds), effort="fast")
    with nnzip.open_archive(path) as archive:
        decoded = archive.dataset().load()
        promised = {name: variable.bound for name, variable in archive.manifest.variables.items()}
    assert promised["t2m"] == pytest.approx(0.2)
    assert promised["tp"] == pytest.approx(1e-4)
    assert promised["msl"] == pytest.approx(100)
    for name in sample.data_vars:
        error = np.abs(decoded[name].astype("f8") - sample[name].astype("f8"))
        assert float(error.max()) <= (promised[str(name)] or 0)
        assert result.errors[str(name)].max_error == pytest.approx(float(error.max()))
    assert float(decoded["tp"].min()) >= 0


def test_field_layer_alone_is_a_coarse_preview(tmp_path: Path) -> None:
    sample = nnzip.make_sample(resolution=6.0, hours=24, step_hours=3, variables=["t2m"])
    path = tmp_path / "a.nnz"
    nnzip.compress(sample, path, nnzip.Target(max_error={"t2m": 0.05}), effort="fast")
    with nnzip.open_archive(path, layer="field") as archive:
        preview = archive.dataset()["t2m"].to_numpy()
    error = float(np.sqrt(np.square(preview - sample["t2m"].to_numpy()).mean()))
    assert 0.05 < error < 0.6 * float(sample["t2m"].std())
    with pytest.raises(UsageError, match="no layer 'detail'"):
        nnzip.open_archive(path, layer="detail")


def test_a_part_of_a_tile_chooses_the_coding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As good as all of it, to one per cent, and the bound holds as ever."""
    waves = [np.roll(field("smooth", (24, 24, 32), 0), shift, axis=2) for shift in (0, 3, 5, 4)]
    noise = np.random.default_rng(0).normal(scale=0.1, size=(4, 24, 24, 32))
    times = dataset(waves[0])
    levels = xr.concat([times["x"].copy(data=wave + more) for wave, more in zip(waves, noise, strict=True)], "level")
    original = levels.transpose("time", "level", "lat", "lon").to_dataset()
    sizes = []
    for values, channels in ((1 << 20, 5), (1, 4)):
        monkeypatch.setattr(bounded, "_SAMPLE_VALUES", values)
        monkeypatch.setattr(bounded, "_MANY_CHANNELS", channels)
        path = tmp_path / f"{values}.nnz"
        result = nnzip.compress(original, path, nnzip.Target(max_error={"x": 0.02}), effort="fast")
        assert largest_error(original, path) <= 0.02
        sizes.append(result.file_bytes)
    assert sizes[1] < 1.01 * sizes[0]
