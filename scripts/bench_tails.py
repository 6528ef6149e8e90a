#!/usr/bin/env python
"""What `--extremes` does to the tails at equal size, beside SZ3 and SPERR; and to Hurricane Matthew.

    python scripts/bench_tails.py ../shared/data --markdown docs/extremes_fitting.md

Every archive is made by `compress`, counted as a whole file, decoded through `open_archive` and measured in float64.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bench import BEGIN, END
from bench_cases import CASES, channels, latitudes, open_case
from bench_measure import Values, measure
from bench_peers import FAMILIES, PeerCase, ratio_row, read_peers
from bench_tables import Table
from rich.console import Console

CASE_NAMES = ("matthew_z500", "uk_t2m", "telangana_tp", "eastasia_u", "eastasia_v", "med_u10")
RATIOS = (30.0, 100.0, 300.0, 1000.0)
SETTINGS = ("", ">p99:0.2", ">p99:0.1", "p99:0.2")
STORM_CASE = "matthew_z500"
STORM_SETTINGS = ("", "<p0.01:0.03:local", ">p99:0.17 <p0.01:0.03:local")
STORM_DAYS = {"3 to 6 October": range(1, 5), "7 to 9 October": range(5, 8)}
BOX = (10.0, 35.0, 270.0, 300.0)
"""South, north, west, east of the area in which the minimum is looked for."""
_EARTH_RADIUS = 6371.0  # km


@dataclass(frozen=True)
class Entry:
    """One file's bytes and errors; `codec` is a peer's family and name, or "nnzip" and its setting. `lower`: RMSE below
    the 1st percentile, unknown for peers.
    """

    case: str
    ratio: float
    codec: tuple[str, str]
    bytes: int
    rmse: float
    tail: float
    max: float
    lower: float | None = None


@dataclass(frozen=True)
class Storm:
    """The largest error over some days: of the centre in km and grid cells, of the minimum in percent."""

    km: float
    cells: float
    depth: float


def main() -> int:
    """Run everything, print the tables, write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="directory with the data and peers.json")
    parser.add_argument("--cases", default=",".join(CASE_NAMES), help="(default: %(default)s)")
    parser.add_argument("--effort", default="normal", choices=("fast", "normal", "best"))
    parser.add_argument("--markdown", type=Path, help="write the tables here, between the marks if it has them")
    options = parser.parse_args()
    peers = read_peers(options.data)
    entries: list[Entry] = []
    storms: list[tuple[str, ...]] = []
    for name in options.cases.split(","):
        entries += tail_entries(name, peers[name], options.data, options.effort)
        if name == STORM_CASE:
            storms += storm_rows(peers[name], options.data, options.effort)
    tables = [short_table(entries), storm_table(storms), tail_table(entries)]
    for table in tables:
        Console(width=None if sys.stdout.isatty() else 200).print(table.rich())
    if options.markdown is not None:
        block = "\n".join([BEGIN, *(table.markdown() for table in tables), END])
        before, _, rest = options.markdown.read_text().partition(BEGIN) if options.markdown.exists() else ("", "", "")
        options.markdown.write_text(before + block + (rest.partition(END)[2] if rest else "\n"))
    return 0


def tail_entries(name: str, peer: PeerCase, data: Path, effort: str) -> Iterator[Entry]:
    """The peers' files and those of every setting at every ratio."""
    dataset = open_case(CASES[name], data)
    original = channels(dataset, CASES[name])
    p1 = np.nanquantile(original, 0.01, axis=(1, 2, 3), keepdims=True)
    for ratio in RATIOS:
        for family, names in FAMILIES.items():
            row = ratio_row(peer, names, ratio)
            if row is not None:
                yield Entry(name, ratio, (family, row.codec), row.bytes, row.rmse, row.tail_rmse or 0.0, row.max)
        for setting in SETTINGS:
            decoded, size = decoded_at(name, data, ratio, setting, effort)
            errors = measure(original, decoded, latitudes(dataset), peer.p99)
            below = np.square(decoded - original)[original < p1]
            lower = float(np.sqrt(below.mean())) if below.size else 0.0
            yield Entry(name, ratio, ("nnzip", setting), size, errors.rmse, errors.tail_rmse, errors.max, lower)


def storm_rows(peer: PeerCase, data: Path, effort: str) -> Iterator[tuple[str, ...]]:
    """Rows of every setting at every ratio."""
    dataset = open_case(CASES[STORM_CASE], data)
    original, latitude = channels(dataset, CASES[STORM_CASE]), latitudes(dataset)
    longitude = np.asarray(dataset["longitude"].to_numpy(), dtype=np.float64)
    for ratio in RATIOS[1:]:
        for setting in STORM_SETTINGS:
            decoded, size = decoded_at(STORM_CASE, data, ratio, setting, effort)
            errors = measure(original, decoded, latitude, peer.p99)
            cells = []
            for days in STORM_DAYS.values():
                storm = storm_error(original[0], decoded[0], latitude, longitude, days)
                cells += [f"{storm.km:.0f}", f"{storm.cells:.0f}", f"{storm.depth:.1f}"]
            yield (
                f"{ratio:g}",
                _label("nnzip", setting),
                f"{size:,}",
                _number(errors.rmse),
                _number(errors.tail_rmse),
                *cells,
            )


