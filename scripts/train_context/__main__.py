"""Train the context network (nnzip/coder/context_network.npz): what foretells a coefficient?

    PYTHONPATH=scripts python -m train_context collect ../shared/data samples
    PYTHONPATH=scripts python -m train_context train samples -o nnzip/coder/context_network.npz

`collect` writes one file of samples per source: the built-in sample, and the NetCDF, Zarr and GRIB files of the
directories. `train` trains on all of them, or without those named by `--leave-out`, and reports for every source the
size of what the network is asked about, relative to that with the network of the package. Seeded. New weights make a
new format: archives written before cannot be read.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from pathlib import Path

import numpy as np

from nnzip.errors import NnzipError
from train_context.collection import collect, sources
from train_context.network import integers, shipped_layers, size_of, train
from train_context.samples import Samples


def main() -> int:
    """Do what the command says. Returns 0."""
    parser = argparse.ArgumentParser(prog="train_context", description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    collecting = commands.add_parser("collect", help="samples of every source")
    collecting.add_argument("data", type=Path, nargs="*", help="directories of NetCDF, Zarr and GRIB files")
    collecting.add_argument("samples", type=Path, help="directory to write to; sources that are there are kept")
    training = commands.add_parser("train", help="a network from samples")
    training.add_argument("samples", type=Path, help="directory that `collect` wrote")
    training.add_argument("-o", "--output", type=Path, help="the file to write (default: only report)")
    training.add_argument("--leave-out", default=[], nargs="*", metavar="TEXT", help="sources whose names hold it")
    training.add_argument("--steps", type=int, default=12_000, help="of the optimiser")
    options = parser.parse_args()
    if options.command == "collect":
        write_samples(options.data, options.samples)
    else:
        write_network(options)
    return 0


def write_samples(data: list[Path], folder: Path) -> None:
    """One file per source, each from a seed of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, dataset in sources(data):
        path = folder / f"{name}.npz"
        if path.exists():
            continue
        try:
            samples = collect(dataset, np.random.default_rng(zlib.crc32(name.encode())))
        except NnzipError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        samples.save(path)
        print(f"{name}: {samples.rest.size:,} samples", file=sys.stderr, flush=True)


def write_network(options: argparse.Namespace) -> None:
    """Train, report, write."""
    found = {path.stem: Samples.load(path) for path in sorted(options.samples.glob("*.npz"))}
    seen = {name: part for name, part in found.items() if not any(text in name for text in options.leave_out)}
    layers, shipped = train(Samples.joined(list(seen.values())), options.steps), shipped_layers()
    for name, part in found.items():
        print(f"{'' if name in seen else 'unseen: '}{name}: {size_of(layers, part) / size_of(shipped, part):.4f}")
    if options.output is not None:
        np.savez(options.output, **integers(layers), trained_on=np.array(sorted(seen)))


if __name__ == "__main__":
    sys.exit(main())
