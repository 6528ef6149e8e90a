#!/usr/bin/env python
"""Train the context network (nnzip/coder/context_network.npz): what foretells a wavelet coefficient?

    python scripts/train_context.py [--data DIRECTORY...] -o nnzip/coder/context_network.npz

Data: the built-in sample, and the NetCDF, Zarr and GRIB files of the directories (those whose names differ only in
digits are joined). They go through the field's own transform and quantiser at several rates, and through the detail's
integer interpolation. The network is trained as it will be used, with rounded weights and activations, for the bits of
the symbols it is asked about; every dataset and rate has the same weight relative to its size. Seeded; some minutes on
one core, and about 2 GB of memory for 20 datasets.

`--leave-out NAME` trains without the datasets whose name contains NAME and reports the bits of all of them, so that
the loss on unseen data can be told from that on seen data. New weights make a new format: archives written before
cannot be read.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from context_training import Samples, size_of, train
from nnzip.coder.coefficients import plan_coding
from nnzip.field.encoder import choose_transform, quantise_segment
from nnzip.field.payload import references
from nnzip.field.preparation import prepare, transform
from nnzip.reader import group_grid
from numpy.typing import NDArray
from torch import Tensor

from nnzip.coder.bands import Bands, interpolation_bands
from nnzip.coder.context import CONSTANTS, ROWS, Batch
from nnzip.coder.context_model import ChannelContexts
from nnzip.coder.phases import PHASES, phase_slices
from nnzip.data.grouping import plan_groups, stack
from nnzip.data.opening import open_dataset
from nnzip.errors import NnzipError
from nnzip.sample.sample import make_sample
from nnzip.transform import interpolation

RATES = (3.0, 1.0, 0.3, 0.1, 0.03)
"""Bits per value, roughly, at which coefficients are collected."""

STEPS = (1e-4, 1e-3, 1e-2)
"""Steps of the interpolation that are collected, in units of the range."""

MOST_VALUES = 1 << 23
"""Values of a group that are used: its first times, of up to four channels."""

MOST_SAMPLES, MOST_KEPT = 3_000, 120_000
"""Coefficients taken from one phase of one subband, and kept of one dataset at one rate."""

SUFFIXES = (".nc", ".nc4", ".grib", ".grb", ".zarr", ".zip")


def main() -> int:
    """Collect, train, report, write. Returns 0."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, nargs="*", default=[], help="directories of NetCDF, Zarr and GRIB files")
    parser.add_argument("--leave-out", default=[], nargs="*", metavar="NAME", help="datasets to test on, not to train")
    parser.add_argument("--steps", type=int, default=12_000, help="of the optimiser")
    parser.add_argument("-o", "--output", type=Path, help="the file to write (default: only report)")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    found: dict[str, Samples] = {}
    for name, dataset in datasets(options.data):
        for label, samples in collect(dataset, rng):
            found[f"{name} {label}"] = samples
            print(f"{name} {label}: {samples.rest.size} samples of {samples.bits / 8:.0f} bytes", file=sys.stderr)
    seen = {name: samples for name, samples in found.items() if not any(out in name for out in options.leave_out)}
    network = train(list(seen.values()), options.steps)
    for name, samples in found.items():
        print(f"{'' if name in seen else 'unseen: '}{name}: {size_of(network, samples) / samples.bits:.4f}")
    if options.output is not None:
        np.savez(options.output, **network.arrays(), trained_on=np.array(sorted(seen)))
    return 0


