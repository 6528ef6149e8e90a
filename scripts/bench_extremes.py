#!/usr/bin/env python
"""What compression does to extremes at equal bytes: nnzip beside the peers of DATA_DIR/peers.json.

    python scripts/bench_extremes.py ../shared/data --json extremes.json --markdown docs/extremes.md
    python scripts/bench_extremes.py ../shared/data --json extremes.json --resume --variant 'tails={"effort": "best"}'

Every case is compressed with `nnzip.Target(ratio=...)`, the whole file counted, decoded through `open_archive` and
measured by the definitions behind peers.json: tail RMSE above the 99th percentile of each level, largest error. On the
Matthew case also the storm's centre (nnzip.evaluate.events). A variant is a further column: keyword arguments of
`nnzip.compress` as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from bench_cases import CASES, channels, latitudes, open_case
from bench_measure import Errors, measure
from bench_peers import FAMILIES, PeerCase, ratio_row, read_peers
from bench_tables import Table, write_between

if TYPE_CHECKING:
    import xarray as xr

CHOSEN = ("matthew_z500", "uk_t2m", "telangana_tp", "eastasia_u", "eastasia_v", "eastasia_w", "med_u10")
STORMS = {"matthew_z500": "Matthew,2016-10-02/2016-10-08,10,35,270,300"}
STORM_DAY = "2016-10-05"
PLAIN = "plain"
BEGIN, END = "<!-- tables of scripts/bench_extremes.py -->", "<!-- end of the tables -->"


class Storm(msgspec.Struct, frozen=True):
    """A storm's centre after decoding: on its day the displacement (km) and the decoded depth over the original's; over
    all days the largest displacement and depth error, and the days without a centre.
    """

    displacement: float | None
    depth_ratio: float | None
    largest_displacement: float | None
    largest_depth_error: float | None
    lost: int
    cell: float


class Run(msgspec.Struct, frozen=True):
    """One archive."""

    bytes: int
    errors: Errors
    seconds: float
    storm: Storm | None = None


Results = dict[str, dict[str, dict[str, Run]]]
"""Runs by case, target (a ratio, "300", or a size, "30467 bytes") and variant."""

PeerRuns = dict[str, dict[str, Run]]
"""Runs of bench_extremes_peers.py by case and codec with target ("SPERR 300", "EBCC 1e-02*range")."""


def main() -> int:
    """Run what was asked for and is not there yet, print the tables, write the files."""
    options = _parse()
    peers = read_peers(options.data)
    theirs = msgspec.json.decode(options.peers.read_bytes(), type=PeerRuns) if options.peers is not None else {}
    results: Results = {}
    if options.resume and options.json is not None and options.json.exists():
        results = msgspec.json.decode(options.json.read_bytes(), type=Results)
    for name in options.cases.split(","):
        for target in [*options.ratios.split(","), *_sizes(theirs.get(name, {}))]:
            done = results.setdefault(name, {}).setdefault(target, {})
            for variant, arguments in options.variants.items():
                if variant not in done:
                    settings = {"effort": options.effort, **arguments}
                    done[variant] = _run(name, target, settings, peers[name], options.data)
                    print(f"{name} {target} {variant}: {done[variant]}", file=sys.stderr, flush=True)
                    if options.json is not None:
                        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    text = "\n".join(table.markdown() for table in tables(results, peers, theirs))
    print(text)
    if options.markdown is not None:
        write_between(options.markdown, BEGIN, END, text)
    return 0


def tables(results: Results, peers: dict[str, PeerCase], theirs: PeerRuns) -> list[Table]:
    """Tail RMSE, overall RMSE and largest error of every case beside the peers, and the storms."""
    variants = list(dict.fromkeys(v for runs in results.values() for found in runs.values() for v in found))
    found = [
        _ratio_table(results, peers, variants, "tail_rmse", "RMSE above the 99th percentile, at equal bytes"),
        _ratio_table(results, peers, variants, "rmse", "RMSE of all values, at equal bytes"),
        _ratio_table(results, peers, variants, "max", "Largest error, at equal bytes"),
        _ebcc_table(results, theirs, variants),
        _storm_table(results, theirs),
    ]
    return [table for table in found if table.rows]


def _ratio_table(
    results: Results, peers: dict[str, PeerCase], variants: list[str], attribute: str, title: str
) -> Table:
    """Errors in the case's units; the best one of a row is bold."""
    rows = []
    for name, runs in results.items():
        for ratio, found in _at_ratios(runs).items():
            errors = [getattr(found[v].errors, attribute) if v in found else None for v in variants]
            for codecs in FAMILIES.values():
                row = ratio_row(peers[name], codecs, float(ratio))
                errors.append(None if row is None else getattr(row, attribute))
            sperr = errors[len(variants) + list(FAMILIES).index("SPERR")]
            shares = ["–" if e is None or sperr is None else f"{e / sperr:.2f}" for e in errors[: len(variants)]]
            size = next(iter(found.values())).bytes
            rows.append((f"{name} [{_units(peers[name])}]", ratio, f"{size:,}", *_best_bold(errors), *shares))
    ours = [_title(v) for v in variants]
    return Table(title, ("case", "ratio", "bytes", *ours, *FAMILIES, *(f"{o} / SPERR" for o in ours)), rows)


