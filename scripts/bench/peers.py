"""What other codecs reach (peers.json), and comparisons with them at equal bytes, equal error and equal bound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np

FAMILIES = {
    "SZ3": ("sz3", "sz3_2d"),
    "SPERR": ("sperr", "sperr_2d", "sperr_wasm"),
}
"""Codecs that count as one peer: the best of its ways to cut the data is taken."""

EBCC_PARTS = {
    "uk_t2m": 6,
    "eastasia_u": 3,
    "eastasia_v": 3,
    "eastasia_w": 3,
    "ostia_sst": 3,
    "gfs_gh500": 3,
    "gfs_msl": 3,
}
"""EBCC was measured on a part of these cases: the first 124 of 744 hours, the first of three levels or frames.

Found by running EBCC (numcodecs-wasm-ebcc 0.3.0) again: the parts give its bytes, RMSE and maximum to every digit. Its
bytes are multiplied by the number of parts; whole cases took 2 to 7 % more than that (uk_t2m, eastasia_v, gfs_gh500).
"""

_NEAR = 1.25
_EXTRAPOLATED = 2.0


class PeerRow(msgspec.Struct, frozen=True):
    """One file of a peer. Bound rows have `label`, `bound`, `held`; ratio rows `target`, `p999`, `tail_rmse`."""

    codec: str
    bytes: int
    rmse: float
    wrmse: float
    max: float
    enc_MBps: float | None = None  # noqa: N815 (as in the file)
    dec_MBps: float | None = None  # noqa: N815
    label: str | None = None
    bound: float | None = msgspec.field(default=None, name="E")
    held: bool | None = None
    target: float | None = None
    p999: float | None = None
    tail_rmse: float | None = None


class PeerCase(msgspec.Struct, frozen=True):
    """One case: statistics of the data and the rows of all peers. `p99`: per channel."""

    units: str
    note: str
    shape: list[int]
    min: float
    max: float
    std: float
    float32_bytes: int
    n_valid: int
    p99: list[float]
    lossless_zlib_bytes: int
    bound: list[PeerRow]
    ratio: list[PeerRow]

    @property
    def per_level(self) -> bool:
        """Whether bounds relative to the range mean each level's own range."""
        return "OWN range" in self.note


def read_peers(data: Path) -> dict[str, PeerCase]:
    """peers.json of the data directory, with EBCC's sizes scaled to whole cases."""
    cases = msgspec.json.decode((data / "peers.json").read_bytes(), type=dict[str, PeerCase])
    return {name: _whole(case, EBCC_PARTS.get(name, 1)) for name, case in cases.items()}


def _whole(case: PeerCase, parts: int) -> PeerCase:
    rows = [msgspec.structs.replace(r, bytes=r.bytes * parts) if r.codec == "ebcc" else r for r in case.bound]
    return msgspec.structs.replace(case, bound=rows)


def rated_codecs(case: PeerCase) -> list[str]:
    """Codecs that were run at ratios, and so have files near every size in question (EBCC and ZFP were not)."""
    return list(dict.fromkeys(row.codec for row in case.ratio))


def error_at(case: PeerCase, codec: str, size: int) -> float | None:
    """Weighted RMSE of a codec at `size` bytes: its measured files joined by lines in both logarithms.

    None where none of its files is near: the true curve bends, and a long line would flatter the codec.
    """
    sizes, errors = _curve(case, codec)
    if not any(1 / _NEAR <= near / size <= _NEAR for near in sizes):
        return None
    return float(np.exp(np.interp(np.log(size), np.log(sizes), np.log(errors))))


def bytes_at(case: PeerCase, codec: str, wrmse: float) -> float | None:
    """Bytes a codec needs for a weighted RMSE: the inverse of `error_at`.

    Beyond its smallest and largest files the curve goes on straight, by at most a factor of 2 in bytes.
    """
    sizes, errors = (np.log(part) for part in _curve(case, codec))
    if len(sizes) < 2:
        return None
    ends, limit = ((0, 1), (-1, -2)), np.log(_EXTRAPOLATED)
    wanted = np.log(wrmse)
    for last, inner in ends:
        beyond = (wanted - errors[last]) / (errors[last] - errors[inner])
        if beyond > 0:
            return float(np.exp(sizes[last] + np.clip(beyond * (sizes[last] - sizes[inner]), -limit, limit)))
    return float(np.exp(np.interp(wanted, errors[::-1], sizes[::-1])))


def best_error(case: PeerCase, names: Iterable[str], size: int) -> tuple[float, str] | None:
    """The smallest weighted RMSE at `size` bytes among codecs, and whose it is."""
    found = [(error, name) for name in names if (error := error_at(case, name, size)) is not None]
    return min(found, default=None)


def best_bytes(case: PeerCase, names: Iterable[str], wrmse: float) -> tuple[float, str] | None:
    """The fewest bytes for a weighted RMSE among codecs, and whose they are."""
    found = [(size, name) for name in names if (size := bytes_at(case, name, wrmse)) is not None]
    return min(found, default=None)


def ratio_row(case: PeerCase, names: Sequence[str], target: float) -> PeerRow | None:
    """The file for a target ratio with the smallest weighted RMSE among codecs."""
    rows = [
        row
        for row in case.ratio
        if row.codec in names and row.target == target and row.bytes < _NEAR * case.float32_bytes / target
    ]
    return min(rows, key=lambda row: row.wrmse, default=None)


def ebcc_rows(case: PeerCase) -> dict[str, PeerRow]:
    """EBCC's files by the label of a run of the same size."""
    return {f"size of ebcc {row.label}": row for row in case.bound if row.codec == "ebcc"}


def bound_labels(case: PeerCase) -> dict[str, float]:
    """The bounds peers were run at: label -> absolute bound."""
    return {row.label: row.bound for row in case.bound if row.label is not None and row.bound is not None}


def held(case: PeerCase, row: PeerRow) -> bool:
    """Whether a file holds its bound; missing it by less than half a float32 unit in the last place counts.

    Where every level has a bound of its own, SPERR (whose misses are of that kind) counts as holding it.
    """
    if row.held or row.bound is None:
        return bool(row.held)
    if case.per_level and _relative(row):
        return row.codec in FAMILIES["SPERR"]
    half_unit = float(np.spacing(np.float32(max(abs(case.min), abs(case.max))))) / 2
    return row.max <= row.bound + half_unit


def smallest_held(case: PeerCase, label: str) -> PeerRow | None:
    """The smallest peer file that holds the bound."""
    rows = [row for row in case.bound if row.label == label and held(case, row)]
    return min(rows, key=lambda row: row.bytes, default=None)


def fraction_of_range(label: str) -> float | None:
    """0.001 for "1e-03*range", None for an absolute bound such as "0.5K"."""
    number, star, _ = label.partition("*range")
    return float(number) if star else None


def _relative(row: PeerRow) -> bool:
    return row.label is not None and fraction_of_range(row.label) is not None


def _curve(case: PeerCase, codec: str) -> tuple[list[int], list[float]]:
    """Sizes (ascending) and weighted RMSE (descending) of a codec's files that no other one of its beats in both."""
    sizes: list[int] = []
    errors: list[float] = []
    for row in sorted([*case.ratio, *case.bound], key=lambda row: (row.bytes, row.wrmse)):
        if row.codec == codec and row.wrmse > 0 and (not errors or row.wrmse < errors[-1]):
            sizes.append(row.bytes)
            errors.append(row.wrmse)
    return sizes, errors
