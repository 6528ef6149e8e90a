"""`nnzip info`: what an archive holds and how wrong it is, from its manifest alone (no torch, no xarray)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from nnzip.cli import options, places
from nnzip.cli.terminal import Terminal, session
from nnzip.report import numbers

if TYPE_CHECKING:
    from nnzip.container.manifest import Attribute, CompressedVariable, Manifest, RawVariable
    from nnzip.container.reader import ArchiveReader

TIME_UNITS = re.compile(r"(days|hours|minutes|seconds) since ([0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T][0-9:]{5,8})?)")
STANDARD_CALENDARS = {"standard", "gregorian", "proleptic_gregorian"}
ERROR_KEYS = ("rmse", "max_error", "bound", "bias")
NETWORK = "network"
_AXES = ("channel", "time", "latitude", "longitude")  # of tiles; levels and members are channels


EXAMPLES = (
    "nnzip info era5.nnz",
    "nnzip info era5.nnz --json",
)


def info(
    archive: options.Archive,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Show what an archive holds: variables, sizes, errors, coordinates, configuration."""
    with session(quiet=quiet, verbose=verbose) as terminal, places.source(archive) as path:
        from nnzip.container.reader import ArchiveReader

        with ArchiveReader(path) as reader:
            content = describe(archive, reader.manifest, reader.sizes(), reader.file_bytes)
            add_networks(content, reader)
        if json:
            terminal.json(content)
        else:
            show(terminal, content)


def describe(path: str, manifest: Manifest, sizes: dict[str, int], file_bytes: int) -> dict[str, Any]:
    """Everything `info` says, as JSON's types: bytes, errors in each variable's units.

    sizes: stored bytes of each member, of the whole file in `file_bytes`.
    """
    return {
        "path": path,
        "bytes": file_bytes,
        "ratio": manifest.source.bytes / file_bytes,
        "stored_ratio": manifest.source.stored / file_bytes if manifest.source.stored else None,
        "format": manifest.format,
        "nnzip": manifest.nnzip,
        "source": {
            "float32_bytes": manifest.source.bytes,
            "stored_bytes": manifest.source.stored or None,
            "digest": manifest.source.digest.hex(),
        },
        "dims": dict(manifest.dims),
        "variables": {name: _compressed(manifest, name, sizes) for name in manifest.variables},
        "lossless": {name: _raw(manifest, variable) for name, variable in manifest.lossless.items()},
        "coordinates": {name: _raw(manifest, variable) for name, variable in manifest.coordinates.items()},
        "parts": part_bytes(manifest, sizes, file_bytes),
        "configuration": manifest.configuration,
        "attributes": dict(manifest.attrs),
    }


def add_networks(content: dict[str, Any], reader: ArchiveReader) -> None:
    """Sizes of the archive's networks, and the share of its variance that each variable's network explains."""
    manifest = reader.manifest
    grids = {entry.grid for entry in manifest.variables.values() if entry.network}
    if not grids:
        return
    from nnzip.container.manifest import network_member
    from nnzip.network.coding import read_design

    designs = {grid: read_design(reader.read(network_member(grid)), manifest.network_outputs(grid)) for grid in grids}
    content["networks"] = [
        {
            "bytes": reader.sizes()[network_member(grid)],
            "features": sum(each.features * math.prod(design.shape(each, level)) for each, level in design.levels),
            "weights": sum(into * out for into, out in design.layers),
            "static_levels": design.static.levels,
            "levels": design.dynamic.levels,
            "layers": list(design.widths),
            "inputs": list(design.inputs),
        }
        for grid, (design, _, _) in designs.items()
    ]
    for number, (name, entry) in enumerate(manifest.variables.items()):
        if entry.network and name in manifest.errors:
            scale = designs[entry.grid][2][manifest.outputs(number)]
            share = manifest.errors[name].rmse ** 2 / float((scale**2).mean())
            content["variables"][name]["explained"] = max(1 - share, 0.0)


