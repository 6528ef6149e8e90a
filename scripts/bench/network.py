"""`python -m bench network DATA OUT.json`: `--mode network` at ratios on cases with several times, beside the peers.

Rows already in OUTPUT are kept, so that a stopped run goes on. Times are processor times of one thread.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.cases import CASES, open_case
from bench.peers import FAMILIES, best_error, read_peers

STEPPED = (
    "uk_t2m",
    "matthew_z500",
    "med_u10",
    "eastasia_u",
    "telangana_tp",
    "med_sst",
    "gfs_msl",
    "ostia_sst",
    "eastasia_v",
    "eastasia_w",
    "gfs_gh500",
)
RATIOS = (300.0, 100.0, 1000.0)


def measure(data: Path, output: Path, names: Sequence[str], effort: str) -> int:
    """Append a row for every case and ratio that `output` lacks."""
    rows: list[dict[str, Any]] = json.loads(output.read_text()) if output.exists() else []
    done = {(row["case"], row["ratio"], row["effort"]) for row in rows}
    peers = read_peers(data)
    for ratio in RATIOS:
        for name in names:
            if (name, ratio, effort) in done:
                continue
            row = {"case": name, "ratio": ratio, "effort": effort, **_row(data, name, ratio, effort)}
            for family, codecs in FAMILIES.items():
                found = best_error(peers[name], codecs, row["bytes"])
                row[family] = None if found is None else found[0]
            rows.append(row)
            output.write_text(json.dumps(rows, indent=1))
            print(row, flush=True)
    return 0


def _row(data: Path, name: str, ratio: float, effort: str) -> dict[str, Any]:
    from nnzip.compress import compress
    from nnzip.request.options import NETWORK, Options
    from nnzip.request.target import Target

    with TemporaryDirectory() as folder:
        started, options = time.process_time(), Options(Target(ratio=ratio), mode=NETWORK, effort=effort)
        result = compress(open_case(CASES[name], data), Path(folder) / "network.nnz", options)
        seconds = time.process_time() - started
        errors = next(iter(result.errors.values()))
        return {"bytes": result.file_bytes, "rmse": errors.rmse, "max_error": errors.max_error, "seconds": seconds}


def between(data: Path, name: str, ratio: float, effort: str) -> dict[str, float]:
    """RMSE on a case's own grid of what its every second row and column say: a network, evaluated in between, and tiles
    of the same ratio, interpolated linearly and by cubic splines."""
    from nnzip.compress import compress
    from nnzip.read import open_archive
    from nnzip.request.options import MODES, NETWORK, Options
    from nnzip.request.target import Target

    fine = open_case(CASES[name], data)
    variable = CASES[name].variable
    rows, columns = fine[variable].dims[-2:]
    coarse = fine.isel({rows: slice(None, None, 2), columns: slice(None, None, 2)})
    inside = fine.isel({rows: slice(0, 2 * coarse.sizes[rows] - 1), columns: slice(0, 2 * coarse.sizes[columns] - 1)})
    found: dict[str, float] = {}
    with TemporaryDirectory() as folder:
        for mode in MODES:
            path = Path(folder) / f"{mode}.nnz"
            compress(coarse, path, Options(Target(ratio=ratio), mode=mode, effort=effort))
            with open_archive(path) as archive:
                if mode == NETWORK:
                    decoded = {mode: archive.regrid(inside[rows].values, inside[columns].values)[variable]}
                else:
                    whole = archive.dataset()[variable].load()
                    new = {rows: inside[rows], columns: inside[columns]}
                    decoded = {f"{mode}, {how}": whole.interp(new, method=how) for how in ("linear", "cubic")}
                for kind, values in decoded.items():
                    error = values.values.astype(np.float64) - inside[variable].values
                    found[kind] = float(np.sqrt(np.nanmean(error**2)))
    return found
