"""What an archive says about itself: the content of `manifest.json`, and every check made before it is believed.

Unknown keys are errors; a newer `format` is reported before anything else is looked at. `decode` returns only manifests
whose parts agree with each other and whose declared sizes stay below the limits (limits.py), so that readers may
allocate what a manifest says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from nnzip.container.limits import ARRAYS_MEMBER, FIRST_FORMAT, FORMAT_VERSION, MAX_DIMS, MAX_VALUES
from nnzip.container.validation import check_manifest
from nnzip.errors import CorruptArchiveError, NewerFormatError

Name = Annotated[str, Meta(min_length=1, max_length=1024)]
Size = Annotated[int, Meta(ge=0, le=MAX_VALUES)]
Shape = Annotated[tuple[Size, ...], Meta(max_length=MAX_DIMS)]
Dims = Annotated[tuple[Name, ...], Meta(max_length=MAX_DIMS)]
Attribute = str | int | float | bool | list[Any] | dict[str, Any]
"""A JSON scalar, a list of scalars, or {"dtype": "<f4", "value": ...} where the type must be kept."""


class _Entry(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all manifest structs: immutable, strict, and silent about defaults."""


class StoredArray(_Entry, frozen=True):
    """A lossless array (see arrays.py): `values` of a formula, `inline` bytes, or a range of the member "arrays"."""

    dtype: Annotated[str, Meta(pattern=r"^(O|[<>|][biufcSU][0-9]{1,9})$")]
    coding: Annotated[str, Meta(max_length=16)]
    shape: Shape = ()
    values: Annotated[tuple[int | float, ...], Meta(max_length=2)] = ()
    inline: Annotated[bytes, Meta(max_length=1024)] = b""
    offset: Size = 0
    length: Size = 0


class RawVariable(_Entry, frozen=True):
    """A coordinate or a losslessly kept variable.

    The file leaves out `data.shape`, which is the sizes of `dims`, and `dims` where they are (the variable's name,).
    """

    data: StoredArray
    dims: Dims = ()
    attrs: dict[str, Attribute] = {}


class KeptPromise(_Entry, frozen=True):
    """A promise beyond the bound, as the command line's option and text ("extremes t2m=p1,p99:0.1"), and how it was
    kept: `points` (or blocks) it concerned, how many break it, and the largest error as a share of its tolerance."""

    promise: Name
    points: Size = 0
    violations: Size = 0
    tightest: Annotated[float, Meta(ge=0)] = 0.0


class CompressedVariable(_Entry, frozen=True):
    """A variable that the layers reproduce: dimensions in the source's order, output dtype, attributes.

    `bound`: the largest error at any point, promised where it is set; `guard` of it is kept for differences between the
    arithmetic of encoder and decoder. `promises` go beyond it and took `promise_bytes` of the corrections.
    """

    dims: Dims
    dtype: Annotated[str, Meta(pattern=r"^float(32|64)$")] = "float32"
    attrs: dict[str, Attribute] = {}
    bound: Annotated[float, Meta(gt=0)] | None = None
    guard: Annotated[float, Meta(ge=0)] = 0.0
    promises: tuple[KeptPromise, ...] = ()
    promise_bytes: int = 0


class MaskEntry(_Entry, frozen=True):
    """Where a group's missing positions are: `length` bytes at `offset` of `member`.

    In a member that holds a layer they follow the layer, which then ends at `offset`.
    """

    length: Size
    offset: Size = 0
    member: Name = ARRAYS_MEMBER


class SegmentEntry(_Entry, frozen=True):
    """Time steps [start, stop) of a group and the members that hold their layers.

    `tiles`: where the tiles of the detail layer stop, in steps from `start`. `detail` and `corrections` list the
    members of every tile, by tile and then by variable; an empty name stands for no corrections.
    """

    stop: Size
    start: Size = 0
    field: Name | None = None
    tiles: tuple[Size, ...] = ()
    detail: tuple[Name, ...] = ()
    corrections: tuple[Annotated[str, Meta(max_length=1024)], ...] = ()


GEOGRAPHIC = (True, True, True)
"""Left out of the file where a group has this very object."""


class GroupEntry(_Entry, frozen=True):
    """Variables that share time, latitude and longitude, and hence one field per segment.

    `dims`: time (when there is one), latitude, longitude. `geographic`: for (time, latitude, longitude), whether the
    coordinate is real time or degrees; otherwise it counts points. `statistics`: per-channel numbers the layers need;
    its shape and meaning belong to the field payload.
    """

    dims: Annotated[tuple[Name, ...], Meta(min_length=2, max_length=3)]
    variables: tuple[Name, ...]
    segments: tuple[SegmentEntry, ...]
    geographic: tuple[bool, bool, bool] = GEOGRAPHIC
    mask: MaskEntry | None = None
    statistics: StoredArray | None = None

    @property
    def time(self) -> str | None:
        return self.dims[0] if len(self.dims) == 3 else None

    @property
    def latitude(self) -> str:
        return self.dims[-2]

    @property
    def longitude(self) -> str:
        return self.dims[-1]