def part_bytes(manifest: Manifest, sizes: dict[str, int], file_bytes: int) -> dict[str, int]:
    """Bytes of the tiles of each variable, of networks, and of the rest: coordinates, masks, manifest and ZIP
    directory."""
    parts = dict.fromkeys(manifest.variables, 0)
    names = {str(number): name for number, name in enumerate(manifest.variables)}
    for member, size in sizes.items():
        number = member.partition(".")[0]
        if number in names:
            parts[names[number]] += size
        elif number == NETWORK:
            parts[NETWORK] = parts.get(NETWORK, 0) + size
    return {**parts, "coordinates, masks, attributes": file_bytes - sum(parts.values())}


def _compressed(manifest: Manifest, name: str, sizes: Mapping[str, int]) -> dict[str, Any]:
    variable = manifest.variables[name]
    errors, pieces = manifest.errors.get(name), manifest.pieces(variable)
    return {
        "dims": list(variable.dims),
        "shape": list(manifest.shape(variable.dims)),
        "dtype": variable.dtype,
        "tiles": math.prod(map(len, pieces)),
        "largest_tile": dict(zip(_AXES, map(max, pieces), strict=True)),
        "units": _text(variable.attrs.get("units")),
        "long_name": _text(variable.attrs.get("long_name")),
        "rmse": errors.rmse if errors else None,
        "max_error": errors.max_error if errors else None,
        "bias": errors.bias if errors else None,
        "bound": variable.bound,
        "promises": [
            {"promise": p.promise, "points": p.points, "violations": p.violations, "tightest": p.tightest}
            for p in variable.promises
        ],
        "promise_bytes": variable.promise_bytes,
        **_base(variable, f"{list(manifest.variables).index(name)}.base", sizes),
    }


def _base(variable: CompressedVariable, member: str, sizes: Mapping[str, int]) -> dict[str, Any]:
    """The base: maps, bytes (of the members whose names begin so), shares of variance explained and of bytes saved."""
    if variable.base is None:
        return {}
    size = sum(size for name, size in sizes.items() if name.startswith(member))
    base = variable.base
    return {"base": {"maps": base.count, "bytes": size, "explained": base.explained, "saved": base.saved}}


def _text(attribute: Attribute | None) -> str | None:
    """An attribute that should be text, but may be anything."""
    value = attribute.get("value") if isinstance(attribute, dict) else attribute
    return None if value is None else str(value)


def _raw(manifest: Manifest, variable: RawVariable) -> dict[str, Any]:
    return {
        "dims": list(variable.dims),
        "shape": list(manifest.shape(variable.dims)),
        "dtype": _dtype_name(variable.data.dtype),
        "units": _text(variable.attrs.get("units")),
        "calendar": _text(variable.attrs.get("calendar")),
        "extent": _extent(manifest, variable),
    }


def _dtype_name(dtype: str) -> str:
    """ "<f8" -> "float64"; strings of any kind are "text"."""
    import numpy as np

    found = np.dtype(dtype)
    return "text" if found.kind in "OSU" else found.name


def _extent(manifest: Manifest, variable: RawVariable) -> list[float] | None:
    """First and last value of a coordinate that is stored as a formula of two numbers (see container/arrays.py)."""
    if len(variable.dims) != 1 or len(variable.data.values) != 2 or variable.data.coding not in ("step", "span"):
        return None
    first, second = (float(value) for value in variable.data.values)
    count = manifest.dims[variable.dims[0]]
    return [first, first + (count - 1) * second] if variable.data.coding == "step" else [first, second]


