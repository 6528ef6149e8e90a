#!/usr/bin/env python
"""Fit the weights of nnzip/transform/context_weights.py: of what surrounds a coefficient, what foretells its magnitude?

    python scripts/fit_context_weights.py DIRECTORY... -o nnzip/transform/context_weights.py

Data: the built-in sample, and the NetCDF, Zarr and GRIB files of the directories (those whose names differ only in
digits are joined). They go through the field's own transform and quantiser at several rates. For each kind of context
(with a reference or not, with parents or not, phase) non-negative weights are fitted so that the weighted sum of the
features, times a factor of the dataset as the coder corrects its tables too, is the mean magnitude of a two-sided
geometric law: maximum likelihood by Adam, every dataset with the same weight.

The weights of the package come from a prototype of this script, on the benchmark's data (docs/benchmarks.md); a new fit
on them codes to the same size within 0.1 % on average. New weights make a new format: archives written before cannot be
read.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from nnzip.data.grouping import plan_groups, stack
from nnzip.data.opening import open_dataset
from nnzip.data.sample import make_sample
from nnzip.errors import NnzipError
from nnzip.field.encoder import choose_transform, quantise_segment
from nnzip.field.payload import references
from nnzip.field.preparation import prepare, transform
from nnzip.reader import group_grid
from nnzip.transform import context
from nnzip.transform.bands import Bands
from nnzip.transform.coefficients import Coefficients, surroundings
from nnzip.transform.context_weights import FRACTION_BITS

RATES = (1.0, 0.3, 0.1, 0.03)
"""Bits per value, roughly, at which coefficients are collected."""

MOST_VALUES = 1 << 24
"""Values of a group that are used: its first times."""

MOST_SAMPLES = 4_000
"""Coefficients taken from one phase of one subband."""

MOST_FITTED, FEWEST_FITTED = 60_000, 2_000
"""Samples of a dataset that the fit of one kind of context uses, and those with which it weighs as much as others."""

SUFFIXES = (".nc", ".nc4", ".grib", ".grb", ".zarr", ".zip")

Kind = tuple[int, int, int]  # has a reference, has parents, phase
Integers = NDArray[np.int32]
Part = tuple[NDArray[np.float32], Integers]  # features [feature, sample], magnitudes [sample]
KINDS: tuple[Kind, ...] = tuple(product((0, 1), (0, 1), range(len(context.PHASES))))


def main() -> int:
    """Collect, fit, write. Returns 0."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directories", type=Path, nargs="*", metavar="DIRECTORY", help="NetCDF, Zarr and GRIB files")
    parser.add_argument("-o", "--output", type=Path, help="the module to write (default: standard output)")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    samples: dict[Kind, list[Part]] = {kind: [] for kind in KINDS}
    for name, dataset in datasets(options.directories):
        print(name, file=sys.stderr)
        for kind, parts in collect(dataset, rng).items():
            if sum(magnitudes.size for _, magnitudes in parts):
                samples[kind].append(thinned(parts, rng))
    weights = {kind: fit(kind, samples[kind]) for kind in KINDS}
    module = render(weights)
    if options.output is None:
        print(module, end="")
    else:
        options.output.write_text(module, encoding="utf-8")
    return 0


