"""The scorecard: what an archive promises about its variables, and what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nnzip.archive.manifest import Manifest
from nnzip.metrics.evaluation import VariableScores


@dataclass(frozen=True)
class Check:
    """One promise about a variable. Kept means that `measured`, in `units`, is at most `promised`: an error within its
    bound, or no points that differ where none may.
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


def check_promises(manifest: Manifest, scores: Iterable[VariableScores]) -> tuple[Check, ...]:
    """Every promise of an archive about the variables that were scored, in their order."""
    checks = []
    for found in scores:
        if found.name in manifest.variables:
            checks += [*_bound(manifest, found), *_missing(found)]
    return tuple(checks)


def broken(checks: Mapping[str, Iterable[Check]]) -> list[str]:
    """A sentence for every promise that was not kept; checks by archive."""
    return [
        f"{label}: {check.promise} of {check.variable} is {check.measured:.6g} {check.units}, promised were at most "
        f"{check.promised:.6g}"
        for label, found in checks.items()
        for check in found
        if not check.kept
    ]


def _bound(manifest: Manifest, found: VariableScores) -> list[Check]:
    bound = manifest.variables[found.name].bound
    return [] if bound is None else [Check(found.name, "largest |error|", bound, found.max_error, found.units)]


def _missing(found: VariableScores) -> list[Check]:
    """Missing values stay where they are: promised by every archive, of interest where there are some."""
    if not found.missing and not found.missing_mismatch:
        return []
    return [Check(found.name, "missing values that differ", 0.0, float(found.missing_mismatch), "points")]
