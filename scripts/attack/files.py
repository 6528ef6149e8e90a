"""Files around an archive: outputs that exist, writers that are killed, sources with everything NetCDF can hold."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import xarray as xr
from roundtrip_compare import compare
from typer.testing import CliRunner

import nnzip
from attack.running import FindingError
from nnzip.cli.main import app
from nnzip.errors import InputError, NnzipWarning

SUFFIXES = {
    "compress": (".nnz", ".nnz", ".nc", ".pdf", ""),
    "decompress": (".nc", ".zarr", ".zarr.zip", ".pdf", ".nnz"),
}
THERE = (
    "nothing", "file", "folder", "full folder", "store", "spoilt store", "link", "loose link", "link to input",
    "hard link", "input",
)  # fmt: skip
FEATURES = (
    "unlimited", "packed", "endian", "text", "chars", "5-D", "curvilinear", "bounds", "groups", "attributes", "scalar",
    "integers", "durations",
)  # fmt: skip
FORMATS = ("NETCDF4", "NETCDF4", "NETCDF4", "NETCDF4_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_CLASSIC")
EPOCHS = (
    "hours since 2000-02-27", "days since 1850-01-01", "seconds since 1970-01-01 00:00:00", "days since 1678-01-01",
    "minutes since 2262-01-01", "days since 0001-01-01",
)  # fmt: skip
Tree = dict[str, tuple[str, int, bytes]]
CALENDARS = ("standard", "proleptic_gregorian", "noleap", "360_day", "julian", "all_leap")


def tree(folder: Path) -> Tree:
    """Everything below a folder: kind, permissions, content; links as such."""
    found: Tree = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = "link", 0, os.fsencode(path.readlink())
        elif path.is_dir():
            found[name] = "folder", 0, b""
        else:
            found[name] = "file", path.stat().st_mode & 0o777, path.read_bytes()
    return found


def small(seed: int) -> xr.Dataset:
    """A dataset that takes some hundredths of a second."""
    values = 280 + np.cumsum(np.random.default_rng(seed).normal(size=(4, 12, 16)), axis=2)
    return xr.Dataset(
        {"t": (("time", "latitude", "longitude"), values.astype("f4"))},
        {"latitude": np.linspace(60, 38, 12), "longitude": np.arange(16) * 2.0},
    )


@cache
def written(seed: int) -> tuple[bytes, bytes]:
    """The bytes of a NetCDF file and of its archive."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        source, archive = Path(name, "a.nc"), Path(name, "a.nnz")
        small(seed).to_netcdf(source)
        nnzip.compress(small(seed), archive, nnzip.Options(nnzip.Target(max_error={None: 0.5}), effort="fast"))
        return source.read_bytes(), archive.read_bytes()


# --- outputs that exist -----------------------------------------------------------------------------------------------


def forced(number: int, folder: Path) -> str:
    """compress or decompress to a place where something is, with or without -f."""
    rng = np.random.default_rng(number)
    source, archive = folder / "a.nc", folder / "a.nnz"
    source.write_bytes(written(0)[0])
    archive.write_bytes(written(0)[1])
    command = str(rng.choice(["compress", "decompress"]))
    given = source if command == "compress" else archive
    target = folder / f"out{rng.choice(SUFFIXES[command])}"
    kind = str(rng.choice(THERE))
    target = _prepare(kind, target, given)
    force = rng.random() < 0.7
    before = tree(folder)
    options = ["--max-error", "0.5", "--effort", "fast"] if command == "compress" else []
    found = CliRunner().invoke(app, [command, str(given), "-o", str(target), *options, *(["-f"] if force else [])])
    what = f"{command} -o {target.name} {'-f ' if force else ''}onto {kind} ended with {found.exit_code}"
    after = tree(folder)
    _judge(what, kind, target.relative_to(folder).as_posix(), before, after, found.exit_code, force)
    if found.exit_code == 1:
        raise FindingError("unclean", f"{what}: {found.output[-500:]}")
    if found.exit_code == 0:
        _require_sound(what, command, target)
    return "done" if found.exit_code == 0 else "refused"


def _prepare(kind: str, target: Path, given: Path) -> Path:
    other = target.with_name("other" + target.suffix)
    if kind == "file":
        target.write_text("precious")
        target.chmod(0o600)
    elif kind in ("folder", "full folder"):
        target.mkdir()
        if kind == "full folder":
            (target / "thesis.tex").write_text("precious")
    elif kind in ("store", "spoilt store"):
        store = target.with_suffix(".zarr")
        nnzip.decompress(target.with_name("a.nnz"), store)
        if kind == "spoilt store":
            (store / "t" / "thesis.tex").write_text("precious")
        return store
    elif kind == "link":
        other.write_text("precious")
        target.symlink_to(other)
    elif kind == "loose link":
        target.symlink_to(target.with_name("nowhere"))
    elif kind == "link to input":
        target.symlink_to(given)
    elif kind == "hard link":
        os.link(given, target)
    elif kind == "input":
        return given
    return target