def decoded_at(name: str, data: Path, ratio: float, setting: str, effort: str) -> tuple[Values, int]:
    """What an archive of this ratio decodes to, [channel, time, lat, lon], and its bytes."""
    import nnzip
    from nnzip.extremes import parse_extremes

    dataset, extremes = open_case(CASES[name], data), [parse_extremes(text) for text in setting.split()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "case.nnz"
        done = nnzip.compress(dataset, path, nnzip.Target(ratio=ratio), effort=effort, extremes=extremes)
        with nnzip.open_archive(path) as archive:
            return channels(archive.dataset()[list(dataset.data_vars)], CASES[name]), done.file_bytes


def storm_error(original: Values, decoded: Values, latitude: Values, longitude: Values, days: range) -> Storm:
    """Largest errors of place and depth of the minimum in BOX; both [time, lat, lon], on one grid spacing."""
    south, north, west, east = BOX
    rows = np.flatnonzero((latitude >= south) & (latitude <= north))
    columns = np.flatnonzero((longitude % 360 >= west) & (longitude % 360 <= east))
    spacing = abs(float(latitude[1] - latitude[0]))
    found = []
    for day in days:
        (y1, x1, first), (y2, x2, second) = (
            _minimum(part[day][np.ix_(rows, columns)], latitude[rows], longitude[columns])
            for part in (original, decoded)
        )
        cells = max(abs(y1 - y2), abs(x1 - x2)) / spacing
        found.append((great_circle(y1, x1, y2, x2), cells, 100 * abs(second / first - 1)))
    km, cells, depth = np.max(found, axis=0)
    return Storm(float(km), float(cells), float(depth))


def _minimum(field: Values, latitude: Values, longitude: Values) -> tuple[float, float, float]:
    row, column = np.unravel_index(np.argmin(field), field.shape)
    return float(latitude[row]), float(longitude[column]), float(field[row, column])


def great_circle(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Kilometres between two points in degrees (haversine)."""
    y1, x1, y2, x2 = np.deg2rad([lat1, lon1, lat2, lon2])
    chord = np.sin((y2 - y1) / 2) ** 2 + np.cos(y1) * np.cos(y2) * np.sin((x2 - x1) / 2) ** 2
    return float(2 * _EARTH_RADIUS * np.arcsin(np.sqrt(chord)))


def short_table(entries: list[Entry]) -> Table:
    """Tail RMSE as a share of SPERR's, and in brackets the overall RMSE as a share of SPERR's."""
    codecs = [("SZ3", ""), *(("nnzip", setting) for setting in SETTINGS)]
    rows = []
    for sperr in (entry for entry in entries if entry.codec[0] == "SPERR"):
        same = [entry for entry in entries if (entry.case, entry.ratio) == (sperr.case, sperr.ratio)]
        cells = []
        for family, setting in codecs:
            found = [e for e in same if e.codec[0] == family and (family != "nnzip" or e.codec[1] == setting)]
            cells += [f"{e.tail / sperr.tail:.2f} ({e.rmse / sperr.rmse:.2f})" for e in found] or ["–"]
        rows.append((sperr.case, f"{sperr.ratio:g}", _number(sperr.tail), *cells))
    heads = [_label(*codec) for codec in codecs]
    return Table("Tail RMSE (overall RMSE) over SPERR's", ("case", "ratio", "SPERR's tail RMSE", *heads), rows)


def tail_table(entries: list[Entry]) -> Table:
    """Everything that was measured."""
    columns = ("case", "ratio", "codec", "bytes", "RMSE", "tail RMSE", "lower tail", "max error")
    rows = [
        (
            entry.case,
            f"{entry.ratio:g}",
            _label(*entry.codec),
            f"{entry.bytes:,}",
            _number(entry.rmse),
            _number(entry.tail),
            "–" if entry.lower is None else _number(entry.lower),
            _number(entry.max),
        )
        for entry in entries
    ]
    return Table("Errors at equal size", columns, rows)


def storm_table(rows: list[tuple[str, ...]]) -> Table:
    """Hurricane Matthew's centre and depth."""
    parts = [f"{days}: {what}" for days in STORM_DAYS for what in ("km", "cells", "depth %")]
    return Table("Hurricane Matthew", ("ratio", "codec", "bytes", "RMSE", "tail RMSE", *parts), rows)


def _label(family: str, detail: str) -> str:
    """ "nnzip `p99:0.2`", "SPERR (sperr_2d)", "nnzip"."""
    if not detail:
        return family
    return f"{family} `{detail}`" if family == "nnzip" else f"{family} ({detail})"


def _number(value: float) -> str:
    return f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
