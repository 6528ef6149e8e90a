"""Compress every case to every goal, measure it beside its peers, and print tables.

    PYTHONPATH=scripts python -m bench run ../shared/data results/shipped.json
    PYTHONPATH=scripts python -m bench run ../shared/data results/unseen.json --networks folds.json
    PYTHONPATH=scripts python -m bench tables ../shared/data results/unseen.json results/shipped.json
    PYTHONPATH=scripts python -m bench promises ../shared/data
    PYTHONPATH=scripts python -m bench scale large.nc
    PYTHONPATH=scripts python -m bench network ../shared/data results/network.json

A run can be stopped at any time and goes on where it was. Small cases come first.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from bench import network
from bench.cases import CASES
from bench.compare import tables
from bench.peers import PeerCase, bound_labels, read_peers
from bench.promises import promises_table
from bench.runs import Results, Run, Wanted, run_case
from bench.scale import scale_table
from bench.tables import Table, write_between

KINDS = ("bounds", "ratios", "looser", "extremes")
RATIOS = (30.0, 100.0, 300.0, 1000.0)
TAILS = ">p99:0.1"
TAIL_RATIOS = (100.0, 300.0)
SERIES, LOOSEST = 12, 0.3
"""How many bounds show whether a looser one ever takes more, from 1e-4 of the range to the loosest."""


def main() -> int:
    """Do what the command says. Returns 1 when a bound or another promise did not hold, else 0."""
    options, broken, made = _parse(), 0, list[Table]()
    if options.command == "run":
        return run(options, read_peers(options.data))
    if options.command == "network":
        if options.between:
            print({name: network.between(options.data, name, 100.0, options.effort) for name in options.cases})
            return 0
        return network.measure(options.data, options.results, options.cases, options.effort)
    if options.command == "tables":
        found = [read_results(path) for path in options.results]
        made = tables(found[0], found[1:], read_peers(options.data))
    elif options.command == "promises":
        table, broken = promises_table(options.data)
        made = [table]
    else:
        made = [scale_table(options.file)]
    text = "\n".join(table.markdown() for table in made)
    if options.markdown is None:
        print(text)
    else:
        marks = (f"<!-- {options.command} of scripts/bench -->", f"<!-- end of {options.command} -->")
        write_between(options.markdown, *marks, text)
    return int(broken > 0)


def run(options: argparse.Namespace, peers: dict[str, PeerCase]) -> int:
    """Every run that the file of results does not hold yet."""
    results, broken = read_results(options.results), False
    networks = msgspec.json.decode(options.networks.read_bytes(), type=dict[str, str]) if options.networks else {}
    for kind in options.kinds:
        for name in sorted(options.cases, key=lambda name: peers[name].float32_bytes):
            done = results.setdefault(name, {})
            missing = [each for each in wanted(kind, peers[name]) if each.label not in done]
            network = options.networks.parent / networks[name] if networks else None
            for label, result in run_case(CASES[name], missing, peers[name], options.data, network) if missing else ():
                done[label] = result
                broken |= bool(result.violations)
                print(f"{name} {label}: {_in_short(result)}", file=sys.stderr, flush=True)
                options.results.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
    return int(broken)


def wanted(kind: str, peer: PeerCase) -> list[Wanted]:
    """The runs of a case."""
    if kind == "ratios":
        return [Wanted(f"ratio {ratio:g}", ratio=ratio) for ratio in RATIOS]
    if kind == "extremes":
        return [Wanted(f"extremes {ratio:g}", ratio=ratio, extremes=TAILS) for ratio in TAIL_RATIOS]
    if kind == "looser":
        shares = [1e-4 * (LOOSEST / 1e-4) ** (number / (SERIES - 1)) for number in range(SERIES)]
        return [Wanted(f"looser {share:.4g}", bound=share * (peer.max - peer.min)) for share in shares]
    return [
        Wanted(label, bound=bound, own=peer.per_level and "*range" in label)
        for label, bound in bound_labels(peer).items()
    ]


def read_results(path: Path) -> Results:
    """What a file holds; nothing where there is none."""
    return msgspec.json.decode(path.read_bytes(), type=Results) if path.exists() else {}


def _in_short(result: Run) -> str:
    if result.errors is None:
        return f"refused: {result.failure}"
    broken = f", {result.violations} VIOLATIONS" if result.violations else ""
    seconds = f"{result.encode.cpu_seconds:.1f} + {result.decode.cpu_seconds:.1f} s"
    return f"{result.bytes:,} B ({result.metadata} metadata), RMSE {result.errors.wrmse:.4g}, {seconds}{broken}"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="compress, decode, measure")
    running.add_argument("data", type=Path, metavar="DATA_DIR", help="directory of peers.json and the files it names")
    running.add_argument("results", type=Path, help="JSON file that results are added to, after every run")
    running.add_argument(
        "--networks", type=Path, help="JSON file: for each case a file of weights, relative to it (train_context)"
    )
    running.add_argument("--cases", type=_names(CASES), default=list(CASES), help="separated by commas (default: all)")
    running.add_argument("--kinds", type=_names(KINDS), default=KINDS[:2], help=f"of {', '.join(KINDS)}")
    printing = commands.add_parser("tables", help="print what `run` wrote as Markdown")
    printing.add_argument("data", type=Path, metavar="DATA_DIR")
    printing.add_argument("results", type=Path, nargs="+", help="the results to show, then others to stand beside them")
    costing = commands.add_parser("promises", help="what promises beyond the bound cost")
    costing.add_argument("data", type=Path, metavar="DATA_DIR")
    scaling = commands.add_parser("scale", help="a large file at tolerances, and its variables alone")
    scaling.add_argument("file", type=Path)
    training = commands.add_parser("network", help="--mode network at ratios, beside the peers")
    training.add_argument("data", type=Path, metavar="DATA_DIR")
    training.add_argument("results", type=Path, help="JSON file that rows are added to")
    training.add_argument("--cases", type=_names(network.STEPPED), default=list(network.STEPPED))
    training.add_argument("--effort", default="normal")
    training.add_argument("--between", action="store_true", help="instead: quality between the points of a grid")
    for command in (printing, costing, scaling):
        command.add_argument("--markdown", type=Path, help="write the tables here, between their marks")
    return parser.parse_args()


def _names(known: Collection[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}: choose from {', '.join(known)}")
        return names

    return parse


if __name__ == "__main__":
    sys.exit(main())
