"""docs/format.md says all: a reader written from it alone (scripts/read_nnz.py) reads what nnzip writes."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import make_golden
import msgspec
import numpy as np
import pytest
import read_nnz
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import nnzip
from nnzip.coder.bands import interpolation_bands, wavelet_bands
from nnzip.coder.context_weights import stored_network
from nnzip.coder.entropy import TABLES, Magnitudes, Signs, encode_chunks
from nnzip.container.arrays import ArrayStore
from nnzip.container.deflate import manifest_dictionary
from nnzip.tile.corrections import Wrong, encode_corrections
from nnzip.tile.decode import decode_tile
from nnzip.tile.encode import Goal, Size, encode_tile
from nnzip.tile.header import CONSTANT, EXACT, INTERPOLATION, WAVELET, Shape
from nnzip.transform.wavelet import max_depth
from tests.support.archive_examples import encode_mask
from tests.support.coefficient_examples import encode
from tests.support.tile_examples import KINDS, SHAPES, bounded, scaling, values_of

ROOT = Path(nnzip.__file__).parents[1]
DOCUMENT = " ".join((ROOT / "docs" / "format.md").read_text().split())
GOLDEN = sorted((ROOT / "tests" / "golden").glob("*.nnz"))
CASES = make_golden.cases()


@pytest.fixture(scope="module", params=CASES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """An archive of every coding, with its name."""
    path = tmp_path_factory.mktemp("archives") / f"{request.param}.nnz"
    dataset, options = CASES[request.param]
    nnzip.compress(dataset, path, options)
    return request.param, path


def headers(path: Path) -> list[dict[str, Any]]:
    """Of the tiles."""
    with nnzip.open_archive(path) as archive:
        tiles = [archive.reader.read(name) for name in archive.reader.sizes() if re.fullmatch(r"\d+\.\d+", name)]
    return [
        {"c": WAVELET, **msgspec.msgpack.decode(tile[2 : 2 + int.from_bytes(tile[:2], "little")])} for tile in tiles
    ]


# --- archives ---------------------------------------------------------------------------------------------------------


def test_every_array_is_the_same(made: tuple[str, Path]) -> None:
    """Within a share of the guard; without floating point to the bit."""
    name, path = made
    found = read_nnz.read(path)
    with nnzip.open_archive(path) as archive:
        expected, manifest = archive.dataset().load(), archive.manifest
        raw = {name: archive.reader.read_array(variable) for name, variable in manifest.coordinates.items()}
    assert set(found) == set(expected.data_vars) | set(raw)
    for variable, entry in manifest.variables.items():
        values = expected[variable].to_numpy()
        drift = 0.01 * entry.guard if entry.bound else 1e-5
        np.testing.assert_allclose(found[variable], values, rtol=0, atol=drift if name != "exact" else 0)
        assert found[variable].dtype == values.dtype
    for coordinate, values in raw.items():
        np.testing.assert_array_equal(found[coordinate], values)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_every_golden_archive_is_read(path: Path) -> None:
    found = read_nnz.read(path)
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as expected:
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values)
            assert found[name].dtype == values.dtype


def test_the_reader_has_at_most_600_lines() -> None:
    lines = [path.read_text().count("\n") for path in (ROOT / "scripts").glob("read_nnz*.py")]
    assert sum(lines) <= 600


def test_the_archives_hold_what_they_are_named_after(made: tuple[str, Path]) -> None:
    name, path = made
    tiles = headers(path)
    codings = {"constant": CONSTANT, "exact": EXACT, "interpolation": INTERPOLATION, "tiles": None, "lattices": None}
    coding = codings.get(name, WAVELET)
    assert coding is None or {tile["c"] for tile in tiles} == {coding}
    holds = {
        "bases": all(tile.get("b") for tile in tiles),
        "cycles": len(tiles[0].get("y", b"")) == 25,
        "edges": tiles[0].get("e") == 3,
        "levels": tiles[0].get("a", [0])[0] > 0,
        "lattices": {len(tile.get("k", b"")) > 16 for tile in tiles} == {False, True},
        "stretches": len(tiles[0].get("t", [])) == 2,
        "members": tiles[0]["s"][0] == 3,
        "tiles": len(tiles) == 6,
    }
    assert holds.get(name, True)


def test_the_script_writes_arrays_and_imports_nothing_of_nnzip(tmp_path: Path) -> None:
    dataset, options = CASES["constant"]
    nnzip.compress(dataset, tmp_path / "a.nnz", options)
    script = ROOT / "scripts" / "read_nnz.py"
    command = [sys.executable, str(script), "a.nnz", "a.npz"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert re.search(r"^t +float32 +\(5, 12, 16\)$", shown.stdout, re.MULTILINE)
    with np.load(tmp_path / "a.npz") as written:
        np.testing.assert_array_equal(written["t"], dataset["t"])
    code = "import sys, read_nnz; assert not {'nnzip', 'msgspec', 'constriction', 'numcodecs'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=script.parent)


def test_an_appended_archive_is_read(tmp_path: Path) -> None:
    dataset, options = CASES["gaps"]
    dim = str(next(iter(dataset.data_vars.values())).dims[0])
    half = dataset.sizes[dim] // 2
    nnzip.compress(dataset.isel({dim: slice(half)}), tmp_path / "a.nnz", options)
    nnzip.append(tmp_path / "a.nnz", dataset.isel({dim: slice(half, None)}))
    found = read_nnz.read(tmp_path / "a.nnz")
    with nnzip.open_archive(tmp_path / "a.nnz") as archive:
        assert len(archive.tiles.sizes[0][1]) == 2
        for name, values in archive.dataset().load().data_vars.items():
            assert values.sizes[dim] == dataset.sizes[dim]
            drift = 0.01 * archive.manifest.variables[str(name)].guard
            np.testing.assert_allclose(found[str(name)], values.to_numpy(), rtol=0, atol=drift)


def test_a_network_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with zipfile.ZipFile(ROOT / "tests" / "golden" / "format3-constant.nnz") as golden:
        inflate = zlib.decompressobj(-15, zdict=manifest_dictionary())
        manifest = json.loads(inflate.decompress(golden.read("nnzip")[1:]))
    manifest["variables"]["t"]["network"] = True
    deflate = zlib.compressobj(wbits=-15, zdict=manifest_dictionary())
    with zipfile.ZipFile(tmp_path / "a.nnz", "w") as made:
        made.writestr("nnzip", b"\3" + deflate.compress(json.dumps(manifest).encode()) + deflate.flush())
    command = [sys.executable, str(ROOT / "scripts" / "read_nnz.py"), "a.nnz"]
    said = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert said.returncode == 1
    assert said.stderr == "a.nnz: t is a network (nnzip compress --mode network): this reads tiles, nnzip both\n"


@given(st.sampled_from(KINDS), SHAPES, st.sampled_from(("float32", "float64")), st.integers(0, 9), st.data())
@settings(max_examples=25, deadline=None)
def test_tiles_of_any_values(kind: str, shape: Shape, dtype: str, seed: int, data: st.DataObject) -> None:
    values = values_of(kind, shape, dtype, seed)
    goals: list[Goal] = [bounded(values, 0.2), bounded(values, 0.001), Size(800.0, scaling(values))]
    goal = data.draw(st.sampled_from(goals))
    tile = encode_tile(values, goal, dtype, periodic=data.draw(st.booleans())).data
    expected = decode_tile(tile, shape)
    found = read_nnz.decode_tile(tile, shape)
    spread = float(expected.max()) - float(expected.min())
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * spread)
    assert found.dtype == expected.dtype


def test_golden_archives_come_with_their_values_and_are_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make_golden, "cases", lambda: {"constant": CASES["constant"]})
    make_golden.main(tmp_path)
    with np.load(tmp_path / "format3-constant.npz") as expected:
        np.testing.assert_array_equal(read_nnz.read(tmp_path / "format3-constant.nnz")["t"], expected["t"])
    before = {path.name: path.stat() for path in tmp_path.iterdir()}
    make_golden.main(tmp_path)
    assert {path.name: path.stat() for path in tmp_path.iterdir()} == before


# --- stored arrays ----------------------------------------------------------------------------------------------------

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("values", "coding"),
    [
        (np.linspace(-90, 90, 181).astype(np.float32), "step"),
        (np.round(34.75125 - 0.0075 * np.arange(99), 5), "step"),
        (np.arange(50) * 3600 + 1_700_000_000, "step"),
        (np.linspace(0.1, 7.3, 29), "span"),
        (np.add.accumulate(np.full(40, 0.1)), "sum"),
        (np.array([1000, 925, 850, 700, 500], np.float32), "list"),
        (np.array(["0001"] * 9), "list"),
        (np.array(2.5), "step"),
        (RANDOM.integers(0, 1000, 100).astype(np.int32) * 7, "shuffle"),
        (np.cumsum(RANDOM.integers(0, 9, 300)), "delta"),
        ((np.arange(300) ** 2 + RANDOM.integers(0, 2, 300)).astype(np.int32), "delta2"),
        (np.array([f"station {i:03d} {'x' * (i % 7)}" for i in range(300)]), None),
    ],
)
def test_stored_arrays(values: NDArray[Any], coding: str | None) -> None:
    store = ArrayStore()
    store.add_bytes(b"before")
    stored = json.loads(msgspec.json.encode(store.add(values)))
    assert coding in (None, stored.get("coding", "step"))
    found = read_nnz.stored_array(stored, values.shape, store.getvalue())
    np.testing.assert_array_equal(found, values)
    assert found.dtype == values.dtype


# --- streams and masks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.05, 1, 30, 1e5])
def test_chunks(scale: float) -> None:
    rng = np.random.default_rng(0)
    symbols = np.clip(np.rint(rng.laplace(0, scale, 150)), -(2**31), 2**31 - 1).astype(np.int32)
    symbols[:2] = -(2**31), 2**31 - 1
    magnitudes = np.abs(np.rint(rng.laplace(0, scale, 150))).astype(np.int64)
    magnitudes[:3] = 2**32 - 1, 0, 2**31
    tables, classes = rng.integers(0, TABLES, 150).astype(np.uint8), rng.integers(0, 25, 150).astype(np.uint8)
    positive = rng.random(150) < 0.5
    data = encode_chunks([(symbols, tables), Magnitudes(magnitudes, tables[::-1].copy()), Signs(positive, classes)])
    stream = read_nnz.Stream(data)
    np.testing.assert_array_equal(stream.numbers(tables), symbols)
    np.testing.assert_array_equal(stream.numbers(tables[::-1], signed=False), magnitudes)
    np.testing.assert_array_equal(stream.signs(classes) > 0, positive)
    stream.finish()


@pytest.mark.parametrize(("periodic", "columns"), [(False, 50), (True, 50), (True, 64)])
def test_mask(periodic: bool, columns: int) -> None:
    mask = np.random.default_rng(0).random((1, 1, 140, columns)) < 0.02
    mask[..., np.hypot(np.arange(140)[:, None] - 21, np.arange(columns) - 4) < 15] ^= True
    np.testing.assert_array_equal(read_nnz.read_mask(encode_mask(mask, periodic), mask.shape), mask)


@pytest.mark.parametrize(("channels", "times"), [((0, 0), (0, 1, 1, 2)), ((0, 1), (0, 0)), ((0, 3, 1), (0, 1, 0, 5))])
def test_mask_that_changes(channels: tuple[int, ...], times: tuple[int, ...]) -> None:
    rows, columns = np.mgrid[:21, :37]
    mask = np.array([[np.hypot(rows - 9 + c, columns - 12 - 2 * t) < 8 for t in times] for c in channels])
    np.testing.assert_array_equal(read_nnz.read_mask(encode_mask(mask), mask.shape), mask)


# --- volumes and corrections ------------------------------------------------------------------------------------------


def lumpy(shape: tuple[int, ...], scale: float, seed: int) -> NDArray[np.int32]:
    """Correlated integers with quiet and loud regions."""
    values = np.random.default_rng(seed).normal(size=shape)
    for axis in range(3):
        values = values + 0.7 * np.roll(values, 1, axis)
    return np.clip(np.rint(scale * values * np.exp(np.linspace(-4, 1, shape[-1]))), -(2**31), 2**31 - 1).astype(
        np.int32
    )


def read_again(
    values: NDArray[np.int32], wanted: tuple[int, ...], interpolation: bool, reference: NDArray[np.int32] | None
) -> NDArray[Any]:
    """What the second reader gets from nnzip's streams; `wanted`: depths, or the order of the axes."""
    bands = (interpolation_bands if interpolation else wavelet_bands)(values.shape, wanted)
    streams = encode(values, bands, reference)
    again = (
        read_nnz.splits(values.shape, wanted)[1] if interpolation else read_nnz.wavelet_subbands(values.shape, wanted)
    )
    references: list[int | None] = [None] if reference is None else [None, 0]
    found: NDArray[Any] = read_nnz.read_volumes(streams, values.shape, again, references)[-1]
    return found


