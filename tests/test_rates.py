"""What archives cost: bytes at a bound and errors at a size, kept in rates.json; and what users expect of sizes.

python -m tests.test_rates      renews rates.json, where a change is meant
"""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import nnzip
from nnzip.promises.goals import BoxPromised
from nnzip.tile.decode import decode_tile
from nnzip.tile.encode import Size, encode_tile
from tests.support.field_examples import smooth
from tests.support.tile_examples import Values, bounded, scaling, values_of

RATES = Path(__file__).with_name("rates.json")
WORSE = 1.01
RATIO = 20.0

CASES = {
    "planet": 0.01,
    "levels": 0.01,
    "rain": 0.003,
    "packed": 0.004,
    "map": 0.005,
    "series": 0.01,
}
"""Bounds, as shares of the range."""


@lru_cache(maxsize=len(CASES))
def example(name: str) -> Values:
    """Values [channel, time, lat, lon]."""
    if name in ("planet", "rain"):
        made = nnzip.make_sample(resolution=7.5, hours=36, variables=["t2m" if name == "planet" else "tp"])
        return np.asarray(next(iter(made.data_vars.values())).values[None])
    if name == "levels":
        return np.cumsum(smooth((12, 3, 18, 24), 1) - 280, axis=0, dtype=np.float32)[:, :, :, :]
    if name == "packed":
        return np.asarray(np.rint(values_of("smooth", (1, 8, 20, 24)) / 0.05) * 0.05, dtype=np.float32)
    if name == "map":
        return smooth((1, 1, 72, 96), 2)
    return smooth((1, 240, 4, 6), 3)


def measured(name: str) -> dict[str, float]:
    """Bytes at the bound, and the RMSE at RATIO, as a share of the range."""
    values = example(name)
    size = len(encode_tile(values, bounded(values, CASES[name]), "float32").data)
    coded = encode_tile(values, Size(4 * values.size / RATIO, scaling(values)), "float32").data
    channels, times, rows, columns = values.shape
    away = decode_tile(coded, (channels, times, rows, columns)).astype(np.float64) - values
    return {"bytes": size, "rmse": float(np.sqrt(np.square(away).mean()) / np.ptp(values))}


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_one_per_cent_worse_than_it_was(name: str) -> None:
    before, now = json.loads(RATES.read_text(encoding="utf-8"))[name], measured(name)
    assert now["bytes"] <= WORSE * before["bytes"] + 3
    assert now["rmse"] <= WORSE * before["rmse"]


@pytest.mark.parametrize("name", ["rain", "map", "packed"])
def test_a_looser_bound_never_takes_more_bytes(name: str) -> None:
    """Up to what the trials on the way to the best coding miss."""
    values = example(name)
    spread = float(np.ptp(values))
    sizes = [
        len(encode_tile(values, BoxPromised(share * spread, (2e-6 * spread,), "float32"), "float32").data)
        for share in np.geomspace(2e-4, 0.6, 12)
    ]
    for tighter, looser in pairwise(sizes):
        assert looser <= 1.01 * tighter + 20


def test_no_seams_show_between_tiles_at_a_ratio_of_300(tmp_path: Path) -> None:
    """Within two points of a border between tiles errors are at most a quarter larger than elsewhere."""
    values = smooth((16, 96, 128), 5)
    dims = ("time", "y", "x")
    original = xr.Dataset({"v": (dims, values)})
    options = nnzip.Options(nnzip.Target(ratio=300), tile={"y": 48, "x": 64})
    nnzip.compress(original, tmp_path / "a.nnz", options)
    with nnzip.open_archive(tmp_path / "a.nnz") as archive:
        assert [len(lengths) for lengths in archive.tiles.sizes[0]] == [1, 1, 2, 2]
        squares = np.square(archive.dataset()["v"].values.astype(np.float64) - values)
    beside = np.zeros((96, 128), dtype=bool)
    beside[46:50] = True
    beside[:, 62:66] = True
    near, far = (float(np.sqrt(squares[:, part].mean())) for part in (beside, ~beside))
    assert near <= 1.25 * far


if __name__ == "__main__":
    found = {name: {key: round(value, 6) for key, value in measured(name).items()} for name in CASES}
    RATES.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
