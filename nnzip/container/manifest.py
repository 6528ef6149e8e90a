"""What an archive says about itself: frozen structs, and the arithmetic of their shapes.

`packing.py` turns a manifest into bytes and back, `checks.py` makes sure that its parts agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct

from nnzip.container.limits import FORMAT_VERSION, MAX_DIMS, MAX_NAME, MAX_VALUES, OLDEST_FORMAT

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
Size = Annotated[int, Meta(ge=0, le=MAX_VALUES)]
Dims = Annotated[tuple[Name, ...], Meta(max_length=MAX_DIMS)]
Digest = Annotated[bytes, Meta(max_length=64)]
Scalar = str | bool | int | float
Attribute = Scalar | list[Scalar] | dict[str, Scalar | list[Scalar]]
"""A scalar, a list of scalars, or {"dtype": "<f4", "value": ...} where the type must be kept."""
Attributes = dict[str, Attribute]
Pieces = tuple[tuple[int, ...], ...]


class _Entry(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all manifest structs: immutable, strict, and silent about defaults."""


class StoredArray(_Entry, frozen=True):
    """A lossless array (see arrays.py): `values` of a formula or a list, or a range of the archive's arrays."""

    dtype: Annotated[str, Meta(pattern=r"^(f[248]|[iu][1248]|U[0-9]{1,6})$")]
    coding: Annotated[str, Meta(max_length=16)] = "step"
    values: tuple[int | float | str, ...] = ()
    offset: Size = 0
    length: Size = 0


class RawVariable(_Entry, frozen=True):
    """A coordinate or a losslessly kept variable. The file leaves out `dims` where they are (the variable's name,)."""

    data: StoredArray
    dims: Dims = ()
    attrs: Attributes = {}


class KeptPromise(_Entry, frozen=True):
    """A promise beyond the bound, as the command line's option and text ("extremes t2m=p1,p99:0.1"), and how it was
    kept: `points` (or blocks) it concerned, how many break it, and the largest error as a share of its tolerance."""

    promise: Name
    points: Size = 0
    violations: Size = 0
    tightest: Annotated[float, Meta(ge=0)] = 0.0


class Grid(_Entry, frozen=True):
    """The axes of tiles: `dims` are ([time,] latitude, longitude).

    `geographic`: for (time, latitude, longitude), whether the coordinate is real time or degrees; otherwise the axis
    counts points.
    """

    dims: Annotated[tuple[Name, ...], Meta(min_length=2, max_length=3)]
    geographic: tuple[bool, bool, bool] = (True, True, True)

    @property
    def time(self) -> str | None:
        return self.dims[0] if len(self.dims) == 3 else None

    @property
    def latitude(self) -> str:
        return self.dims[-2]

    @property
    def longitude(self) -> str:
        return self.dims[-1]


class BaseEntry(_Entry, frozen=True):
    """The base of a variable (tile/base.py): `harmonics` of the day, with or without seasons.

    `explained`: share of the variance, `saved`: of the bytes, measured on some tiles when it was made.
    """

    harmonics: Annotated[int, Meta(ge=0, le=2)] = 0
    seasonal: bool = False
    explained: Annotated[float, Meta(ge=0, le=1)] = 0.0
    saved: Annotated[float, Meta(ge=0, le=1)] = 0.0

    @property
    def functions(self) -> int:
        """Of the day: 1, and cosine and sine of each harmonic."""
        return 1 + 2 * self.harmonics

    @property
    def weights(self) -> int:
        """Of a tile: 1, and with seasons their cosine and sine."""
        return 3 if self.seasonal else 1

    @property
    def count(self) -> int:
        """Number of its maps."""
        return self.functions * self.weights


class CompressedVariable(_Entry, frozen=True):
    """A variable that tiles reproduce: dimensions in the source's order, output dtype, attributes.

    `sizes`: lengths of the pieces of its four axes (channel, time, latitude, longitude); an empty tuple is one piece.
    `masks`: for every tile 0 where nothing is missing, k for `manifest.masks[k - 1]`; one number stands for all tiles.
    `bound`: the largest error at any point, promised where it is set (0: every value is exact); `guard` of it is kept
    for differences between the arithmetic of encoder and decoder. `promises` go beyond it and took `promise_bytes` of
    the corrections. `network`: the coordinate network of its grid is all there is of it; it has no tiles, its pieces
    serve its masks. `base`: maps that the tiles of all times share.
    """

    dims: Dims
    grid: Annotated[int, Meta(ge=0)] = 0
    dtype: Annotated[str, Meta(pattern=r"^float(32|64)$")] = "float32"
    attrs: Attributes = {}
    sizes: Annotated[tuple[tuple[Annotated[int, Meta(ge=1, le=MAX_VALUES)], ...], ...], Meta(max_length=4)] = ()
    masks: tuple[Annotated[int, Meta(ge=0)], ...] = ()
    bound: Annotated[float, Meta(ge=0)] | None = None
    guard: Annotated[float, Meta(ge=0)] = 0.0
    promises: tuple[KeptPromise, ...] = ()
    promise_bytes: Size = 0
    network: bool = False
    base: BaseEntry | None = None


