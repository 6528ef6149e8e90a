"""Reading an archive and the codecs of chunks work where nothing but the packages of requirements-core.txt is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import nnzip

CORE = Path(nnzip.__file__).parents[1] / "requirements-core.txt"
OTHERS = (
    "cdsapi", "cfgrib", "cftime", "click", "dask", "distributed", "eccodes", "ecmwf", "filelock", "fsspec",
    "h5netcdf", "h5py", "jinja2", "matplotlib", "netCDF4", "pint", "requests", "rich", "scipy", "scores", "tenacity",
    "torch", "typer",
)  # fmt: skip
BLOCKED = f"import sys; sys.modules.update(dict.fromkeys({OTHERS!r}))\n"
READ = """
import nnzip
with nnzip.open_archive(sys.argv[1]) as archive:
    dataset = archive.dataset()
    print(float(dataset["t2m"].isel(**{dataset["t2m"].dims[0]: 0}).mean()) > 200)
    print(dataset.load().sizes == archive.dataset().sizes)
"""
CODECS = """
import numpy, numcodecs
from nnzip.integrations.numcodecs import TileCodec
values = numpy.linspace(270, 300, 600, dtype="f4").reshape(20, 30)
values[3, 4] = numpy.nan
for name, tolerance in (("max_error", 0.05), ("max_error", "0.05 K"), ("rmse", 0.02), ("relative_error", "0.01%")):
    codec = TileCodec(**{name: tolerance})
    print(bool(numpy.nanmax(abs(codec.decode(codec.encode(values)) - values)) < 0.1))
try:
    import nnzip.integrations.zarr
except ImportError:
    import zarr
    assert zarr.__version__.startswith("2.")
"""


@pytest.mark.parametrize(("script", "lines"), [(READ, 2), (CODECS, 4)], ids=["reading", "codecs"])
def test_it_works_without_the_other_packages(script: str, lines: int, archive: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED + script, str(archive)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout == "True\n" * lines, done.stderr


def test_the_core_is_part_of_the_requirements_of_the_package() -> None:
    pyproject = CORE.with_name("pyproject.toml").read_text()
    needed = [line for line in CORE.read_text().splitlines() if line and not line.startswith("#")]
    assert needed
    for line in needed:
        assert f'"{line}"' in pyproject, f"{line} of {CORE.name} is no dependency in pyproject.toml"
        assert re.split("[<>=]", line)[0] not in OTHERS
