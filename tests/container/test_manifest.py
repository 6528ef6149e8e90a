from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest

from nnzip.container.arrays import ArrayStore
from nnzip.container.manifest import (
    AchievedErrors,
    CompressedVariable,
    GroupEntry,
    Manifest,
    RawVariable,
    SegmentEntry,
    StoredArray,
    decode,
    encode,
)
from nnzip.errors import CorruptArchiveError, NewerFormatError
from tests.support.archive_examples import example_manifest


def example(**changes: Any) -> Manifest:
    return example_manifest(ArrayStore(), **changes)


def altered(path: str, value: Any) -> bytes:
    """The example's JSON with the entry at `path` (dots, numbers for lists) set, or removed for `...`."""
    tree = json.loads(encode(example()))
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    node = tree
    for part in parents:
        node = node[part]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return json.dumps(tree).encode()


def test_round_trip_with_shapes_and_order_restored() -> None:
    manifest = example()
    assert decode(encode(manifest)) == manifest
    assert decode(encode(manifest)).coordinates["height"].data.shape == ()
    assert manifest.members() == {"f0", "f1", "arrays"}
    assert manifest.groups[0].time == "time"
    assert manifest.groups[0].latitude == "lat"
    assert manifest.groups[0].longitude == "lon"


def test_natural_order_is_not_written() -> None:
    manifest = example(order=("sst", "v10", "name"))
    assert b'"order"' not in encode(manifest)
    assert decode(encode(manifest)).order == manifest.order
    assert decode(encode(example(order=()))).order == manifest.order


def test_errors_are_written_to_six_digits() -> None:
    manifest = example(errors={"sst": AchievedErrors(0.123456789, 1234567.8, -1e-9 / 3)})
    assert decode(encode(manifest)).errors["sst"] == AchievedErrors(0.123457, 1234570.0, -3.33333e-10)


def test_group_without_time_has_one_step() -> None:
    manifest = example(
        variables={"orography": CompressedVariable(("lat", "lon"))},
        order=(),
        errors={},
        groups=(GroupEntry(("lat", "lon"), ("orography",), (SegmentEntry(1, field="f0"),)),),
    )
    assert decode(encode(manifest)).groups[0].time is None


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_numbers_cannot_be_encoded(value: float) -> None:
    with pytest.raises(ValueError, match=r"attrs\.x is (nan|inf)"):
        encode(example(attrs={"x": value}))
    with pytest.raises(ValueError, match=r"errors\.sst"):
        encode(example(errors={"sst": AchievedErrors(value, 0, 0)}))


def test_newer_format_is_reported_before_anything_else() -> None:
    with pytest.raises(NewerFormatError, match=r"format 3.*up to 2"):
        decode(b'{"format": 3, "planets": [1, 2, 3]}')


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"null", b"[]", b"\xff\xfe", b'{"format": 1}', b'{"format": 0}', b'{"format": "1"}', b"[" * 100_000],
    ids=range(9),
)
def test_not_a_manifest(data: bytes) -> None:
    with pytest.raises(CorruptArchiveError, match=r"manifest\.json"):
        decode(data)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("format", 0, "format 0"),
        ("planet", "Mars", "planet"),
        ("groups.0.colour", 1, "colour"),
        ("dims.time", -1, "dims"),
        ("dims.time", 1 << 50, "dims"),
        ("dims.time", "6", "dims"),
        ("dims.lat", ..., '"lat" is not declared'),
        ("source.bytes", 1 << 60, "source"),
        ("variables.sst.dims", ["time", "lat", "lat"], "repeated"),
        ("variables.sst.dims", ["time", "lat", "height"], '"height" is not declared'),
        ("variables.sst.dims", ["lat", "lon"], 'lacks the dimension "time"'),
        ("variables.sst.dtype", "int16", "dtype"),
        ("variables.sst.attrs", {"x": {"dtype": "<f4"}}, 'attribute "x"'),
        ("variables.sst.attrs", {"x": [[1]]}, 'attribute "x" holds a list'),
        ("variables.sst.attrs", {"x": None}, "null"),
        ("variables.name", {"dims": ["station"]}, '"name" is declared twice'),
        ("coordinates.lat.data.shape", [7], r"shape \(7,\)"),
        ("coordinates.lat.dims", ["lon"], 'name of the dimension "lat"'),
        ("coordinates.lat.data.dtype", "object", "dtype"),
        ("coordinates.time.data.offset", 1 << 30, 'bytes .* of "arrays"'),
        ("coordinates.time.data.length", 1 << 39, 'bytes .* of "arrays"'),
        ("coordinates.time.data.offset", -1, "offset"),
        ("order", ["sst", "v10"], "order"),
        ("errors.name", [1, 2, 3], '"name"'),
        ("groups", [], "groups"),
        ("groups.0.variables", ["sst"], "groups: hold"),
        ("groups.0.variables", ["sst", "v10", "v10"], "groups: hold"),
        ("groups.0.dims", ["lon"], "dims"),
        ("groups.0.segments.0.stop", 0, r"segments\[0\].*step 0 comes next"),
        ("groups.0.segments.1.start", 5, r"segments\[1\].*5 to 6; step 4 comes next"),
        ("groups.0.segments.1.start", 3, r"segments\[1\].*3 to 6; step 4 comes next"),
        ("groups.0.segments.1.stop", 7, "end at step 7 of 6"),
        ("groups.0.segments.0.field", "f9", '"f9" is referred to'),
        ("groups.0.segments.0.detail", ["d0"], "lists 1 details and 0 corrections for 0 tiles"),
        ("groups.0.segments.0.field", None, "has no layer"),
        ("groups.0.mask.length", 5000, "mask"),
        ("groups.0.mask.member", "nowhere", "nowhere"),
    ],
)
def test_contradictions(path: str, value: Any, message: str) -> None:
    with pytest.raises(CorruptArchiveError, match=message):
        decode(altered(path, value), {"arrays": 400, "f0": 1, "f1": 1})


def test_product_of_sizes_is_limited() -> None:
    data = altered("dims", {"time": 6, "lat": 1 << 20, "lon": 1 << 20, "station": 2})
    with pytest.raises(CorruptArchiveError, match=f"declares .* the limit is {1 << 40}"):
        decode(data)


def test_a_contradictory_manifest_is_never_written() -> None:
    with pytest.raises(ValueError, match="end at step 6 of 7"):
        encode(example(dims={"time": 7, "lat": 5, "lon": 8, "station": 2}, coordinates={}))


def test_manifests_are_immutable() -> None:
    with pytest.raises(AttributeError):
        example().format = 2  # type: ignore[misc]


def test_structs_know_their_json_types() -> None:
    raw = RawVariable(StoredArray("<f4", "plain", (2,), inline=np.zeros(2, "<f4").tobytes()), ("x",))
    assert msgspec.json.decode(msgspec.json.encode(raw), type=RawVariable) == raw
