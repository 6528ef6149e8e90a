"""What an archive shall reach: from what the user wishes to numbers for every variable, and how a segment does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from nnzip.comparison import area_weights
from nnzip.data.grouping import Group
from nnzip.describe import Survey
from nnzip.errors import UsageError
from nnzip.field.fit import FitOptions, Report
from nnzip.plan.budget import Target
from nnzip.promise import promise, require_bounds, require_rmse, rmse_targets
from nnzip.promises.constraints import Held
from nnzip.promises.resolve import check_requests
from nnzip.request.extremes import Extremes, parse_extremes, require_variables, tail_options
from nnzip.request.promises import Request, parse_promise
from nnzip.result import Findings
from nnzip.segment import Coded, Segment, code_to_rmse, code_within_bounds, code_within_budget
from nnzip.tile.corrector import Bounds

RATIO_TOLERANCE = 0.03


@dataclass(frozen=True)
class Wishes:
    """A target, and what goes beyond it. Raises UsageError for what does not go together."""

    target: Target
    promises: Sequence[Request]
    extremes: Sequence[Extremes]
    with_field: bool

    @classmethod
    def of(
        cls, target: Target, promises: Sequence[Request | str], extremes: Sequence[Extremes | str], with_field: bool
    ) -> Wishes:
        """With promises and extremes as objects or as text."""
        if extremes and not target.limits_size:
            raise UsageError("extremes go with a ratio or a size: with a bound, promise them a share of it (promises)")
        requests = [parse_promise(request) if isinstance(request, str) else request for request in promises]
        if requests and target.max_error is None:
            raise UsageError(
                f"{str(requests[0])!r} needs an error bound: ask for a largest error (--max-error) instead of another "
                "target, which bounds nothing"
            )
        tails = [parse_extremes(kept) if isinstance(kept, str) else kept for kept in extremes]
        return cls(target, requests, tails, with_field)

    def check(self, dataset: xr.Dataset, groups: Sequence[Group]) -> None:
        """Raise UsageError for variables and units that do not fit, before the data are read."""
        check_requests(dataset, groups, self.promises)
        require_variables(self.extremes, groups)

    def resolve(self, dataset: xr.Dataset, groups: Sequence[Group], surveys: Sequence[Survey]) -> Goals:
        """Raises UsageError for what cannot be kept, with the numbers."""
        wanted = self.target.max_error
        bounds = {} if wanted is None else promise(dataset, groups, surveys, wanted, self.promises)
        return Goals(self, bounds, rmse_targets(dataset, groups, surveys, self.target))

    def configuration(self) -> dict[str, Any]:
        """For the manifest."""
        target = self.target
        wanted: dict[str, Any] = {"ratio": target.ratio, "size": target.size_bytes, "psnr": target.psnr}
        for key, quantities in (("max_error", target.max_error), ("rmse", target.rmse)):
            if quantities is not None:
                wanted[key] = {name or "all": value for name, value in quantities.items()} or "community tolerances"
        if self.extremes:
            wanted["extremes"] = [str(kept) for kept in self.extremes]
        return {key: value for key, value in wanted.items() if value is not None}


@dataclass(frozen=True)
class Goals:
    """Wishes in numbers: `bounds` with promises, or `rmse`, by variable; both empty where the size is the target."""

    wishes: Wishes
    bounds: Mapping[str, Bounds]
    rmse: Mapping[str, float]

    def of_segment(self, segment: Segment) -> Goals:
        """What they ask of a segment, with all that needs in memory."""
        bounds = {
            layout.name: self.bounds[layout.name].within(Held(segment.values, part, segment.start))
            for layout, part in segment.group.parts()
            if self.bounds
        }
        return replace(self, bounds=bounds)

    def code(self, segment: Segment, budget: float, options: FitOptions, report: Report) -> Coded:
        """A segment that reaches them; `budget`: bytes that it may take where the size is the target."""
        names = [layout.name for layout in segment.group.variables]
        if self.bounds:
            bounds = [self.bounds[name] for name in names]
            return code_within_bounds(segment, bounds, options, report, with_field=self.wishes.with_field)
        if self.rmse:
            weights = area_weights(segment.group) if self.wishes.target.psnr is None else np.ones(segment.grid.shape[1])
            return code_to_rmse(segment, [self.rmse[name] for name in names], weights, options, report)
        tails = tail_options(self.wishes.extremes, segment.group)
        return code_within_budget(segment, budget, replace(options, tails=tails), report)

    def require(self, findings: Findings) -> None:
        """Raise VerificationError unless the decoded data keep what is promised."""
        require_bounds(self.bounds, findings)
        require_rmse(self.wishes.target, self.rmse, findings)

    def require_size(self, source_bytes: int, size: int, limit: int) -> None:
        """Raise UsageError when the smallest archive that is possible exceeds the target."""
        target = self.wishes.target
        if target.limits_size and size > limit * (1 + RATIO_TOLERANCE):
            wanted = f"ratio {target.ratio:g}" if target.ratio is not None else f"size of {target.size_bytes} B"
            raise UsageError(
                f"the {wanted} is impossible: it leaves {limit} B, and the smallest archive of these data (metadata, "
                f"coordinates, masks and an empty field) has {size} B, a ratio of {source_bytes / size:.0f}: ask for "
                "less"
            )