@dataclass
class _Recorder:
    """Takes the place of the network and keeps what it is asked."""

    asked: list[tuple[Batch, NDArray[np.uint8]]]

    def evaluate(
        self, batch: Batch, constants: tuple[int, ...], phase: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Any table: contexts do not depend on it."""
        inputs = np.zeros((batch.places.size, ROWS + CONSTANTS), dtype=np.uint8)
        inputs[:, batch.numbers] = batch.rows.T
        inputs[:, ROWS:] = constants
        self.asked.append((batch, inputs))
        return np.ones(batch.places.size, dtype=np.uint8), np.zeros(batch.places.size, dtype=np.uint8)


def collect(dataset: xr.Dataset, rng: np.random.Generator) -> Iterator[tuple[str, Samples]]:
    """Samples of all variables of `dataset` together, by rate, and of the interpolation, by step."""
    parts: dict[str, list[Samples]] = {}
    for group in plan_groups(dataset)[0]:
        channels, times, rows, columns = group.shape
        stop = max(min(times, MOST_VALUES // (min(channels, 4) * rows * columns)), 1)
        values = stack(dataset, group, slice(0, stop))
        runs = [layout.channels for layout in group.variables]
        prepared = prepare(values, group_grid(group).times(0, stop), runs)
        first = transform(prepared, with_cycles=False)
        for rate in RATES:
            step = first.rates.step_for(rate * values.size / 8)
            chosen = choose_transform(first, step)
            coded = [channel.coefficients for channel in quantise_segment(chosen, step).channels]
            parts.setdefault(f"at {rate} bits", []).extend(_channels(coded, chosen.bands, runs, rng))
        integers = prepared.values.numpy() / float(np.ptp(prepared.values.numpy()) or 1)
        order = interpolation.best_order(np.rint(integers[0] / STEPS[0]).astype(np.int64))
        bands = interpolation_bands(values.shape[1:], order)
        for fraction in STEPS:
            symbols = [interpolation.forward(np.rint(c / fraction).astype(np.int64), order) for c in integers]
            tensors = [torch.from_numpy(s.astype(np.int32)) for s in symbols]
            parts.setdefault(f"interpolated to {fraction}", []).extend(_channels(tensors, bands, runs, rng))
    for label, found in parts.items():
        if found:
            yield label, Samples.joined(found).thinned(MOST_KEPT, rng)


def _channels(
    coded: Sequence[Tensor], bands: Bands, runs: Sequence[int], rng: np.random.Generator
) -> Iterator[Samples]:
    """Samples of the first four channels."""
    for coefficients, reference in list(zip(coded, references(runs), strict=True))[:4]:
        other = None if reference is None else coded[reference]
        bits = 8 * plan_coding(coefficients, bands, other).bytes
        yield from _contexts(coefficients, bands, other, bits, rng)


def _contexts(
    coefficients: Tensor, bands: Bands, reference: Tensor | None, bits: float, rng: np.random.Generator
) -> Iterator[Samples]:
    """What the coder asks the network about a channel, phase by phase."""
    recorder = _Recorder([])
    values = coefficients.numpy()
    contexts = ChannelContexts(values.shape, bands, None if reference is None else reference.numpy(), recorder)
    for number, band in enumerate(bands):
        if not values[band.where].any():
            continue
        subband = contexts.enter(number, values)
        for phase in range(len(PHASES)):
            here = values[band.where][phase_slices(band.shape, phase)]
            subband.look(phase)
            for batch, inputs in recorder.asked:
                rest = batch.directions * (here.ravel()[batch.places] - batch.offsets)
                yield Samples.of(inputs, rest, phase, bits).thinned(MOST_SAMPLES, rng)
                bits = 0.0  # counted once
            recorder.asked.clear()
            subband.put(here)


def datasets(directories: Sequence[Path]) -> Iterator[tuple[str, xr.Dataset]]:
    """The built-in sample, and what the directories hold; files that cannot be used are named."""
    yield "the built-in sample", make_sample(hours=48)
    families: dict[Path, list[Path]] = {}
    for path in sorted(path for directory in directories for path in directory.rglob("*") if path.suffix in SUFFIXES):
        families.setdefault(path.with_name(re.sub(r"\d+", "#", path.name)), []).append(path)
    for name, paths in families.items():
        try:
            with open_dataset(paths) as dataset:
                plan_groups(dataset)
                yield name.name, dataset
        except NnzipError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
