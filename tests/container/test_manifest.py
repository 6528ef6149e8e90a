"""Manifests: bytes and back, and the checks that make them trustworthy."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest

from nnzip.container.arrays import ArrayStore
from nnzip.container.checks import check_manifest
from nnzip.container.deflate import inflate_first, manifest_dictionary
from nnzip.container.manifest import (
    AchievedErrors,
    CompressedVariable,
    Grid,
    Manifest,
    RawVariable,
    Source,
    StoredArray,
)
from nnzip.container.packing import pack, unpack
from nnzip.errors import CorruptArchiveError, InputError, NewerFormatError
from tests.support.archive_examples import TILES, example_manifest, packed

FILE_BYTES = 5000
ARRAYS = b"mask bytes"  # of the example


def example(**changes: Any) -> Manifest:
    return example_manifest(ArrayStore(), **changes)


def text_of(manifest: Manifest) -> bytes:
    """The JSON in a packed manifest."""
    return inflate_first(pack(manifest, b"")[1:], 1 << 20, manifest_dictionary())[0]


def read(data: bytes) -> Manifest:
    manifest, arrays = unpack(data, FILE_BYTES)
    check_manifest(manifest, len(arrays), TILES.keys(), FILE_BYTES)
    return manifest


def altered(path: str, value: Any) -> bytes:
    """The example packed with the entry at `path` (dots, numbers for lists) set, or removed for `...`."""
    tree = json.loads(text_of(example()))
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    node = tree
    for part in parents:
        node = node[part]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return packed(json.dumps(tree).encode(), ARRAYS)


def test_round_trip_with_dims_and_order_restored() -> None:
    manifest, arrays = unpack(pack(example(), b"arrays"), FILE_BYTES)
    assert manifest == example()
    assert arrays == b"arrays"
    assert read(pack(example(), ARRAYS)) == manifest


def test_the_dictionary_is_part_of_the_format() -> None:
    """A changed byte of it makes every archive unreadable."""
    assert (len(manifest_dictionary()), zlib.crc32(manifest_dictionary())) == (22155, 2267164504)
    assert len(manifest_dictionary()) < 32768 - 262  # zlib sees no more


def test_defaults_and_the_natural_order_are_not_written() -> None:
    text = text_of(example(order=("sst", "v10", "name")))
    assert not {"order", "format", "geographic"} & set(json.loads(text))
    assert json.loads(text)["coordinates"]["lat"]["data"] == {"dtype": "f8", "values": [-10, 5]}
    assert unpack(packed(text), FILE_BYTES)[0].order == ("sst", "v10", "name")
    assert unpack(pack(example(order=()), b""), FILE_BYTES)[0].order == ("sst", "v10", "name")


def test_errors_have_four_digits_and_the_largest_is_never_understated() -> None:
    errors = {"sst": AchievedErrors(0.123456789, 0.0499991, -1e-9 / 3), "v10": AchievedErrors(1e-9, 1234567.8, 0.0)}
    read_back = unpack(pack(example(errors=errors), b""), FILE_BYTES)[0].errors
    assert read_back["sst"] == AchievedErrors(0.1235, 0.05, -3.333e-10)
    assert read_back["v10"] == AchievedErrors(1e-9, 1235000.0, 0.0)


def test_an_error_within_its_bound_stays_there() -> None:
    variables = {"sst": CompressedVariable(("time", "lat", "lon"), bound=0.0499992)}
    manifest = example(variables=variables, errors={"sst": AchievedErrors(0.01, 0.0499991, 0.0)})
    assert unpack(pack(manifest, b""), FILE_BYTES)[0].errors["sst"].max_error == 0.0499992


def test_axes_and_pieces() -> None:
    manifest = example(
        dims={"time": 6, "lat": 5, "lon": 8, "level": 3, "number": 2},
        variables={
            "t": CompressedVariable(("level", "lat", "time", "number", "lon"), sizes=((4, 2), (), (3, 2))),
            "orography": CompressedVariable(("lat", "lon"), grid=1),
        },
        grids=(Grid(("time", "lat", "lon")), Grid(("lat", "lon"))),
    )
    t, orography = manifest.variables.values()
    assert manifest.channel_dims(t) == ("level", "number")
    assert manifest.axes(t) == (6, 6, 5, 8)
    assert manifest.pieces(t) == ((4, 2), (6,), (3, 2), (8,))
    assert manifest.axes(orography) == (1, 1, 5, 8)
    assert (manifest.grids[1].time, manifest.grids[1].latitude, manifest.grids[1].longitude) == (None, "lat", "lon")


def test_mask_numbers() -> None:
    manifest, dims = example(), ("time", "lat", "lon")
    assert [manifest.mask_number(CompressedVariable(dims, masks=(0, 2)), tile) for tile in range(2)] == [0, 2]
    assert [manifest.mask_number(CompressedVariable(dims, masks=(1,)), tile) for tile in range(2)] == [1, 1]
    assert manifest.mask_number(CompressedVariable(dims), 7) == 0


def test_typed_attributes_may_have_several_dimensions() -> None:
    matrix = {"dtype": "<f4", "value": [1, 0, 0, 1], "shape": [2, 2]}
    check_manifest(example(attrs={"matrix": matrix}), len(ARRAYS), ["nnzip", *TILES], FILE_BYTES)
    with pytest.raises(CorruptArchiveError, match=r'"matrix" has keys.*size'):
        check_manifest(example(attrs={"matrix": {**matrix, "size": 4}}), len(ARRAYS), ["nnzip", *TILES], FILE_BYTES)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_numbers_cannot_be_written(value: float) -> None:
    with pytest.raises(InputError, match=r"'x' is (nan|inf)"):
        pack(example(attrs={"x": value}), b"")
    with pytest.raises(InputError, match=r"'sst' is (nan|inf)"):
        pack(example(errors={"sst": AchievedErrors(value, 0, 0)}), b"")


def test_newer_format_is_reported_before_anything_else() -> None:
    with pytest.raises(NewerFormatError, match=r"format 5.*reads formats 3 to 4: update nnzip"):
        unpack(b"\5 nothing we know", FILE_BYTES)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"null", b"[]", b"\xff\xfe", b"{}", b'{"nnzip": 1}', b"[" * 100_000, b'{"nnzip":' + b"[" * 100_000],
)
def test_not_a_manifest(text: bytes) -> None:
    with pytest.raises(CorruptArchiveError, match="manifest is not as nnzip writes it"):
        unpack(packed(text), FILE_BYTES)


@pytest.mark.parametrize("data", [b"", b"\0", b"\2{}", b"\3", b"\3\xff\xff", pack(example(), b"")[:-1]])
def test_not_a_packed_manifest(data: bytes) -> None:
    with pytest.raises(CorruptArchiveError):
        unpack(data, FILE_BYTES)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("planet", "Mars", "planet"),
        ("format", 3, "format"),
        ("grids.0.colour", 1, "colour"),
        ("dims.time", -1, "dims"),
        ("dims.time", 1 << 50, "dims"),
        ("dims.time", "6", "dims"),
        ("dims.lat", ..., '"lat" is not declared'),
        ("dims.station", 1 << 28, None),
        ("dims.lat", 1 << 28, "need 2147.* bytes; the limit for a file of 5000 is 25185824"),
        ("source.bytes", 1 << 60, "source"),
        ("attrs.x", None, "attrs"),
        ("attrs.x", [[1]], "attrs"),
        ("attrs.x", {"dtype": "<f4"}, 'attribute "x"'),
        ("attrs.x", {"dtype": 4, "value": 1}, 'attribute "x"'),
        ("attrs.x", {"dtype": "<f4", "value": {}}, "attrs"),
        ("configuration.x", {"a": {}}, "configuration"),
        ("variables.sst.dims", ["time", "lat", "lat"], "repeated"),
        ("variables.sst.dims", ["time", "lat", "height"], '"height" is not declared'),
        ("variables.sst.dims", ["lat", "lon"], 'lacks the dimension "time"'),
        ("variables.sst.dtype", "int16", "dtype"),
        ("variables.sst.grid", 1, "is on grid 1; there are 1"),
        ("variables.sst.grid", -1, "grid"),
        ("variables.sst.sizes", [[], [4, 3]], "pieces along time have 7 points, the axis has 6"),
        ("variables.sst.sizes", [[], [4, 2, 0]], "sizes"),
        ("variables.sst.sizes", [[], [7, -1]], "sizes"),
        ("variables.sst.sizes", [[], [], [], [], []], "sizes"),
        ("variables.sst.sizes", [[], [2, 2, 2]], 'tile "0.2" is not in the archive'),
        ("variables.sst.sizes", [[], [1] * 6, [1] * 5, [1] * 8], "has 240 tiles; the archive has 3"),
        ("variables.sst.masks", [0, 2], "has mask 2; there are 1"),
        ("variables.sst.masks", [0, 1, 1], "has 3 masks for 2 tiles"),
        ("variables.sst.masks", [0, -1], "masks"),
        ("variables.sst.bound", -0.1, "bound"),
        ("variables.name", {"dims": ["time", "lat", "lon"]}, "is not in the archive"),
        ("lossless.sst", {"data": {"dtype": "f4", "values": [1]}}, '"sst" is declared twice'),
        ("coordinates.lat.dims", ["lon"], 'name of the dimension "lat"'),
        ("coordinates.lat.data.dtype", "object", "dtype"),
        ("coordinates.time.data", {"dtype": "f8", "coding": "shuffle", "offset": 5, "length": 20}, "which have 10"),
        (
            "coordinates.time.data",
            {"dtype": "f8", "coding": "shuffle", "offset": 5, "length": 5},
            r"begins at byte 5 of the arrays, where masks\[0\] has not ended",
        ),
        ("coordinates.time.data.length", 1 << 39, "of the arrays"),
        ("coordinates.time.data.offset", -1, "offset"),
        ("masks.0.length", 5000, r"masks\[0\]"),
        ("masks.0.length", 7, "arrays: have 10 bytes, of which the last 3 belong to nothing"),
        ("order", ["sst", "v10"], "order"),
        ("errors.name", [1, 2, 3], '"name"'),
        ("errors.sst", [1, 2], "errors"),
        ("grids", [], "is on grid 0; there are 0"),
        ("grids.0.dims", ["lon"], "dims"),
        ("grids.0.dims", ["time", "lat", "lat"], "repeated"),
        ("grids.0.dims", ["time", "lat", "height"], '"height" is not declared'),
        ("grids.0.geographic", [True], "geographic"),
    ],
)
def test_contradictions(path: str, value: Any, message: str | None) -> None:
    data = altered(path, value)
    if message is None:
        assert read(data)
        return
    with pytest.raises(CorruptArchiveError, match=message):
        read(data)


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ({"time": 1, "lat": 1, "lon": 1, "a": 1 << 20, "b": 1 << 20, "c": 2}, "limit is 1099511627776"),
        ({"time": 1, "lat": 1, "lon": 1, "a": 1 << 20, "b": 1 << 10, "c": 1}, "has tiles of 1073741824 values"),
        ({"time": 0, "lat": 1, "lon": 1, "a": 1, "b": 1, "c": 1}, "empty dimension"),
        ({"time": 1, "lat": 1, "lon": 1, "a": 0, "b": 1, "c": 1}, "empty dimension"),
    ],
)
def test_products_of_sizes(dims: dict[str, int], message: str) -> None:
    manifest = Manifest(
        nnzip="0.1.0",
        dims=dims,
        source=Source(1),
        variables={"t": CompressedVariable(tuple(dims))},
        grids=(Grid(("time", "lat", "lon")),),
    )
    with pytest.raises(CorruptArchiveError, match=message):
        read(pack(manifest, b""))


def test_axes_are_limited_together() -> None:
    sizes = {f"d{i}": 1 << 20 for i in range(4)}
    data = {name: RawVariable(StoredArray("i4", values=(0, 1)), (name,)) for name in sizes}
    with pytest.raises(CorruptArchiveError, match=r"need 33554.* bytes"):
        read(pack(example(dims={**example().dims, **sizes}, coordinates=data), b""))


def test_manifests_are_immutable() -> None:
    with pytest.raises(AttributeError):
        example().format = 2  # type: ignore[misc]
