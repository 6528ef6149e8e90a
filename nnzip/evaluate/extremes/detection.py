"""Detection scores: do the decoded data exceed a percentile where and when the original does?

The threshold is a percentile of the original; both datasets are compared with it (nnzip.evaluate.extremes.tails says
how). Hits, misses and false alarms are scored by the library `scores` (Leeuwenburg et al. 2024,
doi:10.21105/joss.06889), which the extra `nnzip[extremes]` installs; imported on first use (0.5 s).
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from nnzip.data.grids import require_grid
from nnzip.errors import UnavailableError
from nnzip.evaluate.errors import Dims, reduced_dims
from nnzip.evaluate.extremes.tails import exceedances

WINDOW = 5  # cells along either side of the neighbourhood of the fractions skill score


def require_scores() -> None:
    """Raises UnavailableError, with the remedy, when the library `scores` is not installed."""
    try:
        import scores.categorical  # noqa: F401
    except ImportError as error:
        raise UnavailableError(
            "the metrics of extremes need the package `scores`: pip install 'nnzip[extremes]'"
        ) from error


def detection_scores(
    original: xr.DataArray,
    decoded: xr.DataArray,
    *,
    dims: Dims = None,
    weights: xr.DataArray | None = None,
    quantile: float = 0.99,
    threshold: xr.DataArray | None = None,
) -> xr.Dataset:
    """Scores of the set of exceedances, one variable each over the remaining dimensions; computed at once.

    With hits a, false alarms b, misses c (sums of weights): `pod` = a / (a + c), `far` = b / (a + b), `csi` =
    a / (a + b + c), `frequency_bias` = (a + b) / (a + c), `sedi` the symmetric extremal dependence index of Ferro and
    Stephenson (2011, doi:10.1175/WAF-D-10-05030.1), which is 1 for identical sets (its limit) and NaN where a rate of
    0 or 1 leaves it undefined otherwise. `events`: how many values of the original are beyond, unweighted. NaN where
    there is no event to score. Raises UnavailableError without `scores`.
    """
    first, second, valid = exceedances(original, decoded, quantile, dims, threshold)
    return contingency(first, second, valid, dims=dims, weights=weights)


def contingency(
    first: xr.DataArray,
    second: xr.DataArray,
    valid: xr.DataArray,
    *,
    dims: Dims = None,
    weights: xr.DataArray | None = None,
) -> xr.Dataset:
    """The scores of `detection_scores` for the boolean sets of original and decoded exceedances, where `valid`."""
    require_scores()
    from scores.categorical import BasicContingencyManager

    reduced = reduced_dims(first, dims)

    def count(found: xr.DataArray) -> xr.DataArray:
        return (found & valid).sum(reduced) if weights is None else (found & valid).weighted(weights).sum(reduced)

    hits, either, events = count(first & second), count(first | second), count(first)
    alarms, total = either - events, count(valid)
    counts = {"tp_count": hits, "fp_count": alarms, "fn_count": events - hits, "tn_count": total - either}
    table = BasicContingencyManager({**counts, "total_count": total})
    identical = (hits == either) & (hits > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        sedi = table.symmetric_extremal_dependence_index()
        scores = {
            "pod": table.probability_of_detection(),
            "far": table.false_alarm_ratio(),
            "csi": table.critical_success_index(),
            "frequency_bias": table.frequency_bias(),
            "sedi": sedi.where(np.isfinite(sedi)).where(~identical, 1.0),
        }
    return xr.Dataset({**scores, "events": (first & valid).sum(reduced)})


def fractions_skill_score(
    original: xr.DataArray,
    decoded: xr.DataArray,
    *,
    dims: Dims = None,
    weights: xr.DataArray | None = None,
    quantile: float = 0.99,
    threshold: xr.DataArray | None = None,
    window: int = WINDOW,
) -> xr.DataArray:
    """Fractions skill score (Roberts and Lean 2008, doi:10.1175/2007MWR2123.1) of the exceedances in every `window` x
    `window` neighbourhood that fits the grid: 1 is perfect, and NaN where neither side exceeds.

    Latitude and longitude are always reduced; windows do not cross the seam. Weights have no influence. Costs about
    0.1 s per field of a million cells. Raises UnavailableError without `scores`.
    """
    grid = require_grid(original)
    reduced = list(dict.fromkeys([*reduced_dims(original, dims), grid.latitude, grid.longitude]))
    first, second, valid = exceedances(original, decoded, quantile, reduced, threshold)
    return neighbourhood_score(
        first & valid, second & valid, (grid.latitude, grid.longitude), dims=reduced, window=window
    )


def neighbourhood_score(
    first: xr.DataArray, second: xr.DataArray, plane: tuple[str, str], *, dims: Dims = None, window: int = WINDOW
) -> xr.DataArray:
    """The score of `fractions_skill_score` for the boolean sets of original and decoded exceedances."""
    require_scores()
    from scores.spatial import fss_2d_binary

    first, second = first.compute(), second.compute()
    size = min(window, *(first.sizes[dim] for dim in plane))
    options = {"window_size": (size, size), "spatial_dims": plane, "reduce_dims": reduced_dims(first, dims)}
    score: xr.DataArray = fss_2d_binary(second, first, **options)
    return score.where((first | second).any(reduced_dims(first, dims)))