class Source(_Entry, frozen=True):
    """The compressed variables before compression: their size as float32, and a short digest of their values."""

    bytes: Size
    digest: Annotated[str, Meta(max_length=128)] = ""


class AchievedErrors(_Entry, frozen=True, array_like=True):
    """Errors of a decoded variable in its own units, six significant digits; in the file a list in this order."""

    rmse: float
    max_error: float
    bias: float


class Manifest(_Entry, frozen=True):
    """Everything an archive says about itself. `order` lists all data variables in the source's order."""

    format: int
    nnzip: str
    dims: dict[Name, Size]
    source: Source
    attrs: dict[str, Attribute] = {}
    coordinates: dict[Name, RawVariable] = {}
    lossless: dict[Name, RawVariable] = {}
    variables: dict[Name, CompressedVariable] = {}
    order: tuple[Name, ...] = ()
    groups: tuple[GroupEntry, ...] = ()
    configuration: dict[str, Any] = {}
    errors: dict[Name, AchievedErrors] = {}

    def shape(self, dims: Iterable[str]) -> tuple[int, ...]:
        """Sizes of these dimensions."""
        return tuple(self.dims[dim] for dim in dims)

    def members(self) -> set[str]:
        """Names of all members this manifest refers to."""
        names = {ARRAYS_MEMBER} if any(array.length for array in self.stored_arrays()) else set()
        for group in self.groups:
            names |= {group.mask.member} if group.mask else set()
            for segment in group.segments:
                names |= {name for name in (segment.field, *segment.detail, *segment.corrections) if name}
        return names

    def stored_arrays(self) -> list[StoredArray]:
        """Every lossless array of the archive."""
        raw = [variable.data for variable in (*self.coordinates.values(), *self.lossless.values())]
        return raw + [group.statistics for group in self.groups if group.statistics]


class _Version(Struct):
    format: int


def encode(manifest: Manifest) -> bytes:
    """Compact JSON. Raises ValueError for NaN and infinities, and for a manifest that contradicts itself."""
    try:
        check_manifest(manifest, None)
    except CorruptArchiveError as error:
        raise ValueError(str(error)) from error
    _require_finite(msgspec.to_builtins(manifest), "manifest")
    natural = (*manifest.variables, *manifest.lossless)
    brief = replace(
        manifest,
        order=() if manifest.order == natural else manifest.order,
        coordinates={name: _brief(name, raw) for name, raw in manifest.coordinates.items()},
        lossless={name: _brief(name, raw) for name, raw in manifest.lossless.items()},
        errors={name: _rounded(errors) for name, errors in manifest.errors.items()},
    )
    return msgspec.json.encode(brief)


def decode(data: bytes, sizes: Mapping[str, int] | None = None) -> Manifest:
    """Parse and check `manifest.json`.

    `sizes` are the archive's members with their bytes; when given, every member the manifest names must be
    there and long enough. Raises NewerFormatError for a later format and CorruptArchiveError for anything malformed or
    contradictory.
    """
    try:
        version = msgspec.json.decode(data, type=_Version).format
        if version > FORMAT_VERSION:
            raise NewerFormatError(
                f"the archive has format {version}, this nnzip reads up to {FORMAT_VERSION}:"
                " update nnzip (pip install -U nnzip)"
            )
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptArchiveError(f"manifest.json is not a valid manifest: {error}") from error
    if manifest.format < FIRST_FORMAT:
        raise CorruptArchiveError(f"manifest.json has format {manifest.format}; the first one is {FIRST_FORMAT}")
    complete = replace(
        manifest,
        order=manifest.order or (*manifest.variables, *manifest.lossless),
        coordinates={name: _full(manifest, name, raw) for name, raw in manifest.coordinates.items()},
        lossless={name: _full(manifest, name, raw) for name, raw in manifest.lossless.items()},
    )
    check_manifest(complete, sizes)
    return complete


def _brief(name: str, raw: RawVariable) -> RawVariable:
    dims = () if raw.dims == (name,) else raw.dims
    return replace(raw, dims=dims, data=replace(raw.data, shape=()))


def _full(manifest: Manifest, name: str, raw: RawVariable) -> RawVariable:
    dims = (name,) if not raw.dims and name in manifest.dims else raw.dims
    if raw.data.shape or any(dim not in manifest.dims for dim in dims):
        return replace(raw, dims=dims)  # reported by check_manifest
    return replace(raw, dims=dims, data=replace(raw.data, shape=manifest.shape(dims)))


def _rounded(errors: AchievedErrors) -> AchievedErrors:
    return AchievedErrors(*(float(f"{value:.6g}") for value in (errors.rmse, errors.max_error, errors.bias)))


def _require_finite(value: Any, where: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value}, which JSON cannot carry: store it as text")
    if isinstance(value, dict):
        for key, item in value.items():
            _require_finite(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            _require_finite(item, f"{where}[{position}]")
