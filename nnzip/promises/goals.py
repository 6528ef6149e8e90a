"""What an archive is to keep, variable by variable, and whether it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import xarray as xr

from nnzip.data.conventions import OWN_ATTRIBUTES
from nnzip.errors import VerificationError
from nnzip.plan.cutting import Box
from nnzip.promises.constraints import BoxConstraint, Constraint, Guard
from nnzip.promises.inside import Values
from nnzip.promises.intervals import Intervals
from nnzip.promises.kept import Kept
from nnzip.request.promises import TailTolerance
from nnzip.request.target import Target

_THRESHOLDS = ("preserve ", "extremes ")
_RMSE_ROUNDING = 1 + 1e-6  # sums in another order


@dataclass(frozen=True)
class Promised:
    """What is promised of a variable: an error of at most `bound` (0: none), and constraints beyond it by their text.

    `guards`: by how much decoders may differ, per channel.
    """

    bound: float
    guards: tuple[float, ...]
    dtype: str
    constraints: Mapping[str, Constraint] = field(default_factory=dict)

    @property
    def guard(self) -> float:
        """The largest one."""
        return max(self.guards)

    def within(self, box: Box) -> BoxPromised:
        """What is promised of a box. May read the record, for the blocks of maxima that it cuts."""
        constraints = {text: constraint.within(box) for text, constraint in self.constraints.items()}
        return BoxPromised(self.bound, self.guards[box.slices[0]], self.dtype, constraints)


@dataclass(frozen=True)
class BoxPromised:
    """What is promised of the values [channel, time, lat, lon] of a box, with all that takes in memory: picklable."""

    bound: float
    guards: tuple[float, ...]
    dtype: str
    constraints: Mapping[str, BoxConstraint] = field(default_factory=dict)

    def allowed(self, original: Values, decoded: Values, guard: Guard) -> Intervals:
        """The values that keep everything promised; `decoded`: before corrections, within `guard`.

        Raises UsageError where promises contradict each other.
        """
        allowed = Intervals(original, self.bound, self.dtype)
        for constraint in self.constraints.values():
            constraint.narrow(allowed, original, decoded, guard)
        allowed.require_values()
        return allowed

    def check(self, original: Values, decoded: Values) -> list[Kept]:
        """What became of the constraints, in their order; `decoded`: as a reader gets it, NaN where missing."""
        return [constraint.check(original, decoded) for constraint in self.constraints.values()]


class Errors(Protocol):
    """Errors of a decoded variable."""

    @property
    def max_error(self) -> float:
        """Largest error at any point."""

    @property
    def mismatch(self) -> int:
        """Points that are missing on one side only."""

    @property
    def minimum(self) -> float:
        """Smallest original value."""

    @property
    def maximum(self) -> float:
        """Largest original value."""

    def rmse(self) -> float:
        """Weighted by area."""

    def plain_rmse(self) -> float:
        """Unweighted."""


@dataclass(frozen=True)
class Goals:
    """What an archive is to reach, by variable: `promised` where errors are limited; `rmse` (0: exact) where an RMSE or
    a PSNR is the target; `tails` that get less error where the size is. The others are empty."""

    target: Target
    promised: Mapping[str, Promised] = field(default_factory=dict)
    rmse: Mapping[str, float] = field(default_factory=dict)
    tails: Mapping[str, tuple[TailTolerance, ...]] = field(default_factory=dict)

    def exact(self, name: str) -> bool:
        """Whether every value of a variable is to be kept."""
        return self.rmse.get(name) == 0 or (name in self.promised and self.promised[name].bound == 0)

    def require(self, name: str, errors: Errors, kept: Sequence[Kept]) -> None:
        """Raise VerificationError unless a decoded variable keeps what is promised; `kept`: of its constraints."""
        if name in self.promised:
            self._require_bound(name, errors, kept)
        if name in self.rmse:
            found, limit = errors.rmse() if self.target.psnr is None else errors.plain_rmse(), self.rmse[name]
            if found > limit * _RMSE_ROUNDING:
                raise VerificationError(
                    f"{name} decodes with an RMSE of {found:.6g} where {limit:.6g} is asked for: nothing was written; "
                    "ask for a larger one, or please report this"
                )

    def _require_bound(self, name: str, errors: Errors, kept: Sequence[Kept]) -> None:
        promised = self.promised[name]
        for text, found in zip(promised.constraints, kept, strict=True):
            if found.violations:
                raise VerificationError(
                    f"{name} decodes with {found.violations} violations of the promise {text!r} "
                    f"({found.points} points): nothing was written; please report this"
                )
        if errors.max_error > promised.bound or errors.mismatch:
            raise VerificationError(
                f"{name} decodes with an error of {errors.max_error:.9g}, its bound is {promised.bound:.9g} "
                f"({errors.mismatch} missing points differ): nothing was written; please report this"
            )

    def notes(self, name: str, variable: xr.DataArray, errors: Errors, kept: Sequence[Kept]) -> list[str]:
        """For the user: a promise about nothing, a bound finer than the data, data that were compressed before."""
        if name not in self.promised:
            return []
        promised, units = self.promised[name], variable.attrs.get("units") or "none"
        notes = [
            f"the promise {text!r} concerns no value: are its units those of the data, {units}?"
            for text, found in zip(promised.constraints, kept, strict=True)
            if not found.points and text.startswith(_THRESHOLDS)
        ]
        step = abs(float(np.asarray(variable.encoding.get("scale_factor", 0.0)).item()))
        if promised.bound and errors.max_error == 0 and errors.maximum > errors.minimum:
            steps = f"multiples of {step:.3g}" if step else "multiples of a step"
            notes.append(
                f"{name} decodes exactly: its values are {steps}, the bound {promised.bound:.3g} is below half of it; "
                "a bound above the step would save bytes"
            )
        elif 0 < promised.bound < step / 2:
            notes.append(
                f"the bound {promised.bound:.3g} of {name} is below half the step {step:.3g} its source was packed "
                "with: it codes the packing's noise"
            )
        if promised.bound and any(key in variable.attrs for key in OWN_ATTRIBUTES):
            notes.append(f"{name} was decoded by nnzip before: its errors add up")
        return notes