def _ebcc_table(results: Results, theirs: PeerRuns, variants: list[str]) -> Table:
    """Both errors at the sizes of EBCC's files."""
    rows = []
    for name, peer_runs in theirs.items():
        for label, ebcc in _ebcc(peer_runs).items():
            found = results.get(name, {}).get(_size(ebcc), {})
            if found:
                pairs = [
                    [getattr(found[v].errors, key) if v in found else None for v in variants]
                    + [getattr(ebcc.errors, key)]
                    for key in ("tail_rmse", "max")
                ]
                cells = [cell for errors in pairs for cell in _best_bold(errors)]
                rows.append((name, label.removeprefix("EBCC "), f"{ebcc.bytes:,}", *cells))
    heads = [f"{what}, {who}" for what in ("tail", "max") for who in (*map(_title, variants), "EBCC")]
    return Table("Tail RMSE and largest error at the sizes of EBCC's files", ("case", "bound", "bytes", *heads), rows)


def _storm_table(results: Results, theirs: PeerRuns) -> Table:
    rows = []
    for name, runs in results.items():
        peer_runs = theirs.get(name, {})
        for target, found in runs.items():
            named = {_title(variant): run for variant, run in found.items()}
            named |= {
                label.split()[0]: run
                for label, run in peer_runs.items()
                if label.split()[1] == target or (label.startswith("EBCC") and _size(run) == target)
            }
            rows += [
                (name, target, who, f"{run.bytes:,}", *_storm_cells(run.storm))
                for who, run in named.items()
                if run.storm is not None
            ]
    heads = (f"displacement {STORM_DAY}", "depth error", "largest displacement", "largest depth error", "days lost")
    return Table("The storm's centre", ("case", "target", "codec", "bytes", *heads), rows)


def _storm_cells(storm: Storm) -> tuple[str, ...]:
    depth = "–" if storm.depth_ratio is None else f"{100 * (storm.depth_ratio - 1):+.1f} %"
    largest = "–" if storm.largest_depth_error is None else f"{100 * storm.largest_depth_error:.1f} %"
    return _km(storm.displacement), depth, _km(storm.largest_displacement), largest, str(storm.lost)


def _at_ratios(runs: dict[str, dict[str, Run]]) -> dict[str, dict[str, Run]]:
    return {target: found for target, found in runs.items() if not target.endswith(" bytes")}


def _ebcc(runs: dict[str, Run]) -> dict[str, Run]:
    return {label: run for label, run in runs.items() if label.startswith("EBCC")}


def _size(run: Run) -> str:
    return f"{run.bytes} bytes"


