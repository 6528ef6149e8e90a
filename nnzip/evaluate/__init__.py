"""How close decoded data are to the original: errors, structure, extremes, events, and the promises of an archive.

Metrics have one signature, `metric(original, decoded, *, dims=None, weights=None)`; see nnzip.evaluate.errors.
"""
