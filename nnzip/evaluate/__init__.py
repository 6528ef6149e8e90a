"""How close decoded data are to the original: means, structure, and one evaluation of a whole dataset.

Every metric has one signature, `metric(original, decoded, *, dims=None, weights=None)`, takes and returns xarray
objects, computes in float64, and skips positions where either side has no finite value.
"""

from __future__ import annotations
