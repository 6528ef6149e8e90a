"""`nnzip compress` with a target RMSE or PSNR, on real files: the decoded data have it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import nnzip as library
from nnzip.evaluate.weights import latitude_weights
from tests.conftest import Nnzip


def rmse(original: Path, decoded: Path, name: str, *, weighted: bool) -> float:
    """Of a variable in two files, computed here."""
    with library.open_dataset(original) as first, library.open_dataset(decoded) as second:
        error = (second[name].astype(float) - first[name].astype(float)).transpose(..., "latitude", "longitude")
        areas = latitude_weights(first["latitude"].to_numpy()) if weighted else np.ones(first.sizes["latitude"])
        squares, known = np.square(error.to_numpy()), np.isfinite(error.to_numpy())
    weights = np.broadcast_to(areas[:, None], squares.shape)
    return float(np.sqrt(np.average(squares[known], weights=weights[known])))


def test_rmse_in_units(weather: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    archive, decoded = tmp_path / "a.nnz", tmp_path / "a.nc"
    wanted = "t2m=0.5degC,msl=1hPa,u10=0.4,v10=0.4,tp=5%,sst=0.3K,z=100"
    result = nnzip("compress", weather, "-o", archive, "--rmse", wanted, "--effort", "fast", "--json")
    nnzip("decompress", archive, "-o", decoded)
    for name, limit in {"t2m": 0.5, "msl": 100.0, "u10": 0.4, "sst": 0.3, "z": 100.0}.items():
        found = rmse(weather, decoded, name, weighted=True)
        assert 0.9 * limit < found <= limit * (1 + 1e-5), name
        assert found == pytest.approx(json.loads(result.stdout)["errors"][name]["rmse"], rel=1e-4)


def test_psnr_is_of_the_unweighted_error(weather: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    archive, decoded = tmp_path / "a.nnz", tmp_path / "a.nc"
    nnzip("compress", weather, "-o", archive, "--psnr", 45, "--variables", "t2m,u10", "--effort", "fast")
    nnzip("decompress", archive, "-o", decoded)
    with library.open_dataset(weather) as original:
        for name in ("t2m", "u10"):
            spread = float(original[name].max() - original[name].min())
            found = 20 * np.log10(spread / rmse(weather, decoded, name, weighted=False))
            assert 45 - 1e-4 <= found < 46


def test_mode_field(weather: Path, tmp_path: Path, nnzip: Nnzip) -> None:
    archive = tmp_path / "a.nnz"
    nnzip("compress", weather, "-o", archive, "--mode", "field", "--ratio", 30, "--effort", "fast")
    layers = json.loads(nnzip("info", archive, "--json").stdout)["layers"]
    assert layers["field"] > 0
    assert not layers.get("detail")
    assert not layers.get("corrections")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--mode", "field"), ["--mode field", "--ratio"]),
        (("--mode", "field", "--max-error", "1%"), ["error bound"]),
        (("--rmse", "1%", "--psnr", 60), ["--rmse", "--psnr"]),
        (("--rmse", "1%", "--no-field"), ["--no-field", "--rmse"]),
        (("--psnr", -3), ["-3"]),
        (("--rmse", "t2m=0.1K"), ["no RMSE", "msl"]),
        (("--rmse", "t2m=0.1m,1%"), ["0.1 m", "K"]),
        (("--rmse", "nothing=1,1%"), ["nothing"]),
        (("--rmse", "0"), ["not positive"]),
        (("--rmse", "1e-7"), ["float32's rounding", "1e-07"]),
    ],
)
def test_bad_targets(
    options: tuple[object, ...], words: list[str], weather: Path, tmp_path: Path, nnzip: Nnzip
) -> None:
    result = nnzip("compress", weather, "-o", tmp_path / "a.nnz", *options, code=2)
    for word in words:
        assert word in " ".join(result.stderr.split()), result.stderr
    assert not list(tmp_path.iterdir())
