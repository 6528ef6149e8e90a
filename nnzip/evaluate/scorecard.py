"""The scorecard: an archive's promises about its variables beside measurements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from nnzip.container.manifest import Manifest
from nnzip.data.grouping import plan_groups, read_box
from nnzip.evaluate.matching import align_decoded
from nnzip.evaluate.scores import VariableScores
from nnzip.plan.cutting import TILE_VALUES, cut, slabs
from nnzip.promises.kept import Kept
from nnzip.promises.resolve import constraints_of
from nnzip.request.promises import parse_promise


@dataclass(frozen=True)
class Check:
    """One promise about a variable. Kept means that `measured`, in `units`, is at most `promised`: an error within its
    bound, or no points that break it where none may.
    """

    variable: str
    promise: str
    promised: float
    measured: float
    units: str

    @property
    def kept(self) -> bool:
        return self.measured <= self.promised

    def to_dict(self) -> dict[str, str | float | bool]:
        """Types of JSON only."""
        return {
            "variable": self.variable,
            "promise": self.promise,
            "promised": self.promised,
            "measured": self.measured,
            "units": self.units,
            "kept": self.kept,
        }


def check_promises(
    original: xr.Dataset, decoded: xr.Dataset, manifest: Manifest, scores: Sequence[VariableScores]
) -> tuple[Check, ...]:
    """Every promise of an archive about the variables that were scored, in their order, measured on the decoded data.

    Bounds and missing values are what `scores` found; promises beyond them are checked anew, which reads both sides
    once, and the original again for percentiles and for blocks of maxima that are cut. Raises UsageError where the
    original cannot be what was compressed: it lacks a mask, dates or degrees that a promise refers to.
    """
    checks = []
    for found in scores:
        if found.name in manifest.variables:
            kept = manifest.variables[found.name].promises
            further = _further(original, decoded, manifest, found.name) if kept else []
            checks += [*_bound(manifest, found), *further, *_missing(found)]
    return tuple(checks)


def broken(checks: Mapping[str, Iterable[Check]]) -> list[str]:
    """A sentence for every promise that was not kept; checks by archive."""
    return [
        f"{label}, {check.variable}: {check.promise}: measured {check.measured:.6g} {check.units}, promised at most "
        f"{check.promised:.6g}"
        for label, found in checks.items()
        for check in found
        if not check.kept
    ]


def _bound(manifest: Manifest, found: VariableScores) -> list[Check]:
    bound = manifest.variables[found.name].bound
    return [] if bound is None else [Check(found.name, "largest |error|", bound, found.max_error, found.units)]


def _further(original: xr.Dataset, decoded: xr.Dataset, manifest: Manifest, name: str) -> list[Check]:
    """The promises beyond the bound of one variable: how many points break each."""
    variable = manifest.variables[name]
    group = next(group for group in plan_groups(original)[0] if name in [layout.name for layout in group.variables])
    layout = next(layout for layout in group.variables if layout.name == name)
    promises = [parse_promise(kept.promise) for kept in variable.promises]
    constraints = constraints_of(original, group, layout, promises, variable.bound or 0.0)
    aligned = original.assign({name: align_decoded(original, decoded, [name])[name]})
    found = {text: Kept() for text in constraints}
    for box, _ in slabs(cut((layout.channels, *group.shape[1:])), TILE_VALUES):
        first, second = (read_box(dataset, group, layout, *box).astype(np.float64) for dataset in (original, aligned))
        returned = np.where(np.isnan(first), np.nan, second)
        for text, constraint in constraints.items():
            found[text] += constraint.within(box).check(first, returned)
    return [Check(name, text, 0.0, float(kept.violations), f"of {kept.points} points") for text, kept in found.items()]


def _missing(found: VariableScores) -> list[Check]:
    """Missing values stay where they are: promised by every archive, of interest where there are some."""
    if not found.missing and not found.missing_mismatch:
        return []
    return [Check(found.name, "missing values that differ", 0.0, float(found.missing_mismatch), "points")]
