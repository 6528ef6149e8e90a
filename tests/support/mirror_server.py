"""A local HTTP server of files: a Zarr store in ARCO-ERA5's layout, NetCDF files in NCAR's, with faults on request."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nnzip.download.variables import BY_NAME
from tests.support import era5_examples
from tests.support.local_server import LocalServer, Quiet

LATITUDE = np.arange(90.0, -91.0, -10.0)
LONGITUDE = np.arange(0.0, 360.0, 10.0)
STORE_LEVELS = (300, 500, 850)


class MirrorServer(LocalServer):
    """Serves `folder`; `paths` were asked for.

    By a part of a path: `faults` are statuses to answer with first, `damage` how many replies have damaged content,
    `before` is called first. `key`: asked for, where it is not empty. `seconds`: how long a reply takes;
    `most_at_once`: requests that were under way together.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths: list[str] = []
        self.faults: dict[str, list[int]] = {}
        self.damage: dict[str, int] = {}
        self.before: dict[str, Callable[[], None]] = {}
        self.key = ""
        self.seconds = 0.0
        self.most_at_once = self.at_once = 0
        self.lock = threading.Lock()
        self._start(partial(_Handler, directory=str(folder), server_state=self))

    def chunks(self, variable: str) -> set[str]:
        """Names of the chunks of a Zarr variable that were read."""
        return {match[1] for path in self.paths if (match := re.search(rf"/{variable}/([\d.]+)$", path))}


class _Handler(Quiet, SimpleHTTPRequestHandler):
    def __init__(self, *arguments: Any, server_state: MirrorServer, **options: Any) -> None:
        self.state = server_state
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        with self.state.lock:
            self.state.at_once += 1
            self.state.most_at_once = max(self.state.most_at_once, self.state.at_once)
        time.sleep(self.state.seconds)
        with self.state.lock:
            self.state.at_once -= 1
        if not self._failed():
            self._send_range(body=True)

    def do_HEAD(self) -> None:
        if not self._failed():
            self._send_range(body=False)

    def _failed(self) -> bool:
        self.state.paths.append(self.path)
        for part, action in self.state.before.items():
            if part in self.path:
                action()
        if self.state.key and self.headers.get("Authorization") != f"Bearer {self.state.key}":
            return self._refuse(401)
        for part, statuses in self.state.faults.items():
            if part in self.path and statuses and (status := statuses.pop(0)) != 200:
                return self._refuse(status)
        return False

    def _refuse(self, status: int) -> bool:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return True

    def _send_range(self, *, body: bool) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self._refuse(404)
            return
        content = path.read_bytes()
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start, stop = (int(match[1]), int(match[2] or len(content) - 1) + 1) if match else (0, len(content))
        sent = content[start:stop]
        for part, replies in self.state.damage.items():
            if part in self.path and replies > 0 and body:
                self.state.damage[part] -= 1
                sent = bytes(len(sent))
        self.send_response(206 if match else 200)
        self.send_header("Content-Length", str(len(sent)))
        self.send_header("Accept-Ranges", "bytes")
        if match:
            self.send_header("Content-Range", f"bytes {start}-{start + len(sent) - 1}/{len(content)}")
        self.end_headers()
        if body:
            self.wfile.write(sent)


def write_arco(folder: Path, names: Sequence[str], start: str, end: str, allocated_to: str) -> None:
    """A Zarr store in ARCO-ERA5's layout: long names, one chunk per time, a time axis that reaches beyond the data."""
    times = era5_examples.hours(start, allocated_to)
    real = era5_examples.hours(start, end)
    arrays = {}
    for name in names:
        variable = BY_NAME[name]
        levels = STORE_LEVELS if variable.pressure else ()
        whole = era5_examples.dataset([name], real, LATITUDE, LONGITUDE, levels)[name]
        renamed = whole.rename({"valid_time": "time"}).drop_vars([c for c in whole.coords if c not in whole.dims])
        renamed = renamed.rename({"pressure_level": "level"}) if levels else renamed
        if variable.step == "static":
            renamed = renamed.isel(time=0, drop=True)
        renamed.attrs = {"long_name": variable.cds_name, "short_name": variable.short_name, "units": variable.units}
        arrays[variable.arco] = renamed.reindex(time=times) if "time" in renamed.dims else renamed
    store = xr.Dataset(arrays, attrs={"valid_time_start": start, "valid_time_stop": end})
    encoding: Any = {
        name: {"chunks": (1, *array.shape[1:]) if array.ndim > 2 else array.shape, "_FillValue": np.float32(np.nan)}
        for name, array in arrays.items()
    }
    store.to_zarr(folder, zarr_format=2, consolidated=True, encoding=encoding, write_empty_chunks=False)


def write_ncar(folder: Path, names: Sequence[str], day: str) -> None:
    """Files in NCAR's layout on AWS: a month of a surface variable, or a day of a variable on levels."""
    month = np.datetime64(day, "M")
    last = (month + 1).astype("datetime64[D]") - 1
    for name in names:
        variable = BY_NAME[name]
        own = f"VAR_{variable.grib_name.upper()}" if variable.grib_name[0].isdigit() else variable.grib_name.upper()
        first, final = (day, day) if variable.pressure else (f"{month}-01", f"{last}")
        times = era5_examples.hours(first, final)
        whole = era5_examples.dataset([name], times, LATITUDE, LONGITUDE, STORE_LEVELS if variable.pressure else ())
        whole = whole.rename({"valid_time": "time", name: own})
        whole = whole.rename({"pressure_level": "level"}) if variable.pressure else whole
        whole[own].attrs = {"long_name": variable.cds_name, "short_name": variable.grib_name, "units": variable.units}
        whole["utc_date"] = ("time", np.arange(times.size, dtype="i4"))
        kind = "e5.oper.an.pl" if variable.pressure else "e5.oper.an.sfc"
        grid = "ll025uv" if name in ("u", "v") else "ll025sc"
        stamps = f"{first.replace('-', '')}00_{final.replace('-', '')}23"
        path = folder / kind / day[:7].replace("-", "") / f"{kind}.{variable.ncar}.{grid}.{stamps}.nc"
        path.parent.mkdir(parents=True, exist_ok=True)
        chunks = (24, *whole[own].shape[1:])
        whole.to_netcdf(path, engine="netcdf4", encoding={own: {"chunksizes": chunks, "zlib": True}})
