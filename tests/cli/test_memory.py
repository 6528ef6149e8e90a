"""Under any limit of memory: what was asked for, or a lack of memory; never a blame on the data."""

from __future__ import annotations

import json
import subprocess
import sys

WORK = """
import json, os, resource, tempfile
from pathlib import Path
import numpy as np, xarray as xr, zarr, dask.array
from typer.testing import CliRunner
from nnzip.cli.main import app

os.chdir(tempfile.mkdtemp())
values = np.random.default_rng(0).normal(size=(20, 250, 400)).astype("f4")
axes = {"latitude": np.linspace(60, 20, 250), "longitude": np.arange(400) * 0.1}
dataset = xr.Dataset({"t": (("time", "latitude", "longitude"), values)}, axes)
dataset.to_netcdf("a.nc", encoding={"t": {"zlib": True, "complevel": 1}})
run = CliRunner().invoke
assert run(app, ["compress", "a.nc", "-o", "a.nnz", "--lossless"]).exit_code == 0
codes = {}
for megabytes in range(4, 50, 8):
    for command in ("compress a.nc -o b.nnz -f --lossless", "verify a.nnz", "decompress a.nnz -o b.nc -f"):
        child = os.fork()
        if not child:
            taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (taken + (megabytes << 20),) * 2)
            os._exit(run(app, command.split()).exit_code)
        codes[f"{megabytes} MB, {command}"] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps(codes))
"""


def test_memory_that_is_too_short_is_said() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", WORK], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    codes = json.loads(done.stdout.splitlines()[-1])
    assert set(codes.values()) == {0, 7}, codes
