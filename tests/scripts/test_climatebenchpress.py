"""ClimateBenchPress gets data as it wants them, and its outcomes become tables; the benchmark itself is not here."""

from __future__ import annotations

import numpy as np
import xarray as xr
from bench.chunks import middle
from bench.climatebenchpress import AXES, COMPRESSORS, MOST_TIMES, Outcome, standardised, tables


def test_data_get_five_axes_and_at_most_so_many_times() -> None:
    values = np.arange((MOST_TIMES + 3) * 2 * 3 * 4, dtype=np.float64).reshape(-1, 2, 3, 4)
    dims = ("time", "level", "latitude", "longitude")
    array = xr.DataArray(values, {"latitude": [2.0, 1.0, 0.0], "longitude": np.arange(4.0)}, dims)
    standard = standardised(array.transpose("level", "time", ...))
    assert standard.dims == tuple(dim for dim, _ in AXES)
    assert [standard[dim].attrs["axis"] for dim, _ in AXES] == [axis for _, axis in AXES]
    assert np.array_equal(standard[0], values[:MOST_TIMES].astype(np.float32))


def test_only_kept_bounds_count_in_the_means() -> None:
    found = [
        Outcome("a", "0.1", "nnzip", 4000, 100, 0),
        Outcome("a", "0.1", "sz3", 4000, 200, 0),
        Outcome("a", "0.1", "sperr", 4000, 50, 7),
    ]
    ratios, means = tables(found)
    cells = dict(zip(("data", "bound", *COMPRESSORS), ratios.rows[0], strict=True))
    assert (cells["nnzip"], cells["sz3"], cells["sperr"], cells["jpeg2000"]) == ("40.0", "20.0", "80.0 (7)", "–")
    assert {row[0]: row[1:] for row in means.rows}["sz3"] == ("2.00", "1 of 1")
    assert {row[0]: row[1:] for row in means.rows}["sperr"] == ("–", "0 of 1")


def test_a_chunk_comes_from_the_middle() -> None:
    values = np.arange(2 * 6 * 8, dtype=np.float64).reshape(2, 6, 8)
    assert middle(values, (2, 4)).tolist() == values[0, 2:4, 2:6].tolist()
