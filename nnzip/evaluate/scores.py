"""Results of an evaluation: plain frozen records for JSON, tables and reports."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from nnzip.evaluate.error_maps import ErrorMaps
from nnzip.evaluate.errors import Histogram, number
from nnzip.evaluate.structure import StructureScores


@dataclass(frozen=True)
class VariableScores:
    """Errors of one variable, decoded minus original, in its units, over all positions where both are finite.

    rmse, mae, bias and correlation are weighted by `weighting` ("cell area" or "uniform"); rmse_unweighted, psnr (dB,
    None when infinite or undefined), max_error and error_quantiles ({"0.99": |error|}) count every value the same.
    max_error_at: coordinates of the largest error, max_error_index: its index by dimension. missing: NaN or infinite
    values of the original; missing_mismatch: positions where the two sides are not missing in the same way. ratio and
    bits_per_value are the whole file's: its variables share one file. lossless_bytes: the same values as float32
    through byte shuffle and zlib level 5. maps: the errors by place and by time.
    """

    name: str
    long_name: str
    units: str
    sizes: dict[str, int]
    dtype: str
    values: int
    missing: int
    missing_mismatch: int
    minimum: float
    maximum: float
    weighting: str
    rmse: float
    rmse_unweighted: float
    mae: float
    bias: float
    max_error: float
    max_error_at: dict[str, str | float]
    max_error_index: dict[str, int]
    psnr: float | None
    error_quantiles: dict[str, float]
    correlation: float | None
    source_bytes: int
    lossless_bytes: int
    ratio: float | None
    bits_per_value: float | None
    structure: StructureScores | None
    histogram: Histogram = field(repr=False, compare=False)
    maps: ErrorMaps = field(repr=False, compare=False)

    @property
    def lossless_ratio(self) -> float:
        """float32 bytes over lossless bytes."""
        return self.source_bytes / self.lossless_bytes


@dataclass(frozen=True)
class Evaluation:
    """Scores of every variable, and the sizes they were bought with.

    source_bytes: float32 bytes of everything in the compressed file; file_bytes: the file, None when only decoded data
    were given. parts: bytes of the file by part. notes: variables that could not be scored, and why. stored_bytes:
    the original's files, None when not given.
    """

    variables: tuple[VariableScores, ...]
    source_bytes: int
    file_bytes: int | None
    parts: dict[str, int] | None
    notes: tuple[str, ...]
    stored_bytes: int | None = None

    @property
    def stored_ratio(self) -> float | None:
        """stored_bytes over file_bytes."""
        return self.stored_bytes / self.file_bytes if self.stored_bytes and self.file_bytes else None

    @property
    def ratio(self) -> float | None:
        """source_bytes over file_bytes."""
        return self.source_bytes / self.file_bytes if self.file_bytes else None

    @property
    def bits_per_value(self) -> float | None:
        """Bits of the file over its compressed values."""
        return 32 / self.ratio if self.ratio else None

    def to_dict(self) -> dict[str, Any]:
        """Types of JSON only; numbers that JSON lacks (infinite, NaN) become None, histograms and spectra are left
        out.
        """
        content: dict[str, Any] = to_plain(self)
        content |= {"ratio": self.ratio, "bits_per_value": self.bits_per_value, "stored_ratio": self.stored_ratio}
        for record, scores in zip(content["variables"], self.variables, strict=True):
            record["lossless_ratio"] = scores.lossless_ratio
        return content


def to_plain(value: Any) -> Any:
    """Records, mappings and sequences as JSON types, recursively; fields with `repr=False` are left out, infinite
    numbers and NaN become None.
    """
    if is_dataclass(value):
        return {item.name: to_plain(getattr(value, item.name)) for item in fields(value) if item.repr}
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    if isinstance(value, float):
        return number(value)
    return value