def _judge(what: str, kind: str, target: str, before: Tree, after: Tree, code: int, force: bool) -> None:
    """Nothing but the target may change, and that one only where it may."""
    if [name for name in after if ".part" in name]:
        raise FindingError("wrong", f"{what}: litter {sorted(after)}")
    replaceable = kind in ("nothing", "file", "link") or (kind == "store" and target.endswith(".zarr"))
    if code == 0 and (not replaceable or not (force or kind == "nothing")):
        raise FindingError("wrong", f"{what}: it had to be refused")
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    allowed = {"link": {"other" + Path(target).suffix, "other.zip"}}.get(kind, {target})
    beyond = {name for name in changed if name.partition("/")[0] not in allowed}
    if beyond or (changed and code):
        raise FindingError("wrong", f"{what}: {sorted(changed)} changed")
    if kind == "file" and code == 0 and after[target][1] != 0o600:
        raise FindingError("wrong", f"{what}: its permissions became {after[target][1]:o}")


def _require_sound(what: str, command: str, target: Path) -> None:
    try:
        if command == "compress":
            nnzip.verify(target)
        else:
            with nnzip.open_dataset(target) as dataset:
                dataset.load()
    except Exception as error:
        raise FindingError("wrong", f"{what}: {error}") from error


# --- writers that are killed ------------------------------------------------------------------------------------------


def killed(number: int, folder: Path) -> str:
    """SIGKILL at any moment: the old output or the new one, whole; the next run leaves nothing else."""
    rng = np.random.default_rng(number)
    kind = str(rng.choice(["compress", ".nc", ".zarr", ".zarr.zip"]))
    source = folder / "in.nnz"
    target = folder / ("out.nnz" if kind == "compress" else f"out{kind}")

    def work(seed: int) -> None:
        if kind == "compress":
            wish = nnzip.Options(nnzip.Target(max_error={None: 0.5}), effort="fast")
            nnzip.compress(small(seed), target, wish, overwrite=True)
        else:
            source.write_bytes(written(seed)[1])
            nnzip.decompress(source, target, overwrite=True)

    work(0)
    before, started = _values(target), time.monotonic()
    work(0)
    taken = time.monotonic() - started
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            work(1)
        os._exit(0)
    time.sleep(float(rng.uniform(0, 1.2 * taken)))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    after = _values(target)
    work(1)
    new = _values(target)
    if after not in (before, new):
        raise FindingError("wrong", f"{kind}: a kill leaves neither the old nor the new output")
    left = sorted(path.name for path in folder.iterdir() if path not in (source, target))
    if left:
        raise FindingError("wrong", f"{kind}: the next run leaves {left}")
    return "the old one" if after == before else "the new one"


def _values(target: Path) -> bytes:
    if target.suffix == ".nnz":
        with nnzip.open_archive(target) as archive:
            return archive.dataset()["t"].values.tobytes()
    with nnzip.open_dataset(target) as dataset:
        return dataset["t"].values.tobytes()


# --- everything NetCDF can hold ---------------------------------------------------------------------------------------


def features(number: int, folder: Path) -> str:
    """A NetCDF file with random features comes back as it was, but for the errors that the archive says."""
    rng = np.random.default_rng(number)
    source, back = folder / "a.nc", folder / "b.nc"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of netCDF4, about what is wanted here
        has_groups, what = _build(rng, source)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with nnzip.open_dataset(source) as dataset:
            bounds: dict[str | None, str | float] = {
                str(name): bound for name in dataset.data_vars if (bound := _bound(dataset[name])) is not None
            }
            try:
                nnzip.compress(dataset, folder / "a.nnz", nnzip.Options(nnzip.Target(max_error=bounds), effort="fast"))
            except InputError:
                return "refused"
    foreign = [str(each.message) for each in caught if not issubclass(each.category, NnzipWarning)]
    if foreign:
        raise FindingError("unclean", f"{what}: {foreign[0]}")
    if has_groups and not caught:
        raise FindingError("wrong", f"{what}: groups are left out without a word")
    nnzip.decompress(folder / "a.nnz", back)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        problems = compare([source], back)
        with netCDF4.Dataset(source) as first, netCDF4.Dataset(back) as second:
            unlimited = [{n for n, dim in file.dimensions.items() if dim.isunlimited()} for file in (first, second)]
    if unlimited[0] != unlimited[1]:
        problems.append(f"unlimited dimensions {unlimited}")
    if problems:
        raise FindingError("wrong", f"{what}: {problems[:4]}")
    return "kept"


