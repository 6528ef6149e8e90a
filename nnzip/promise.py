"""Error bounds as promises: what can be promised, and whether it was kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from nnzip.data.grouping import Group
from nnzip.describe import Survey
from nnzip.errors import UsageError, VerificationError
from nnzip.plan.budget import Target
from nnzip.progress import units_of
from nnzip.promises.resolve import Precision, resolve
from nnzip.reader import OWN_ATTRIBUTES
from nnzip.request.promises import Request
from nnzip.request.tolerance import resolve_bounds
from nnzip.result import Findings
from nnzip.tile.corrector import Bounds

_THRESHOLDS = ("preserve ", "extremes ")
GUARD = 2e-6
"""Of a variable's range: decoders on other machines, devices and libraries differ by up to a fifth of it (measured)."""

_RMSE_ROUNDING = 1 + 1e-6  # sums in another order


@dataclass(frozen=True)
class _Span:
    """Smallest and largest value of a variable, and its output type."""

    low: float
    high: float
    dtype: str

    @property
    def range(self) -> float:
        return self.high - self.low

    @property
    def largest(self) -> float:
        """Largest magnitude."""
        return max(abs(self.low), abs(self.high))


def _spans(groups: Sequence[Group], surveys: Sequence[Survey]) -> dict[str, _Span]:
    return {
        layout.name: _Span(float(found.low[part].min()), float(found.high[part].max()), layout.dtype)
        for group, found in zip(groups, surveys, strict=True)
        for layout, part in group.parts()
    }


def promise(
    dataset: xr.Dataset,
    groups: Sequence[Group],
    surveys: Sequence[Survey],
    wanted: Mapping[str | None, str | float],
    requests: Sequence[Request],
) -> dict[str, Bounds]:
    """The bound of every compressed variable, with what else is to be kept.

    Raises UsageError for bounds and promises that cannot be kept, with the numbers. Percentiles read the data.
    """
    spans = _spans(groups, surveys)
    ranges = {name: span.range for name, span in spans.items()}
    bounds, precision = {}, {}
    for name, bound in resolve_bounds(dataset, ranges, wanted).items():
        guard, dtype = GUARD * ranges[name], spans[name].dtype
        rounding = float(np.spacing(np.array(spans[name].largest + bound, dtype=dtype))) / 2
        if bound <= guard + rounding:
            units = units_of(dataset, name)
            raise UsageError(
                f"the bound {bound:.4g} {units} of {name} cannot be promised: decoders on different machines may "
                f"differ by {guard:.2g} {units} and {dtype} rounds by {rounding:.2g} {units}: ask for at least "
                f"{1.01 * (guard + rounding):.3g} {units}, or keep the variable losslessly"
            )
        bounds[name] = Bounds(bound, guard, dtype)
        precision[name] = Precision(bound, guard + rounding)
    promised = resolve(dataset, groups, requests, precision)
    return {name: replace(found, promises=promised[name]) for name, found in bounds.items()}


def rmse_targets(
    dataset: xr.Dataset, groups: Sequence[Group], surveys: Sequence[Survey], target: Target
) -> dict[str, float]:
    """The RMSE that is asked for of every compressed variable, as such or as a PSNR; none for other targets.

    Raises UsageError for one that float32 cannot keep, with the numbers.
    """
    if target.rmse is None and target.psnr is None:
        return {}
    spans = _spans(groups, surveys)
    ranges = {name: span.range for name, span in spans.items()}
    if target.psnr is not None:
        share = 10 ** (-target.psnr / 20)
        rmse = {name: share * spread if spread > 0 else 1.0 for name, spread in ranges.items()}
    else:
        rmse = resolve_bounds(dataset, ranges, target.rmse, what="RMSE", with_defaults=False)
    for name, wanted in rmse.items():
        rounding = float(np.spacing(np.float32(spans[name].largest)))
        if ranges[name] > 0 and wanted < rounding:
            units = units_of(dataset, name)
            raise UsageError(
                f"the RMSE {wanted:.3g} {units} of {name} is below float32's rounding, {rounding:.2g} {units}: "
                "ask for more, or keep the variable losslessly"
            )
    return rmse


def require_rmse(target: Target, wanted: Mapping[str, float], findings: Findings) -> None:
    """Raise VerificationError unless the decoded data have the RMSE or PSNR asked for."""
    for name, limit in wanted.items():
        statistics = findings.statistics[name]
        found = statistics.rmse() if target.psnr is None else statistics.plain_rmse()
        if found > limit * _RMSE_ROUNDING:
            raise VerificationError(
                f"{name} decodes with an RMSE of {found:.6g} where {limit:.6g} is asked for: nothing was written; ask "
                "for a larger one, or please report this"
            )


def require_bounds(bounds: Mapping[str, Bounds], findings: Findings) -> None:
    """Raise VerificationError unless every bound and every promise holds at every point of the decoded data."""
    for name, promised in bounds.items():
        broken = next((entry for entry in findings.promises(name) if entry.violations), None)
        if broken is not None:
            raise VerificationError(
                f"{name} decodes with {broken.violations} violations of the promise {broken.promise!r} "
                f"({broken.points} points): nothing was written; please report this"
            )
        found = findings.statistics[name]
        if found.max_error > promised.bound or found.mismatch:
            raise VerificationError(
                f"{name} decodes with an error of {found.max_error:.9g}, its bound is {promised.bound:.9g} "
                f"({found.mismatch} missing points differ): nothing was written; please report this"
            )


def bound_notes(dataset: xr.Dataset, bounds: Mapping[str, Bounds], findings: Findings) -> list[str]:
    """What a user should know: bounds that code noise, promises about nothing, data that were compressed before."""
    notes = [
        f"the promise {entry.promise!r} concerns no value: are its units those of the data, "
        f"{units_of(dataset, name) or 'none'}?"
        for name in bounds
        for entry in findings.promises(name)
        if not entry.points and entry.promise.startswith(_THRESHOLDS)
    ]
    for name, promised in bounds.items():
        variable = dataset[name]
        step = abs(float(variable.encoding.get("scale_factor", 0.0)))
        if promised.bound < step / 2:
            notes.append(
                f"the bound {promised.bound:.3g} of {name} is below half the step {step:.3g} its source was packed "
                "with: it codes the packing's noise"
            )
        if any(key in variable.attrs for key in OWN_ATTRIBUTES):
            notes.append(f"{name} was decoded by nnzip before: its errors add up")
    return notes
