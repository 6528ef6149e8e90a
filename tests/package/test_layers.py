"""Imports point only downwards, from the command line to the errors: see LAYERS."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import nnzip

PACKAGE = Path(nnzip.__file__).parent
CORE = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__", "errors", "executor", "version"}
LAYERS = (
    {"cli"},
    {"report", "download", "integrations"},
    CORE,  # compress, read and the modules beside them: they import each other, but never in a circle
    {"evaluate"},
    {"tile", "promises", "plan", "request", "network"},
    {"transform"},
    {"coder"},
    {"container"},
    {"data", "sample"},
    {"executor"},
    {"errors", "version"},
)
SIDEWAYS = {("tile", "promises"), ("promises", "plan"), ("promises", "request"), ("plan", "request")}
"""Who may import whom within a storey: tiles keep promises, which are cut and asked for."""

RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
FACADES = {"__init__", "__main__"}


def imported_parts(path: Path) -> set[str]:
    """Parts of nnzip ("data", "codec") that a file imports, also inside functions and TYPE_CHECKING blocks."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{path}:{node.lineno}: relative import; write the absolute name")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    parts = {name.split(".")[1] for name in found if name.startswith("nnzip.")}
    return parts - {"__version__"}


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


LAYERED = [path for path in sorted(PACKAGE.rglob("*.py")) if part(path) not in FACADES]


def test_every_part_of_the_package_has_a_layer() -> None:
    assert {part(path) for path in LAYERED} <= set(RANK)


@pytest.mark.parametrize("path", LAYERED, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards(path: Path) -> None:
    here = part(path)
    for there in imported_parts(path) - {here}:
        beside = {here, there} <= CORE or (here, there) in SIDEWAYS
        assert beside or RANK[there] > RANK[here], f"{path.name}: {here} may not import {there}"


def test_core_modules_import_each_other_without_circles() -> None:
    imports = {name: imported_parts(PACKAGE / f"{name}.py") & CORE - {name} for name in CORE}
    order = tuple(TopologicalSorter(imports).static_order())  # raises CycleError
    assert order.index("progress") < order.index("compress")
