#!/usr/bin/env python
"""Fit the weights of nnzip/transform/context_weights.py: of what surrounds a coefficient, what foretells its magnitude?

    python scripts/fit_context_weights.py DIRECTORY... -o nnzip/transform/context_weights.py

Data: the built-in sample, and every NetCDF, Zarr and GRIB file of the directories. They go through the field's own
transform and quantiser at several steps. For each kind of context (with a reference or not, with parents or not,
phase) non-negative weights are fitted so that the weighted sum of the features is the mean magnitude of a two-sided
geometric law: maximum likelihood, by Adam. New weights make a new format: archives written before cannot be read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from nnzip.budget import segments
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

STEPS = (1.0, 0.3, 0.1, 0.03)
"""Quantisation steps, in standard deviations of a variable."""

MOST_VALUES = 1 << 22
"""Values of a group that are used: its first times."""

MOST_SAMPLES = 20_000
"""Coefficients taken from one phase of one subband, and 15 times as many for the fit of one kind of context."""

SUFFIXES = (".nc", ".nc4", ".grib", ".grb", ".zarr", ".zip")

Kind = tuple[int, int, int]  # has a reference, has parents, phase
Integers = NDArray[np.int32]


@dataclass
class Samples:
    """Features [feature, sample] and magnitudes [sample] of one kind of context, in parts."""

    features: list[NDArray[np.float32]] = field(default_factory=list)
    magnitudes: list[Integers] = field(default_factory=list)


def main() -> int:
    """Collect, fit, write. Returns 0."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directories", type=Path, nargs="*", metavar="DIRECTORY", help="NetCDF, Zarr and GRIB files")
    parser.add_argument("-o", "--output", type=Path, help="the module to write (default: standard output)")
    options = parser.parse_args()
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    kinds: dict[Kind, Samples] = {kind: Samples() for kind in product((0, 1), (0, 1), range(len(context.PHASES)))}
    for name, dataset in _datasets(options.directories):
        print(name, file=sys.stderr)
        collect(dataset, kinds, rng)
    weights = {kind: fit(kind, samples, rng) for kind, samples in kinds.items()}
    module = render(weights)
    if options.output is None:
        print(module, end="")
    else:
        options.output.write_text(module, encoding="utf-8")
    return 0


def collect(dataset: xr.Dataset, kinds: dict[Kind, Samples], rng: np.random.Generator) -> None:
    """Add the samples of all variables of `dataset` to `kinds`."""
    groups, _ = plan_groups(dataset)
    for group in groups:
        channels, times, rows, columns = group.shape
        stop = max(min(times, MOST_VALUES // (channels * rows * columns)), 1)
        start, stop = next(iter(segments(channels, stop, rows * columns)))
        values = stack(dataset, group, slice(start, stop))
        runs = [layout.channels for layout in group.variables]
        first = transform(prepare(values, group_grid(group).times(start, stop), runs), with_cycles=False)
        for step in STEPS:
            chosen = choose_transform(first, step)
            coded = [channel.coefficients for channel in quantise_segment(chosen, step).channels]
            for channel, reference in enumerate(references(runs)):
                other = None if reference is None else coded[reference]
                for kind, features, magnitudes in contexts(coded[channel], chosen.bands, other):
                    taken = rng.permutation(magnitudes.size)[:MOST_SAMPLES]
                    kinds[kind].features.append(features[:, taken])
                    kinds[kind].magnitudes.append(magnitudes[taken])


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


def fit(kind: Kind, samples: Samples, rng: np.random.Generator) -> tuple[int, ...]:
    """Weights in units of 2^-FRACTION_BITS; zero for features that this kind of context does not have."""
    if not samples.features:
        return (0,) * len(context.FEATURES)
    magnitudes = np.concatenate(samples.magnitudes)
    taken = rng.permutation(magnitudes.size)[: 15 * MOST_SAMPLES]
    observed = torch.from_numpy(magnitudes[taken].astype(np.float32))
    features = torch.from_numpy(np.concatenate(samples.features, axis=1)[:, taken])
    present = features.any(dim=1).float()
    logarithms = torch.full((len(features),), -3.0, requires_grad=True)
    optimiser = torch.optim.Adam([logarithms], lr=0.05)
    for _ in range(250):
        loss = bits_per_symbol((logarithms.exp() * present) @ features, observed)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    print(f"{kind}: {magnitudes.size} samples, {float(loss.detach()):.4f} bits per magnitude", file=sys.stderr)
    weights = (logarithms.detach().exp() * present * (1 << FRACTION_BITS)).round()
    return tuple(int(weight) for weight in weights)


def bits_per_symbol(expected: torch.Tensor, observed: torch.Tensor) -> torch.Tensor:
    """Mean bits of magnitudes [sample] under two-sided geometric laws with the expected magnitudes [sample].

    P(k) = (1 - s) / (1 + s) s^|k| has the mean magnitude m = 2 s / (1 - s^2), so s = (sqrt(1 + m^2) - 1) / m.
    """
    mean = expected.clamp_min(1e-4)
    ratio = ((1 + mean * mean).sqrt() - 1) / mean
    return -(torch.log2((1 - ratio) / (1 + ratio)) + observed * torch.log2(ratio)).mean()


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


def _datasets(directories: list[Path]) -> Iterator[tuple[str, xr.Dataset]]:
    """The built-in sample, global and regional, and what the directories hold; files that cannot be used are named."""
    yield "sample, global", make_sample(resolution=1.0, hours=48, step_hours=6)
    yield "sample, regional", make_sample(resolution=0.25, hours=48, step_hours=3, area=(35, 60, 340, 20))
    for path in sorted(path for directory in directories for path in directory.rglob("*") if path.suffix in SUFFIXES):
        try:
            with open_dataset(path) as dataset:
                plan_groups(dataset)
                yield str(path), dataset
        except NnzipError as error:
            print(f"{path} is left out: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
