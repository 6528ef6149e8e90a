"""What of a dataset is not as it was after compression and decompression, in words."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import nnzip

OURS = ("nnzip_",)
"""Attributes of variables that decompression adds begin so; to the dataset it adds a line of `history`."""


def compare(files: Sequence[Path], back: Path) -> list[str]:
    """Everything that differs between the source files and the decompressed file."""
    source, found = nnzip.open_dataset(list(files)), nnzip.open_dataset(back)
    with source, found:
        problems = [] if source.sizes == found.sizes else [f"dimensions {dict(found.sizes)}, not {dict(source.sizes)}"]
        for kind, before, after in (
            ("coordinates", source.coords, found.coords),
            ("variables", source.data_vars, found.data_vars),
        ):
            if list(map(str, before)) != list(map(str, after)) and set(before) != set(after):
                problems.append(f"{kind} {sorted(map(str, after))}, not {sorted(map(str, before))}")
        problems += _global_attributes(source.attrs, found.attrs)
        for name in source.variables:
            if name in found.variables:
                problems += _variable(str(name), source[name], found[name])
    return problems


def header_problems(path: Path) -> list[str]:
    """What `ncdump -h` says that CF does not allow or that no user wants."""
    problems = []
    if shutil.which("ncdump") is None:
        problems.append("ncdump is not installed")
    else:
        done = subprocess.run(["ncdump", "-h", str(path)], capture_output=True, text=True, check=False)
        if done.returncode or done.stderr:
            return [f"ncdump exits with {done.returncode}: {done.stderr.strip()}"]
    with xr.open_dataset(path, decode_cf=False) as raw:
        coordinates = {str(name) for name in raw.dims} | set(_listed(raw))
        problems += [
            f"coordinate {name} has a _FillValue"
            for name in sorted(coordinates)
            if name in raw.variables and "_FillValue" in raw[name].attrs
        ]
        packed = [str(name) for name, v in raw.data_vars.items() if {"scale_factor", "add_offset"} & set(v.attrs)]
        missing = [
            f"{name} of a coordinates attribute is not there" for name in _listed(raw) if name not in raw.variables
        ]
    return problems + [f"{name} is packed again" for name in packed] + missing


def _listed(raw: xr.Dataset) -> list[str]:
    """Names in `coordinates` attributes."""
    attributes = [variable.attrs.get("coordinates", "") for variable in raw.variables.values()]
    return sorted({name for names in attributes for name in str(names).split()})


def _global_attributes(before: dict[Any, Any], after: dict[Any, Any]) -> list[str]:
    allowed = {"history", "Conventions"}
    problems = _attributes("the dataset", {k: v for k, v in before.items() if k not in allowed}, after, allowed)
    if "history" in before and not str(after.get("history", "")).endswith(str(before["history"])):
        problems.append("the source's history is lost")
    if "Conventions" in before and before["Conventions"] != after.get("Conventions"):
        problems.append(f"Conventions {after.get('Conventions')!r}, not {before['Conventions']!r}")
    return problems


def _attributes(owner: str, before: dict[Any, Any], after: dict[Any, Any], extra: set[str]) -> list[str]:
    problems = [
        f"{owner}: attribute {name} is {after.get(name, 'lost')!r}, not {value!r}"
        for name, value in before.items()
        if name not in after or not _same(np.asarray(value), np.asarray(after[name]))
    ]
    unknown = [name for name in after if name not in before and name not in extra and not str(name).startswith(OURS)]
    return problems + [f"{owner}: attribute {name} is new" for name in unknown]


def _variable(name: str, before: xr.DataArray, after: xr.DataArray) -> list[str]:
    problems = _attributes(name, before.attrs, after.attrs, set())
    if before.sizes != after.sizes or before.dims != after.dims:
        return [*problems, f"{name}: dimensions {dict(after.sizes)}, not {dict(before.sizes)}"]
    first, second = before.to_numpy(), after.to_numpy()
    claimed = after.attrs.get("nnzip_max_error")
    if claimed is None:
        if first.dtype != second.dtype and first.dtype.kind not in "OUS":
            problems.append(f"{name}: type {second.dtype}, not {first.dtype}")
        return problems if _same(first, second) else [*problems, f"{name}: values differ"]
    if not np.array_equal(np.isnan(first), np.isnan(second)):
        problems.append(
            f"{name}: {np.count_nonzero(np.isnan(first) != np.isnan(second))} values wrongly missing or not"
        )
    error = float(np.nanmax(np.abs(second.astype(np.float64) - first.astype(np.float64)), initial=0))
    if not float(f"{error:.6g}") <= claimed:  # the file's figure is rounded so
        problems.append(f"{name}: maximum error {error:g}, but nnzip_max_error says {claimed:g}")
    return problems


def _same(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> bool:
    """Equal shape, kind and values, bit for bit but for NaN and NaT, which equal themselves."""
    if first.shape != second.shape and first.size * second.size != 1:
        return False
    if first.dtype.kind in "fcmM":
        return first.dtype.kind == second.dtype.kind and bool(
            np.array_equal(first.ravel(), second.ravel(), equal_nan=True)
        )
    kinds = {"i": "integer", "u": "integer", "O": "text", "U": "text", "S": "text"}
    same_kind = kinds.get(first.dtype.kind, first.dtype.kind) == kinds.get(second.dtype.kind, second.dtype.kind)
    return same_kind and bool(np.array_equal(first.ravel(), second.ravel()))
