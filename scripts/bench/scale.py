"""A large file at the community's tolerances: bytes, against its variables compressed alone; time, memory, and what a
point's series reads."""

from __future__ import annotations

import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from bench.runs import Cost, timed
from bench.tables import Table


def scale_table(file: Path) -> Table:
    """One row for all variables together, one for each of them."""
    import nnzip

    with nnzip.open_dataset(file) as dataset:
        names = [str(name) for name in dataset.data_vars]
    rows, alone = [], 0
    for chosen in [[name] for name in names] + [names]:
        with tempfile.TemporaryDirectory() as folder, _fresh() as encoder, _fresh() as decoder:
            archive = Path(folder) / "archive.nnz"
            size, source, encode = encoder.submit(_encode, file, chosen, archive).result()
            decode = decoder.submit(_decode, archive).result()
            share = _read_by_a_series(archive) if len(chosen) == 1 else None
        alone += size if len(chosen) == 1 else 0
        label = chosen[0] if len(chosen) == 1 else f"all: {size / alone:.4f} of the sum"
        series = "–" if share is None else f"{100 * share:.1f} %"
        rows.append((label, f"{source / 1e6:.0f}", f"{size:,}", *_cells(encode), *_cells(decode), series))
    heads = [f"{verb} {unit}" for verb in ("encode", "decode") for unit in ("CPU s", "peak MB")]
    return Table(f"{file.name} at tolerances", ("variables", "MB", "bytes", *heads, "read by a point's series"), rows)


def _fresh() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))


def _encode(file: Path, names: list[str], archive: Path) -> tuple[int, int, Cost]:
    import nnzip

    found: list[nnzip.CompressionResult] = []
    with nnzip.open_dataset(file) as dataset:
        target = nnzip.Target(max_error={})
        cost = timed(lambda: found.append(nnzip.compress(dataset[names], archive, target)))
    return found[0].file_bytes, found[0].source_bytes, cost


def _decode(archive: Path) -> Cost:
    import nnzip

    return timed(lambda: nnzip.decompress(archive, archive.with_suffix(".nc")))


def _read_by_a_series(archive: Path) -> float:
    """Bytes of the tiles at a point in the middle of the maps, over those of all tiles of a variable by itself."""
    import nnzip
    from nnzip.container.manifest import tile_member
    from nnzip.plan.cutting import tile_count, tiles_touched
    from nnzip.tiles import Tiles

    with nnzip.open_archive(archive) as opened:
        tiles, members = Tiles(opened.reader), opened.reader.sizes()
        channels, times, rows, columns = tiles.shape(0)
        points = [list(range(channels)), list(range(times)), [rows // 2], [columns // 2]]
        touched = sum(members[tile_member(0, tile)] for tile in tiles_touched(tiles.sizes[0], points))
        return touched / sum(members[tile_member(0, tile)] for tile in range(tile_count(tiles.sizes[0])))


def _cells(cost: Cost) -> tuple[str, str]:
    return f"{cost.cpu_seconds:.1f}", f"{cost.peak / 1e6:.0f}"
