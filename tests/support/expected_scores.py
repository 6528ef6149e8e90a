"""Error scores of two arrays by plain numpy: what the metrics and the blockwise statistics must give."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def expected_scores(original: Any, decoded: Any, weights: Any = 1.0) -> dict[str, float]:
    """Weighted rmse, mae, bias and correlation, unweighted plain_rmse, max_error and psnr over values finite on both
    sides; weights broadcast to the arrays.
    """
    a, b = np.asarray(original, dtype=np.float64), np.asarray(decoded, dtype=np.float64)
    valid = np.isfinite(a) & np.isfinite(b)
    w = np.broadcast_to(np.asarray(weights, dtype=np.float64), a.shape)[valid]
    a, b = a[valid], b[valid]
    error = b - a
    covariance = np.cov(a, b, aweights=w, ddof=0)
    return {
        "rmse": float(np.sqrt(np.average(error**2, weights=w))),
        "mae": float(np.average(np.abs(error), weights=w)),
        "bias": float(np.average(error, weights=w)),
        "correlation": float(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])),
        "plain_rmse": float(np.sqrt(np.mean(error**2))),
        "max_error": float(np.abs(error).max()),
        "psnr": float(20 * np.log10(np.ptp(a) / np.sqrt(np.mean(error**2)))),
    }
