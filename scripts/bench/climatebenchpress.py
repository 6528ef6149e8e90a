"""ClimateBenchPress (github.com/ClimateBenchPress/compressor) with nnzip's codec as one of its compressors, offline.

    PYTHONPATH=scripts python -m bench.climatebenchpress CHECKOUT ../shared/data WORK --markdown docs/benchmarks.md

CHECKOUT is a clone of it, whose packages are installed; its own code compresses, decompresses and measures. WORK gets
the standardised data, the error bounds and what it writes, and a run that was stopped goes on there. Its loader and its
table of bounds from ERA5 ensembles come from the network: here the data are files, the absolute bounds shares of the
range, as it takes for variables that are not in its table, and the relative bounds RELATIVE. Before Python 3.12 the
copy that is imported has `type X = Y` written as `X = Y`.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bench.cases import CASES, Case, open_case
from bench.tables import Table, geometric_mean, write_between
from nnzip.integrations.numcodecs import TileCodec

RANGES = (1e-4, 1e-3, 1e-2)
RELATIVE = (1e-3, 1e-2, 1e-1)
MOST_TIMES = 200
"""Times of a dataset that take part, from the first on: JPEG 2000 and the metrics go map by map."""
LEFT_OUT = ("DSSIM", "Spectral Error")
"""Metrics that take longer than all the rest together, and are not in the tables."""
ABSOLUTE_CASES = {
    name: CASES[name] for name in ("matthew_z500", "med_u10", "med_sst", "uk_t2m", "global_t2m_2012", "eastasia_u")
}
RELATIVE_CASES = {
    "telangana_tp": CASES["telangana_tp"],
    "merra2_qv": Case("training/merra2_ml14_conus_20200330_3h.nc4", "QV"),
    "cams_no2": Case("training/cams_no2so2o3_hawaii_202211_3h.nc", "tcno2"),
    "eastasia_w": CASES["eastasia_w"],
}
COMPRESSORS = ("nnzip", "sz3", "sz3-abs", "sperr", "jpeg2000", "safeguarded-sz3", "safeguarded-sperr")
AXES = (("realization", "E"), ("time", "T"), ("vertical", "Z"), ("latitude", "Y"), ("longitude", "X"))
BEGIN, END = "<!-- climatebenchpress of scripts/bench -->", "<!-- end of climatebenchpress -->"


@dataclass(frozen=True)
class Outcome:
    """Of a compressor on a dataset under a bound: bytes before and after, points outside the bound, largest error."""

    dataset: str
    bound: str
    compressor: str
    raw: int
    coded: int
    outside: int


def main() -> int:
    """Run what is missing, print or write the tables. Returns 1 where nnzip left a bound, else 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--datasets", nargs="+", default=[*ABSOLUTE_CASES, *RELATIVE_CASES])
    options = parser.parse_args()
    for name in options.datasets:
        prepare(name, options.data, options.work)
    benchmark(options.checkout, options.work, options.datasets)
    found = [outcome for name in options.datasets for outcome in outcomes(options.work, name)]
    text = "\n".join(table.markdown() for table in tables(found))
    if options.markdown is None:
        print(text)
    else:
        write_between(options.markdown, BEGIN, END, text)
    return int(any(outcome.outside for outcome in found if outcome.compressor == "nnzip"))


def prepare(name: str, data: Path, work: Path) -> None:
    """The dataset as the benchmark's loader would leave it, and its three bounds."""
    store = work / "datasets" / name / "standardized.zarr"
    if store.exists():
        return
    case = {**ABSOLUTE_CASES, **RELATIVE_CASES}[name]
    standard = standardised(open_case(case, data)[case.variable])
    bounds = [{"abs_error": None, "rel_error": bound} for bound in RELATIVE]
    if name in ABSOLUTE_CASES:
        spread = float(standard.max() - standard.min())
        bounds = [{"abs_error": share * spread, "rel_error": None} for share in RANGES]
    folder = work / "datasets-error-bounds" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "error_bounds.json").write_text(json.dumps([{case.variable: bound} for bound in bounds]))
    standard.to_dataset(name=case.variable).to_zarr(store)


def standardised(array: xr.DataArray) -> xr.DataArray:
    """float32 [realization, time, vertical, latitude, longitude] with the axes that the benchmark looks for."""
    times = [dim for dim in array.dims[:-2] if "time" in str(dim)]
    others = [dim for dim in array.dims[:-2] if dim not in times]
    array = array.isel({dim: slice(MOST_TIMES) for dim in times})
    shape = tuple(int(np.prod([array.sizes[dim] for dim in dims])) for dims in (times, others))
    values = array.transpose(*times, *others, ...).to_numpy().astype(np.float32)
    values = values.reshape(1, *shape, *values.shape[-2:])
    places: dict[str, Any] = {dim: np.arange(size) for (dim, _), size in zip(AXES, values.shape, strict=True)}
    places["latitude"], places["longitude"] = (array[dim].to_numpy() for dim in array.dims[-2:])
    if times and array[times[0]].dtype.kind == "M":
        places["time"] = array[times[0]].to_numpy()
    coordinates = {dim: (dim, places[dim], {"axis": axis, "standard_name": dim}) for dim, axis in AXES}
    return xr.DataArray(values, coordinates, [dim for dim, _ in AXES], attrs={"units": array.attrs.get("units", "1")})