def _sizes(runs: dict[str, Run]) -> list[str]:
    """Targets of the sizes of EBCC's files."""
    return [_size(run) for run in _ebcc(runs).values()]


def _best_bold(errors: list[float | None]) -> list[str]:
    best = min((error for error in errors if error is not None), default=None)
    return ["–" if e is None else f"**{e:.3g}**" if e == best else f"{e:.3g}" for e in errors]


def _units(peer: PeerCase) -> str:
    return peer.units.split()[0] if peer.units else "K"


def _run(name: str, wanted: str, arguments: dict[str, Any], peer: PeerCase, data: Path) -> Run:
    import nnzip

    case = CASES[name]
    dataset = open_case(case, data)
    number, _, unit = wanted.partition(" ")
    target = nnzip.Target(size_bytes=int(number)) if unit else nnzip.Target(ratio=float(number))
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        done = nnzip.compress(dataset, Path(folder) / "case.nnz", target, **arguments)
        seconds = time.perf_counter() - started
        with nnzip.open_archive(done.path) as archive:
            decoded = archive.dataset()[list(dataset.data_vars)].load()
    errors = measure(channels(dataset, case), channels(decoded, case), latitudes(dataset), peer.p99)
    storm = storm_of(dataset, decoded, STORMS[name]) if name in STORMS else None
    return Run(done.file_bytes, errors, seconds, storm)


def storm_of(original: xr.Dataset, decoded: xr.Dataset, text: str) -> Storm:
    """The storm of an event in original and decoded data."""
    from nnzip.evaluate.events import event_scores, parse_event

    scores = event_scores(original, decoded, parse_event(text))
    day = next(moment for moment in scores.moments if moment.time.startswith(STORM_DAY))
    pairs = [(m.original.depth, m.decoded.depth) for m in scores.moments if m.original and m.decoded]
    return Storm(
        displacement=day.displacement,
        depth_ratio=day.decoded.depth / day.original.depth if day.original and day.decoded else None,
        largest_displacement=scores.largest_displacement,
        largest_depth_error=max((abs(second / first - 1) for first, second in pairs), default=None),
        lost=scores.lost,
        cell=scores.cell,
    )


def _title(variant: str) -> str:
    return "nnzip" if variant == PLAIN else f"nnzip, {variant}"


def _km(distance: float | None) -> str:
    return "lost" if distance is None else f"{distance:.0f} km"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, metavar="DATA_DIR", help="directory with peers.json and the files it names")
    parser.add_argument("--cases", default=",".join(CHOSEN), help="(default: %(default)s)")
    parser.add_argument("--ratios", default="30,100,300,1000", help="(default: %(default)s)")
    parser.add_argument("--effort", default="normal", choices=("fast", "normal", "best"))
    parser.add_argument(
        "--variant",
        action="append",
        default=[],
        metavar='NAME={"keyword": value}',
        help="a further column: keyword arguments of nnzip.compress as JSON; may be repeated",
    )
    parser.add_argument("--no-plain", action="store_true", help="without the column that has no such arguments")
    parser.add_argument(
        "--peers", type=Path, help="what bench_extremes_peers.py wrote: adds EBCC, and the peers' storms"
    )
    parser.add_argument("--json", type=Path, help="write the results here, after every run")
    parser.add_argument("--resume", action="store_true", help="keep the runs that the --json file holds already")
    parser.add_argument("--markdown", type=Path, help="write the tables here, between the marks if it has them")
    options = parser.parse_args()
    unknown = set(options.cases.split(",")) - set(CASES)
    if unknown:
        parser.error(f"there is no case {', '.join(sorted(unknown))}: choose from {', '.join(CASES)}")
    options.variants = {} if options.no_plain else {PLAIN: {}}
    for text in options.variant:
        name, _, arguments = text.partition("=")
        try:
            options.variants[name] = dict(json.loads(arguments))
        except (ValueError, TypeError):
            parser.error(f'--variant {text}: write it as NAME={{"keyword": value}}')
    return options


if __name__ == "__main__":
    sys.exit(main())