def _bound(variable: xr.DataArray) -> float | None:
    if variable.name not in ("t", "p"):
        return None
    values = variable.values[np.isfinite(variable.values)]
    return float(np.ptp(values)) / 100 + 1e-3 * float(np.abs(values).max(initial=1e-3)) if values.size else None


def _build(rng: np.random.Generator, path: Path) -> tuple[bool, str]:
    """A file with some features; whether it has groups, and what it has."""
    chosen = {name for name in FEATURES if rng.random() < 0.35}
    kind: Any = rng.choice(FORMATS)
    modern = kind == "NETCDF4"
    calendar = str(rng.choice(CALENDARS))
    with netCDF4.Dataset(path, "w", format=kind) as file:
        sizes = {"member": 2, "level": 3, "time": 4, "lat": 6, "lon": 8}
        for dim, size in sizes.items():
            is_unlimited = dim == "time" and "unlimited" in chosen and (modern or "5-D" not in chosen)
            file.createDimension(dim, None if is_unlimited else size)
        _coordinates(rng, file, calendar, chosen)
        dims = tuple(sizes) if "5-D" in chosen else ("time", "lat", "lon")
        shape = tuple(sizes[dim] for dim in dims)
        values = 280 + np.cumsum(rng.normal(size=shape), axis=-1)
        options: dict[str, Any] = {"endian": "big"} if "endian" in chosen and kind.startswith("NETCDF4") else {}
        fill = -999.0 if rng.random() < 0.5 else None
        main = file.createVariable("t", rng.choice(["f4", "f8"]), dims, fill_value=fill, **options)
        main.units, main.long_name = "K", "Température"
        main[:] = values
        if "packed" in chosen:
            packed = file.createVariable("p", rng.choice(["i2", "i1", "i4"]), ("time", "lat", "lon"), fill_value=-127)
            packed.scale_factor, packed.add_offset = (
                (np.float32 if rng.random() < 0.5 else np.float64)(0.25),
                np.float64(3.0),
            )
            packed[:] = rng.normal(3, 2, (4, 6, 8))
        if "integers" in chosen:
            whole = file.createVariable("n", rng.choice(["i2", "i4", "i1"]), ("lat", "lon"), fill_value=-1)
            whole[:] = rng.integers(-1, 90, (6, 8))
            whole.flag_values, whole.flag_meanings = np.array([1, 2], whole.dtype), "land sea"
        if "text" in chosen and modern:
            file.createVariable("station", str, ("level",))[:] = np.array(["", "Zürich", "x" * 40], object)
        if "chars" in chosen:
            file.createDimension("strlen", 5)
            characters = netCDF4.stringtochar(np.array(["ab", "", "abcde"], "S5"))
            file.createVariable("code", "S1", ("level", "strlen"))[:] = characters
        if "scalar" in chosen:
            file.createVariable("crs", "i4")[...] = 7
            file["crs"].grid_mapping_name, main.grid_mapping = "latitude_longitude", "crs"
        if "durations" in chosen:
            steps = file.createVariable("spell", "f8", ("level",))
            steps[:], steps.units = [1.5, 2, 400], "days"
        if "attributes" in chosen:
            file.title, file.history, file.numbers = "ü\n", "before", np.array([1, 2, 3], "i2")
            main.empty, main.pair = "", np.array([1.5, 2.5], "f4")
        if "groups" in chosen and modern:
            file.createGroup("more").createVariable("hidden", "f4", ("lat",))[:] = 1.0
    return "groups" in chosen and modern, f"{kind} {calendar} {sorted(chosen)}"


def _coordinates(rng: np.random.Generator, file: Any, calendar: str, chosen: set[str]) -> None:
    times = file.createVariable("time", rng.choice(["i4", "f8", "f4"]), ("time",))
    times.calendar = calendar
    times.units = str(rng.choice(EPOCHS))
    times[:] = np.arange(4) * int(rng.choice([1, 6, 24]))
    file.createVariable("level", "f4", ("level",))[:] = [1000.0, 500.0, 250.0]
    for name, first, step in (("lat", 60.0, -2.0), ("lon", -5.0, 1.25)):
        values = first + step * np.arange(len(file.dimensions[name]))
        if "curvilinear" in chosen:
            variable = file.createVariable(f"{name}2", "f8", ("lat", "lon"))
            variable[:] = values[:, None] + np.arange(8) if name == "lat" else values + np.arange(6)[:, None]
        else:
            variable = file.createVariable(name, rng.choice(["f4", "f8"]), (name,))
            variable[:] = values
        variable.units = "degrees_north" if name == "lat" else "degrees_east"
    if "bounds" in chosen:
        file.createDimension("bnds", 2)
        file.createVariable("time_bnds", "f8", ("time", "bnds"))[:] = np.arange(8.0).reshape(4, 2)
        times.bounds = "time_bnds"
