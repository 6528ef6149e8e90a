"""The evaluation of whole datasets: numbers, notes, bounded blocks, JSON, and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nnzip.errors import InputError
from nnzip.evaluate import pieces as module
from nnzip.evaluate.evaluate import evaluate
from nnzip.evaluate.pieces import block_slices
from nnzip.evaluate.weights import area_weights
from tests.support.expected_scores import expected_scores


def _pair(seed: int = 0) -> tuple[xr.Dataset, xr.Dataset]:
    rng = np.random.default_rng(seed)
    coords = {
        "time": xr.date_range("2016-10-05", periods=6, freq="6h"),
        "level": ("level", [850.0, 500.0], {"units": "hPa"}),
        "lat": np.linspace(60, 20, 13),
        "lon": np.arange(16) * 2.0,
    }
    dims = ("time", "lat", "lon")
    t2m = rng.normal(280, 5, (6, 13, 16)).astype(np.float32)
    z = rng.normal(5e4, 1e3, (6, 2, 13, 16))
    sst = np.where(rng.random((13, 16)) < 0.3, np.nan, t2m + 1).astype(np.float32)
    original = xr.Dataset(
        {
            "t2m": (dims, t2m, {"units": "K", "long_name": "2 metre temperature"}),
            "z": (("time", "level", "lat", "lon"), z, {"units": "m**2 s**-2"}),
            "sst": (dims, sst, {"units": "K"}),
            "empty": (dims, np.full_like(t2m, np.nan)),
            "count": (dims, t2m.astype(int)),
        },
        coords,
    )
    decoded = original.copy(deep=True)
    for name, scale in (("t2m", 0.1), ("z", 10.0), ("sst", 0.2)):
        values = original[name].values
        decoded[name] = (original[name].dims, (values + scale * rng.normal(size=values.shape)).astype(values.dtype))
    return original, decoded


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("block", [1, 500, 1 << 22])
def test_blocks_give_what_the_metrics_give_on_whole_arrays(
    monkeypatch: pytest.MonkeyPatch, block: int, lazy: bool
) -> None:
    monkeypatch.setattr(module, "BLOCK_VALUES", block)
    original, decoded = _pair()
    sides = (original.chunk(time=4), decoded.chunk(time=1)) if lazy else (original, decoded)
    evaluation = evaluate(*sides, file_bytes=1000)
    assert [scores.name for scores in evaluation.variables] == ["t2m", "z", "sst"]
    for scores in evaluation.variables:
        first, second = original[scores.name], decoded[scores.name]
        expected = expected_scores(first, second, area_weights(first).values[:, None])
        assert scores.weighting == "cell area"
        assert scores.rmse_unweighted == pytest.approx(expected["plain_rmse"])
        for metric in ("rmse", "mae", "bias", "max_error", "psnr", "correlation"):
            assert getattr(scores, metric) == pytest.approx(expected[metric])
        assert scores.minimum == first.min().item()
        worst = first.isel(scores.max_error_index) - second.isel(scores.max_error_index)
        assert abs(worst.item()) == pytest.approx(scores.max_error, rel=1e-3)


def test_sizes_count_every_compressed_value_once() -> None:
    original, decoded = _pair()
    evaluation = evaluate(original, decoded, variables=["t2m"], file_bytes=1000, parts={"field": 900, "rest": 100})
    values = 6 * 13 * 16 * 5  # t2m, two levels of z, sst, and empty: it was not looked at, so it counts
    assert evaluation.source_bytes == 4 * values
    evaluation = evaluate(original, decoded, file_bytes=1000, parts={"field": 900, "rest": 100})
    assert evaluation.source_bytes == 4 * 6 * 13 * 16 * 4  # empty has no value to compress
    assert evaluation.ratio == evaluation.source_bytes / 1000
    assert evaluation.bits_per_value == pytest.approx(8 * 1000 / (6 * 13 * 16 * 4))
    assert evaluation.variables[0].ratio == evaluation.ratio
    assert evaluation.parts == {"field": 900, "rest": 100}
    assert evaluate(original, decoded, file_bytes=1000, source_bytes=5000).ratio == 5
    without = evaluate(original, decoded)
    assert (without.ratio, without.variables[0].bits_per_value) == (None, None)


def test_places_and_missing_values_are_reported() -> None:
    original, decoded = _pair()
    decoded["z"][3, 1, 4, 5] += 1e4
    decoded["sst"][:, 0, 0] = np.where(np.isnan(original["sst"][:, 0, 0]), 0.0, np.nan)
    by_name = {scores.name: scores for scores in evaluate(original, decoded, structure=False).variables}
    assert by_name["z"].max_error_index == {"time": 3, "level": 1, "lat": 4, "lon": 5}
    at = by_name["z"].max_error_at
    assert (at["time"], at["level"], at["lon"]) == ("2016-10-05 18:00", "500 hPa", 10.0)
    assert by_name["sst"].missing == np.isnan(original["sst"].values).sum()
    assert by_name["sst"].missing_mismatch == 6
    assert by_name["t2m"].missing_mismatch == 0
    assert by_name["t2m"].structure is None


def test_notes_say_what_was_not_scored() -> None:
    original, decoded = _pair()
    notes = evaluate(original, decoded.drop_vars("z"), structure=False).notes
    assert len(notes) == 2
    assert "empty has no finite value" in notes[0]
    assert "z is not in the decoded dataset" in notes[1]
    decoded["empty"][0, 0, 0] = 1.0
    assert "1 positions differ" in evaluate(original, decoded, structure=False).notes[0]


def test_a_decoded_side_without_any_value_is_refused() -> None:
    original, decoded = _pair()
    with pytest.raises(InputError, match=r"'t2m' has 1248 finite values in the original but none of them is finite"):
        evaluate(original, decoded.assign(t2m=decoded.t2m * np.nan))


def test_an_exact_copy_scores_perfectly_and_is_valid_json() -> None:
    original, _ = _pair()
    evaluation = evaluate(original, original, file_bytes=10)
    record = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    first = record["variables"][0]
    assert (first["rmse"], first["max_error"], first["psnr"], first["correlation"]) == (0, 0, None, 1)
    assert first["structure"]["gradient_rmse"] == 0
    assert first["structure"]["dssim"] == pytest.approx(1)
    assert first["structure"]["effective_resolution"] == first["structure"]["grid_resolution"] == 4
    assert first["error_quantiles"] == {"0.99": 0, "0.9999": 0}
    assert first["lossless_ratio"] == first["source_bytes"] / first["lossless_bytes"]
    assert "histogram" not in first
    assert "spectrum" not in first["structure"]


def test_progress_rises_to_one() -> None:
    original, decoded = _pair()
    seen: list[float] = []
    evaluate(original, decoded, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1)


def test_chunks_of_a_lazy_dataset_are_read_once_and_one_block_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_VALUES", 200)
    loaded: list[int] = []

    def load(values: np.typing.NDArray[np.float64]) -> np.typing.NDArray[np.float64]:
        loaded.append(values.size)
        return values

    dims = ("time", "lat", "lon")
    plain = xr.DataArray(np.ones((30, 10, 20)), dims=dims, coords={"lat": np.arange(10.0), "lon": np.arange(20.0)})
    counted = xr.apply_ufunc(load, plain.chunk(time=1), dask="parallelized", output_dtypes=[np.float64])
    data = xr.Dataset({"t": counted})
    loaded.clear()
    evaluate(data, data, structure=False)
    assert loaded.count(200) == 60  # 30 chunks of the original, 30 of the decoded side
    assert max(loaded) == 200


def test_the_lossless_baseline_of_large_data_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    original, decoded = _pair()
    full = evaluate(original, decoded, structure=False).variables[0].lossless_bytes
    monkeypatch.setattr(module, "BLOCK_VALUES", 13 * 16)
    monkeypatch.setattr(module, "LOSSLESS_VALUES", 600)
    sampled = evaluate(original, decoded, structure=False).variables[0].lossless_bytes
    assert sampled == pytest.approx(full, rel=0.1)


def test_files_on_disk_and_fields_without_time(tmp_path: Path) -> None:
    original, decoded = _pair()
    original[["t2m"]].isel(time=0, drop=True).to_netcdf(tmp_path / "a.nc")
    decoded[["t2m"]].isel(time=0, drop=True).to_netcdf(tmp_path / "b.nc")
    with xr.open_dataset(tmp_path / "a.nc") as first, xr.open_dataset(tmp_path / "b.nc") as second:
        scores = evaluate(first, second).variables[0]
    assert scores.sizes == {"lat": 13, "lon": 16}
    assert scores.rmse > 0
    assert scores.structure is not None
    assert scores.structure.fields == 1


def test_index_space_is_weighted_evenly_and_measured_in_cells() -> None:
    original, decoded = (data[["t2m"]].drop_vars(["lat", "lon"]) for data in _pair())
    scores = evaluate(original, decoded).variables[0]
    assert scores.weighting == "uniform"
    assert scores.rmse == pytest.approx(scores.rmse_unweighted)
    assert scores.structure is not None
    assert scores.structure.gradient_units == "K per cell"
    assert scores.structure.grid_resolution == 2
    assert scores.structure.effective_resolution_km is None


@pytest.mark.parametrize(
    ("sizes", "budget"), [((7, 3, 4), 5), ((7, 3, 4), 12), ((7, 3, 4), 30), ((7,), 1), ((), 4), ((2, 2), 100)]
)
def test_blocks_cover_everything_once_within_the_budget(sizes: tuple[int, ...], budget: int) -> None:
    counts = np.zeros(sizes, dtype=int)
    for block in block_slices(sizes, budget):
        counts[block] += 1
        assert counts[block].size <= budget
    assert (counts == 1).all()