def benchmark(checkout: Path, work: Path, datasets: list[str]) -> None:
    """Its own steps: compress and decompress, then compute the metrics."""
    source = work / "source"
    if not source.exists():
        shutil.copytree(checkout / "src", source)
        for file in source.rglob("*.py") if sys.version_info < (3, 12) else ():
            file.write_text(re.sub(r"^type (\w+) =", r"\1 =", file.read_text(), flags=re.MULTILINE))
    sys.path.insert(0, str(source))
    from climatebenchpress.compressor.compressors.abc import Compressor
    from climatebenchpress.compressor.scripts.compress import compress
    from climatebenchpress.compressor.scripts.compute_metrics import EVALUATION_METRICS, compute_metrics

    class Nnzip(Compressor):  # type: ignore[misc]
        """Registers itself with the benchmark."""

        name, description = "nnzip", "nnzip"

        @staticmethod
        def abs_bound_codec(error_bound: float, **_: Any) -> TileCodec:
            return TileCodec(max_error=error_bound)

        @staticmethod
        def rel_bound_codec(error_bound: float, **_: Any) -> TileCodec:
            return TileCodec(relative_error=error_bound)

    for dataset, compressor in product(datasets, COMPRESSORS):  # each in a process: some abort theirs
        options = {"include_dataset": [dataset], "include_compressor": [compressor], "progress": False}
        one = get_context("fork").Process(target=compress, args=(work,), kwargs=options)
        one.start()
        one.join()
    for slow in LEFT_OUT:
        EVALUATION_METRICS.pop(slow, None)
    compute_metrics(work, include_dataset=datasets, include_compressor=COMPRESSORS)


def outcomes(work: Path, dataset: str) -> list[Outcome]:
    """What its files say, bounds from tight to loose."""
    found = []
    bounds = json.loads((work / "datasets-error-bounds" / dataset / "error_bounds.json").read_text())
    for asked in bounds:
        ((variable, bound),) = asked.items()
        kind = "abs_error" if bound["abs_error"] is not None else "rel_error"
        label = f"{bound[kind]:.3g}" + (" of the value" if kind == "rel_error" else "")
        # bounds that a compressor cannot take are replaced by the benchmark, in a folder of that bound's own name
        for folder in sorted((work / "compressed-datasets" / dataset).glob(f"{variable}-{kind}={bound[kind]}/*")):
            metrics = Path(str(folder).replace("compressed-datasets", "metrics"))
            if not (metrics / "tests.csv").exists():
                continue
            measured = json.loads((folder / "measurements.json").read_text())[variable]
            tests = pd.read_csv(metrics / "tests.csv").set_index("Test")
            points = measured["decoded_bytes"] // np.dtype(np.float32).itemsize
            outside = round(float(tests.loc["Satisfies Bound", "Value"]) * points)
            compressor = re.sub("-conservative-(abs|rel)$", "", folder.name)
            found.append(
                Outcome(dataset, label, compressor, measured["decoded_bytes"], measured["encoded_bytes"], outside)
            )
    return found


def tables(found: list[Outcome]) -> list[Table]:
    """Compression ratios, with the points outside the bound; and geometric means."""
    rows, ratios = [], dict[str, list[float]]()
    for dataset, bound in dict.fromkeys((outcome.dataset, outcome.bound) for outcome in found):
        same = [outcome for outcome in found if (outcome.dataset, outcome.bound) == (dataset, bound)]
        here = {outcome.compressor: outcome for outcome in same}
        rows.append((dataset, bound, *(_cell(here.get(name)) for name in COMPRESSORS)))
        ours = here["nnzip"]
        for name, outcome in here.items():
            if not outcome.outside:
                ratios.setdefault(name, []).append(outcome.coded / ours.coded)
    means = []
    for name in COMPRESSORS:
        kept = ratios.get(name, [])
        means.append((name, f"{geometric_mean(kept):.2f}" if kept else "–", f"{len(kept)} of {len(rows)}"))
    return [
        Table("Compression ratio (points outside the bound)", ("data", "bound", *COMPRESSORS), rows),
        Table(
            "Geometric means where the bound is kept", ("compressor", "its bytes over nnzip's", "bounds kept"), means
        ),
    ]


def _cell(outcome: Outcome | None) -> str:
    if outcome is None:
        return "–"
    ratio = f"{outcome.raw / outcome.coded:.1f}"
    return ratio if not outcome.outside else f"{ratio} ({outcome.outside:,})"


if __name__ == "__main__":
    raise SystemExit(main())