class MaskRange(_Entry, frozen=True):
    """Where the coded missing positions of a tile are among the archive's arrays; equal masks are stored once."""

    length: Size
    offset: Size = 0


class Source(_Entry, frozen=True):
    """The compressed variables before compression: their size as float32, and a short digest of their values; `stored`:
    bytes of the files that the whole dataset came from, 0 where that is not known."""

    bytes: Size
    digest: Digest = b""
    stored: Size = 0


class AchievedErrors(_Entry, frozen=True, array_like=True):
    """Errors of a decoded variable in its own units, four significant digits; in the file a list in this order."""

    rmse: float
    max_error: float
    bias: float


class Manifest(_Entry, frozen=True):
    """Everything an archive says about itself. `order` lists all data variables in the source's order."""

    nnzip: str
    dims: dict[Name, Size]
    source: Source
    attrs: Attributes = {}
    coordinates: dict[Name, RawVariable] = {}
    lossless: dict[Name, RawVariable] = {}
    variables: dict[Name, CompressedVariable] = {}
    order: tuple[Name, ...] = ()
    grids: tuple[Grid, ...] = ()
    masks: tuple[MaskRange, ...] = ()
    configuration: Attributes = {}
    errors: dict[Name, AchievedErrors] = {}

    @property
    def format(self) -> int:
        """The format that a reader must know: bases came with the fourth."""
        return FORMAT_VERSION if any(entry.base for entry in self.variables.values()) else OLDEST_FORMAT

    def shape(self, dims: Iterable[str]) -> tuple[int, ...]:
        """Sizes of these dimensions."""
        return tuple(self.dims[dim] for dim in dims)

    def channel_dims(self, variable: CompressedVariable) -> tuple[str, ...]:
        """The dimensions of a variable beside its grid's, flattened to channels in this order."""
        return tuple(dim for dim in variable.dims if dim not in self.grids[variable.grid].dims)

    def axes(self, variable: CompressedVariable) -> tuple[int, int, int, int]:
        """Sizes of a variable's four axes: channels, times (1 without time), latitudes, longitudes."""
        grid = self.grids[variable.grid]
        times = 1 if grid.time is None else self.dims[grid.time]
        channels = math.prod(self.shape(self.channel_dims(variable)))
        return channels, times, self.dims[grid.latitude], self.dims[grid.longitude]

    def pieces(self, variable: CompressedVariable) -> Pieces:
        """Lengths of the pieces of a variable's four axes."""
        given = (*variable.sizes, *((),) * (4 - len(variable.sizes)))
        return tuple(sizes or (size,) for sizes, size in zip(given, self.axes(variable), strict=True))

    def outputs(self, variable: int) -> slice:
        """Outputs of its grid's network that are the channels of a variable, a place in `variables`."""
        entries = list(self.variables.values())
        channels = [self.axes(e)[0] if e.network and e.grid == entries[variable].grid else 0 for e in entries]
        return slice(sum(channels[:variable]), sum(channels[: variable + 1]))

    def network_outputs(self, grid: int) -> int:
        """Outputs of the network of a grid; 0 without one."""
        return sum(self.axes(entry)[0] for entry in self.variables.values() if entry.network and entry.grid == grid)

    def mask_number(self, variable: CompressedVariable, tile: int) -> int:
        """0 where nothing is missing in a tile, k for `masks[k - 1]`."""
        if len(variable.masks) < 2:
            return variable.masks[0] if variable.masks else 0
        return variable.masks[tile]


def tile_member(variable: int, tile: int) -> str:
    """Name of a tile's member; `variable` counts through `Manifest.variables`."""
    return f"{variable}.{tile}"


def base_member(variable: int, place: int) -> str:
    """Name of the member of the maps that the tiles at a place share: tile T is at place T % places."""
    return f"{variable}.base{place}"


def network_member(grid: int) -> str:
    """Name of the member of a grid's network; `grid` counts through `Manifest.grids`."""
    return f"network.{grid}"
