"""From data files to samples: variables go through the tile codec at bounds and rates, as in an archive."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nnzip.coder.bands import Subband
from nnzip.coder.volumes import Layout, Plan, plan_volume
from nnzip.data.grouping import Group, VariableLayout, plan_groups, read_box
from nnzip.data.opening import open_dataset
from nnzip.errors import NnzipError
from nnzip.promises.resolve import label_of
from nnzip.request.bounds import resolve_bounds
from nnzip.sample.sample import make_sample
from nnzip.tile.trials import MULTIPLES
from nnzip.tile.volumes import TIME, interpolation_layout, plan_interpolation, quantise_tile
from nnzip.tile.ways import leaders, ways
from nnzip.transform import interpolation
from nnzip.transform.fill import fill_missing
from nnzip.transform.rates import RateModel
from train_context.samples import Samples, asked

SHARES = (1e-4, 1e-3, 1e-2, 1e-1, None)
"""Bounds of the range; None: the community's tolerance."""

RATES = (1.0, 0.25, 0.06)
"""Bits per value, roughly."""

SETTINGS = (*product(("wavelet", "interpolation"), SHARES), *product(("rate",), RATES))

MOST_VARIABLES, MOST_SETTINGS, MOST_VOLUMES = 12, 14, 2
"""Variables of a source, pairs of variable and setting, volumes of one of them."""

MOST_KEPT = 12_000
"""Samples of one variable in one setting."""

LARGEST_TILE, FEWEST_TIMES = 1 << 18, 16

SUFFIXES = (".nc", ".nc4", ".cdf", ".grib", ".grib2", ".grb", ".zarr", ".zip")

Values = NDArray[np.float32]


def sources(directories: Sequence[Path]) -> Iterator[tuple[str, xr.Dataset]]:
    """The built-in sample, and the files of the directories, those whose names differ only in digits joined; files that
    cannot be used are named."""
    yield "built-in sample", make_sample(hours=48)
    families: dict[Path, list[Path]] = {}
    for path in sorted(path for directory in directories for path in directory.rglob("*") if path.suffix in SUFFIXES):
        families.setdefault(path.with_name(re.sub(r"\d+", "#", path.name)), []).append(path)
    for paths in families.values():
        try:
            with open_dataset(paths) as dataset:
                plan_groups(dataset)
                yield paths[0].name, dataset
        except NnzipError as error:
            print(f"{paths[0].name} is left out: {error}", file=sys.stderr)


def collect(dataset: xr.Dataset, rng: np.random.Generator) -> Samples:
    """Samples of a source, which weighs one: random pairs of variable and setting, of which each weighs the same.

    Raises NnzipError for data that cannot be read.
    """
    sets = list(_sets(dataset, rng))
    return Samples.joined(sets).scaled(1 / len(sets))


def _sets(dataset: xr.Dataset, rng: np.random.Generator) -> Iterator[Samples]:
    found = [(group, layout) for group in plan_groups(dataset)[0] for layout in group.variables]
    chosen = [found[number] for number in rng.permutation(len(found))[:MOST_VARIABLES]]
    pairs = list(product(chosen, SETTINGS))
    for number in rng.permutation(len(pairs))[:MOST_SETTINGS]:
        (group, layout), (kind, amount) = pairs[number]
        values = _tile(dataset, group, layout, rng)
        spread = float(np.ptp(values))
        bound = _tolerance(dataset, layout.name, spread) if amount is None else amount * spread
        if not spread > 0:
            continue
        made = _at_rate(values, amount or 0.0, rng) if kind == "rate" else ()
        made = _wavelet(values, bound, rng) if kind == "wavelet" else made
        made = _interpolation(values, bound, rng) if kind == "interpolation" else made
        yield from (samples.thinned(MOST_KEPT, rng) for samples in made if samples is not None)