@given(
    st.tuples(st.integers(1, 9), st.integers(1, 18), st.integers(1, 20)),
    st.data(),
    st.sampled_from((0.3, 2.0, 300.0, 1e9)),
    st.booleans(),
    st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_volumes(shape: tuple[int, ...], data: st.DataObject, scale: float, with_reference: bool, seed: int) -> None:
    interpolation = data.draw(st.booleans())
    depths = tuple(data.draw(st.integers(0, max_depth(size))) for size in shape)
    order = tuple(data.draw(st.permutations((0, 1, 2))))
    values = lumpy(shape, scale, seed)
    reference = lumpy(shape, scale, seed) // 2 + lumpy(shape, 1.0, seed + 1) if with_reference else None
    found = read_again(values, order if interpolation else depths, interpolation, reference)
    np.testing.assert_array_equal(found, values)


def test_phases_of_many_coefficients_are_thinned_out() -> None:
    """More than 4096 that are not silent: every second or third one enters the equations."""
    values = lumpy((6, 90, 160), 40.0, 0)
    np.testing.assert_array_equal(read_again(values, (1, 0, 1), False, None), values)


@pytest.mark.parametrize("shape", [(3, 1, 20, 21), (2, 4, 12, 21)])
@pytest.mark.parametrize(
    ("largest", "share", "cap"), [(0.5, 0.001, 0), (400.0, 0.3, 0), (0.6, None, 64), (1.6, None, 1)]
)
def test_corrections(shape: tuple[int, int, int, int], largest: float, share: float | None, cap: int) -> None:
    """By gaps or by volumes; a share of the points, or those of a corner."""
    rng = np.random.default_rng(1)
    decoded, wrong = rng.normal(size=shape), rng.random(shape) < (share or 0)
    wrong[..., :9, :9] |= share is None
    wrong[0, 0, 3, 4:9] = True
    wanted = decoded + np.where(wrong, largest * rng.normal(size=shape), 0)
    width = np.where(rng.random(shape) < 0.2, 0.02, 0.4) if share else np.full(shape, 0.4)
    every = np.arange(decoded.size), wanted.ravel(), decoded.ravel()
    points = Wrong.of(*every, (wanted - width).ravel(), (wanted + width).ravel(), 0.0)
    data, found = encode_corrections([points], 0.4, shape), decoded.copy()
    assert msgspec.msgpack.decode(data[2 : 2 + int.from_bytes(data[:2], "little")])[8] == cap
    while data:
        data = read_nnz.correct(data, found)
    assert (np.abs(found - wanted) <= width).all()


# --- the document -----------------------------------------------------------------------------------------------------


def test_the_document_names_the_network() -> None:
    """After training write the new sum into docs/format.md, "Volumes"."""
    weights, biases = stored_network()
    found = hashlib.sha256(b"".join(array.astype("<i4").tobytes() for array in (*weights, *biases))).hexdigest()
    assert f"`{found}`" in DOCUMENT, (
        f"the SHA-256 of the network's arrays is now {found}: write that into docs/format.md"
    )


def test_the_document_names_the_dictionary() -> None:
    """The dictionary is part of the format: it may not change after the first release."""
    dictionary = manifest_dictionary()
    assert f"({len(dictionary):,} bytes, CRC-32 {zlib.crc32(dictionary):08x}" in DOCUMENT