def show(terminal: Terminal, content: dict[str, Any]) -> None:
    """Print `describe`'s content on one screen."""
    source = content["source"]
    sizes = numbers.ratios(content["bytes"], source["float32_bytes"], source["stored_bytes"] or 0)
    terminal.data(f"{content['path']}: {numbers.file_size(content['bytes'])}, {sizes}")
    terminal.data(f"format {content['format']}, written by nnzip {content['nnzip']}")
    terminal.data(f"dimensions: {numbers.shape(content['dims'])}\n")
    terminal.table(
        ("compressed", "units", "shape", "type", "RMSE", "max error", "bound", "bias"),
        [
            (*_columns(name, entry), *(numbers.number(entry[key]) for key in ERROR_KEYS))
            for name, entry in content["variables"].items()
        ],
        right=(4, 5, 6, 7),
    )
    terminal.data("")
    promised = {name: entry for name, entry in content["variables"].items() if entry["promises"]}
    if promised:
        kept = [promise for entry in promised.values() for promise in entry["promises"]]
        terminal.promises(kept, {name: entry["promise_bytes"] for name, entry in promised.items()})
        terminal.data("")
    terminal.table(
        ("lossless", "units", "shape", "type", "extent"),
        [
            (*_columns(name, entry), extent_text(entry["extent"], entry["units"], entry["calendar"]))
            for name, entry in {**content["coordinates"], **content["lossless"]}.items()
        ],
    )
    terminal.data("")
    terminal.table(
        ("part", "size", "share", "tiles", "largest tile"),
        [
            (name, numbers.file_size(count), f"{100 * count / content['bytes']:.1f} %", *_tiles(content, name))
            for name, count in content["parts"].items()
            if count
        ],
        right=(1, 2, 3),
    )
    for network in content.get("networks", ()):
        layers = " + ".join(map(str, network["layers"]))
        terminal.data(
            f"\nnetwork: {numbers.count(network['features'])} features in {network['static_levels']} levels of "
            f"(longitude, latitude) and {network['levels']} of (longitude, latitude, time), "
            f"{numbers.count(network['weights'])} weights (hidden layers of {layers}), inputs "
            f"{', '.join(network['inputs'])}"
        )
    explained = {name: entry["explained"] for name, entry in content["variables"].items() if "explained" in entry}
    if explained:
        terminal.data("share of the variance: " + ", ".join(f"{n} {100 * s:.4g} %" for n, s in explained.items()))
    for name, entry in content["variables"].items():
        if "base" in entry:
            terminal.data(
                f"\nbase of {name}: {entry['base']['maps']} maps in {numbers.file_size(entry['base']['bytes'])}, "
                f"{100 * entry['base']['explained']:.3g} % of the variance; it should save "
                f"{100 * entry['base']['saved']:.2g} % of the bytes"
            )
    settings = [(f"{key}: {setting_text(value)}") for key, value in content["configuration"].items()]
    terminal.data(f"\nasked for: {'; '.join(settings) or 'the community tolerances'}")


def setting_text(value: Any) -> str:
    """A setting as a user writes it: {"t2m": "0.1K"} is t2m=0.1K, with "" for all other variables."""
    if isinstance(value, Mapping):
        return ",".join(f"{name}={each}" if name else str(each) for name, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def extent_text(extent: list[float] | None, units: str | None, calendar: str | None = None) -> str:
    """[90.0, -90.0] -> "90 to -90"; CF times of the standard calendar, such as "hours since 1900-01-01", as dates."""
    if extent is None:
        return "-"
    match = TIME_UNITS.match(units or "")
    texts = [f"{value:g}" for value in extent]
    if match and (calendar or "standard") in STANDARD_CALENDARS:
        start = datetime.fromisoformat(match[2])
        try:
            texts = [f"{start + timedelta(**{match[1]: float(value)}):%Y-%m-%d %H:%M}" for value in extent]
        except OverflowError:
            return "-"
    return " to ".join(texts)


def _tiles(content: dict[str, Any], part: str) -> tuple[str, str]:
    """Number of a variable's tiles, and the lengths of the largest one; nothing for other parts."""
    if part not in content["variables"]:
        return "", ""
    entry = content["variables"][part]
    return numbers.count(entry["tiles"]), numbers.shape(entry["largest_tile"])


def _columns(name: str, entry: dict[str, Any]) -> tuple[str, str, str, str]:
    return (
        name,
        numbers.units(entry["units"] or "") or "1",
        " × ".join(map(str, entry["shape"])) or "scalar",
        entry["dtype"],
    )