def _tile(dataset: xr.Dataset, group: Group, layout: VariableLayout, rng: np.random.Generator) -> Values:
    """A random box of a variable [channel, time, lat, lon], without missing points."""
    sizes = layout.channels, *group.shape[1:]
    times = min(sizes[1], max(FEWEST_TIMES, LARGEST_TILE // (sizes[0] * sizes[2] * sizes[3])))
    share = min(LARGEST_TILE / (sizes[0] * times * sizes[2] * sizes[3]), 1.0) ** 0.5
    lengths = times, *(max(min(size, 16), round(size * share)) for size in sizes[2:])
    starts = [int(rng.integers(0, size - length + 1)) for size, length in zip(sizes[1:], lengths, strict=True)]
    box = [range(start, start + length) for start, length in zip(starts, lengths, strict=True)]
    values = read_box(dataset, group, layout, range(sizes[0]), *box)
    return fill_missing(values, np.isnan(values)).astype(np.float32)


def _tolerance(dataset: xr.Dataset, name: str, spread: float) -> float:
    return resolve_bounds([label_of(dataset[name])], {name: spread}, {})[name]


def _wavelet(values: Values, bound: float, rng: np.random.Generator) -> Iterator[Samples | None]:
    """The wavelet's coefficients under a bound, and the corrections."""
    step = float(rng.choice(MULTIPLES)) * bound
    mean = values.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float64).astype(np.float32)
    units = (values - mean) / np.float32(step)
    plans, layout, decoded = _quantised(units, rng)
    yield asked(plans, layout, _some(len(plans), rng), rng)
    yield _corrections((units - decoded) * np.float32(step / bound), rng)


def _at_rate(values: Values, rate: float, rng: np.random.Generator) -> Iterator[Samples | None]:
    """The wavelet's coefficients at about so many bits per value."""
    mean = values.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float64).astype(np.float32)
    first = next(ways(_shape(values))).arrangement(_shape(values), periodic=False)
    step = RateModel(first.forward((values - mean) / values.std())).step_for(rate * values.size / 8)
    plans, layout, _ = _quantised((values - mean) / np.float32(values.std() * step), rng)
    yield asked(plans, layout, _some(len(plans), rng), rng)


def _quantised(units: Values, rng: np.random.Generator) -> tuple[Sequence[Plan], Layout, Values]:
    """By one of the two likeliest ways; with the decoded values."""
    likely = list(ways(_shape(units)))[:2]
    arrangement = likely[int(rng.integers(len(likely)))].arrangement(_shape(units), periodic=False)
    found = quantise_tile(arrangement.forward(units), arrangement)
    return found.plans, arrangement.layout, found.inverse()


def _interpolation(values: Values, bound: float, rng: np.random.Generator) -> Iterator[Samples | None]:
    integers = np.rint(values / np.float64(2 * bound)).astype(np.int64)
    if np.abs(integers).max() >= 1 << 30:
        return
    leading = int(rng.choice(leaders(_shape(values))))
    order = interpolation.best_order(integers[0] if leading == TIME else integers[:, 0])
    plans = plan_interpolation(integers, order, leading)
    yield asked(plans, interpolation_layout(_shape(values), order, leading), _some(len(plans), rng), rng)


def _corrections(errors: Values, rng: np.random.Generator) -> Samples | None:
    """Multiples that bring `errors` [channel, time, lat, lon], in bounds, within one, as `tile.fixes` codes them."""
    multiples = (np.sign(errors) * np.ceil(np.maximum(np.abs(errors) - 1, 0) / 1.5)).astype(np.int32)
    if 4096 * np.count_nonzero(multiples) < multiples.size:
        return None
    shape = errors.shape[1:] if errors.shape[1] > 1 else (errors.shape[0], *errors.shape[2:])
    volumes = multiples.reshape(-1, *shape)
    first = int(rng.integers(max(len(volumes) - MOST_VOLUMES, 0) + 1))
    volumes = volumes[first : first + MOST_VOLUMES]
    whole = Subband(tuple(slice(0, size) for size in shape), (), ())
    layout, plans = Layout(shape, (whole,), (None, *range(len(volumes) - 1))), list[Plan]()
    for volume in volumes:
        plans.append(plan_volume(volume, layout.bands, plans[-1].values if plans else None))
    return asked(plans, layout, range(len(plans)), rng)


def _some(count: int, rng: np.random.Generator) -> list[int]:
    """Numbers of the volumes that are kept."""
    return sorted(rng.permutation(count)[:MOST_VOLUMES].tolist())


def _shape(values: Values) -> tuple[int, int, int, int]:
    channels, times, rows, columns = values.shape
    return channels, times, rows, columns
