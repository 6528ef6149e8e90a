#!/usr/bin/env python
"""Benchmark nnzip on the cases of DATA_DIR/peers.json beside what other codecs reach there.

    python scripts/bench.py ../shared/data --ebcc --bounds --speed --json bench.json --markdown docs/benchmarks.md

Every case is compressed to every target, the whole file counted, decoded through `open_archive` and measured in
float64.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import msgspec
from bench_cases import CASES
from bench_peers import PeerCase, bound_labels, ebcc_rows, read_peers
from bench_results import CaseResult, Results, Wanted, describe_machine
from bench_run import in_process, run_case
from bench_speed import measure_speed
from bench_tables import all_tables, write_between
from rich.console import Console

BEGIN, END = "<!-- tables of scripts/bench.py -->", "<!-- end of the tables -->"


def main() -> int:
    """Run what was asked for, print the tables, write the files. Returns 1 when a bound did not hold, else 0."""
    options = _parse()
    os.environ.update(OMP_NUM_THREADS=str(options.threads), MKL_NUM_THREADS=str(options.threads))
    console, errors = Console(width=None if sys.stdout.isatty() else 200), Console(stderr=True)
    peers = read_peers(options.data)
    results = _resumed(options)
    for name in options.cases.split(",") if options.cases else CASES:
        found = results.cases.setdefault(name, CaseResult())
        wanted = [run for run in _wanted(peers[name], options) if run.label not in found.runs]
        if wanted:
            with tempfile.TemporaryDirectory() as folder:
                _merge(found, run_case(name, wanted, peers[name], options.data, Path(folder), options.effort))
            _note(errors, name, found, wanted)
            _save(options.json, results)
    if options.speed:
        results.speed = in_process(measure_speed, options.data)
        _save(options.json, results)
    for table in all_tables(results, peers):
        console.print(table.rich())
    if options.markdown is not None:
        _write_markdown(options.markdown, results, peers)
    return int(any(run.violations for found in results.cases.values() for run in found.runs.values()))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, metavar="DATA_DIR", help="directory with peers.json and the files it names")
    parser.add_argument("--cases", help=f"only these, separated by commas: {', '.join(CASES)}")
    parser.add_argument("--ratios", default="30,100,300,1000", help="targets; empty: none (default: %(default)s)")
    parser.add_argument("--bounds", action="store_true", help="also every error bound of peers.json")
    parser.add_argument("--ebcc", action="store_true", help="also the sizes of EBCC's files, which follow no ratio")
    parser.add_argument("--speed", action="store_true", help="also the rates of the field by itself")
    parser.add_argument("--effort", default="normal", choices=("fast", "normal", "best"))
    parser.add_argument("--threads", type=int, default=2, help="(default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write the results here, after every case")
    parser.add_argument("--resume", action="store_true", help="keep the runs that the --json file holds already")
    parser.add_argument("--markdown", type=Path, help="write the tables here, between the marks if it has them")
    options = parser.parse_args()
    unknown = set(options.cases.split(",") if options.cases else ()) - set(CASES)
    if unknown:
        parser.error(f"there is no case {', '.join(sorted(unknown))}: choose from {', '.join(CASES)}")
    return options


def _resumed(options: argparse.Namespace) -> Results:
    if options.resume and options.json is not None and options.json.exists():
        return msgspec.json.decode(options.json.read_bytes(), type=Results)
    return Results(describe_machine(options.effort))


def _wanted(peer: PeerCase, options: argparse.Namespace) -> list[Wanted]:
    ratios = [float(ratio) for ratio in options.ratios.split(",") if ratio]
    bounds = bound_labels(peer) if options.bounds else {}
    sizes = ebcc_rows(peer) if options.ebcc else {}
    return [
        *(Wanted(f"ratio {ratio:g}", ratio=ratio) for ratio in ratios),
        *(Wanted(label, size=row.bytes) for label, row in sizes.items()),
        *(Wanted(label, bound=bound) for label, bound in bounds.items()),
    ]


def _merge(found: CaseResult, new: CaseResult) -> None:
    found.runs.update(new.runs)
    found.encode_peak_bytes = max(found.encode_peak_bytes, new.encode_peak_bytes)
    found.decode_peak_bytes = max(found.decode_peak_bytes, new.decode_peak_bytes)
    found.idle_bytes, found.differences = new.idle_bytes, new.differences
    found.source_bytes = max(found.source_bytes, new.source_bytes)


def _note(console: Console, name: str, found: CaseResult, wanted: list[Wanted]) -> None:
    """A line per case as it is done, and everything that is not as it should be."""
    runs = [found.runs[run.label] for run in wanted]
    console.print(
        f"{name}: {len(runs)} runs in {sum(run.encode.seconds + run.decode.seconds for run in runs):.0f} s",
        highlight=False,
    )
    for difference in found.differences:
        console.print(f"  not the data of peers.json: {difference}", style="yellow")
    for run in runs:
        if run.failure is not None:
            console.print(f"  {run.label}: {run.failure}", style="yellow")
        elif run.errors is not None and (run.errors.mismatches or run.violations):
            console.print(
                f"  {run.label}: {run.violations} violations, {run.errors.mismatches} wrongly missing", style="red"
            )


def _save(path: Path | None, results: Results) -> None:
    if path is not None:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def _write_markdown(path: Path, results: Results, peers: dict[str, PeerCase]) -> None:
    machine = results.machine
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    head = (
        f"Made on {machine.date} on {machine.processor}, {machine.threads} threads of {machine.cores} cores, "
        f"effort `{machine.effort}`; Python {machine.python}, {versions}.\n"
    )
    refused = [
        f"- {name}, {label}: {run.failure}"
        for name, found in results.cases.items()
        for label, run in found.runs.items()
        if run.failure
    ]
    tables = "\n".join(table.markdown() for table in all_tables(results, peers))
    write_between(path, BEGIN, END, "\n".join([head, tables, *(["Refused:\n", *refused] if refused else [])]))


if __name__ == "__main__":
    sys.exit(main())