def collect(dataset: xr.Dataset, rng: np.random.Generator) -> dict[Kind, list[Part]]:
    """Samples of all variables of `dataset` by kind of context."""
    found: dict[Kind, list[Part]] = {kind: [] for kind in KINDS}
    groups, _ = plan_groups(dataset)
    for group in groups:
        channels, times, rows, columns = group.shape
        stop = max(min(times, MOST_VALUES // (channels * rows * columns)), 1)
        values = stack(dataset, group, slice(0, stop))
        runs = [layout.channels for layout in group.variables]
        first = transform(prepare(values, group_grid(group).times(0, stop), runs), with_cycles=False)
        for rate in RATES:
            step = first.rates.step_for(rate * values.size / 8)
            chosen = choose_transform(first, step)
            coded = [channel.coefficients for channel in quantise_segment(chosen, step).channels]
            for channel, reference in enumerate(references(runs)):
                other = None if reference is None else coded[reference]
                for kind, features, magnitudes in contexts(coded[channel], chosen.bands, other):
                    taken = rng.permutation(magnitudes.size)[:MOST_SAMPLES]
                    found[kind].append((features[:, taken], magnitudes[taken]))
    return found


def contexts(
    coefficients: Coefficients, bands: Bands, reference: Coefficients | None
) -> Iterator[tuple[Kind, NDArray[np.float32], Integers]]:
    """Kind, features and magnitudes of what the coder meets with a context that says something, phase by phase."""
    magnitudes = np.minimum(np.abs(coefficients), context.LARGEST)
    other = None if reference is None else np.minimum(np.abs(reference), context.LARGEST)
    for band in bands:
        if not magnitudes[band.where].any():
            continue
        parents, padded, padded_other = surroundings(magnitudes, other, band)
        for phase in range(len(context.PHASES)):
            here = context.phase_slices(band.shape, phase)
            found = context.phase_features(padded, parents, padded_other, phase)
            said = found.any(axis=0)
            features = found[:, said].astype(np.float32)
            features[context.FEATURES.index("parents")] /= max(len(band.parents), 1)
            kind = (int(reference is not None), int(bool(band.parents)), phase)
            yield kind, features, magnitudes[band.where][here].ravel()[said]
            padded[1:-1, 1:-1, 1:-1][here] = magnitudes[band.where][here]


def fit(kind: Kind, datasets: Sequence[Part]) -> tuple[int, ...]:
    """Weights in units of 2^-FRACTION_BITS; zero for features that this kind of context does not have."""
    if not datasets:
        return (0,) * len(context.FEATURES)
    features = torch.from_numpy(np.concatenate([part[0] for part in datasets], axis=1))
    observed = torch.from_numpy(np.concatenate([part[1] for part in datasets]).astype(np.float32))
    counts = torch.tensor([part[1].size for part in datasets])
    source = torch.repeat_interleave(torch.arange(len(datasets)), counts)
    importance = (1 / counts.clamp_min(FEWEST_FITTED))[source]
    present = features.any(dim=1).float()
    logarithms = torch.full((len(features),), -3.0, requires_grad=True)
    factors = torch.zeros(len(datasets), requires_grad=True)
    optimiser = torch.optim.Adam([logarithms, factors], lr=0.05)
    for _ in range(250):
        expected = ((logarithms.exp() * present) @ features) * (factors - factors.mean()).exp()[source]
        loss = (importance * bits(expected, observed)).sum() / importance.sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    print(f"{kind}: {len(observed)} samples, {float(loss.detach()):.4f} bits per magnitude", file=sys.stderr)
    weights = (logarithms.detach().exp() * present * (1 << FRACTION_BITS)).round()
    return tuple(int(weight) for weight in weights)


def bits(expected: torch.Tensor, observed: torch.Tensor) -> torch.Tensor:
    """Bits of magnitudes [sample] under two-sided geometric laws with the expected magnitudes [sample].

    P(k) = (1 - s) / (1 + s) s^|k| has the mean magnitude m = 2 s / (1 - s^2), so s = (sqrt(1 + m^2) - 1) / m.
    """
    mean = expected.clamp_min(1e-4)
    ratio = ((1 + mean * mean).sqrt() - 1) / mean
    return -(torch.log2((1 - ratio) / (1 + ratio)) + observed * torch.log2(ratio))


def render(weights: dict[Kind, tuple[int, ...]]) -> str:
    """The module's text."""
    lines = [
        '"""Weights of the context features, fitted by `scripts/fit_context_weights.py`; part of the format.',
        "",
        "WEIGHTS[has a reference][has parents][phase] holds one integer per feature (context.FEATURES), in units of",
        "2^-FRACTION_BITS.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        f"FRACTION_BITS = {FRACTION_BITS}",
        "",
        "WEIGHTS: tuple[tuple[tuple[tuple[int, ...], ...], ...], ...] = (",
    ]
    for has_reference in (0, 1):
        lines.append("    (")
        for has_parents in (0, 1):
            lines.append("        (")
            for phase in range(len(context.PHASES)):
                lines.append(f"            {weights[has_reference, has_parents, phase]},")
            lines.append("        ),")
        lines.append("    ),")
    return "\n".join([*lines, ")", ""])


def thinned(parts: Sequence[Part], rng: np.random.Generator) -> Part:
    """A random choice of a dataset's samples."""
    magnitudes = np.concatenate([part[1] for part in parts])
    taken = rng.permutation(magnitudes.size)[:MOST_FITTED]
    return np.concatenate([part[0] for part in parts], axis=1)[:, taken], magnitudes[taken]


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
                yield str(name), dataset
        except NnzipError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
