"""Compiles the native kernel (nnzip/coder/native) while the package is built or installed.

Run by itself (`python hatch_build.py`) it compiles the kernel in place, for a checkout on the path. Without a C
compiler the package is built without the kernel, and numpy does its work.

    CC             the compiler and its first arguments; otherwise cc, gcc or clang
    NNZIP_TARGET   <operating system>-<machine> to compile for (linux-aarch64), where it is not this one
    NNZIP_TAG      the platform tag of the wheel, where it is not this one's
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import sys_tags

FOLDER = Path(__file__).parent / "nnzip" / "coder" / "native"
LIBRARY = {"darwin": "libnnzkernel.dylib", "windows": "nnzkernel.dll"}
FLAGS = ("-std=c11", "-O3", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-Wall", "-Wextra")
"""No contraction: the wavelet's floats are the same with and without fused multiply-add."""

PER_PATH = ("path.c", "quantise.c", "wavelet.c")
"""Sources that are compiled once for every path."""

AVX2 = ("-mavx2", "-mbmi", "-mbmi2", "-mpopcnt", "-mlzcnt")
AVX512 = tuple(f"-mavx512{part}" for part in ("f", "bw", "vl", "dq", "vbmi2", "vnni"))
PATHS = {
    "plain": (),
    "avx2": (*AVX2, "-mtune=haswell"),
    "vnni": (*AVX2, *AVX512, "-mtune=icelake-server", "-mprefer-vector-width=512"),
}


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """hatchling's hook: a library beside the Python modules, one wheel for each platform and any Python 3."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        try:
            library = compile_kernel()
        except subprocess.CalledProcessError as problem:
            self.app.display_warning(f"the native kernel does not compile, nnzip is built without it: {problem}")
            return
        if library is None:
            self.app.display_warning("no C compiler was found: nnzip is built without its native kernel and is slower")
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{os.environ.get('NNZIP_TAG') or next(sys_tags()).platform}"
        build_data["artifacts"].append(str(library.relative_to(Path(__file__).parent)))


def compile_kernel(extra: tuple[str, ...] = (), folder: Path = FOLDER) -> Path | None:
    """The library in `folder`, compiled with `extra` arguments; None without a compiler.

    Raises CalledProcessError where the compiler fails.
    """
    compiler = find_compiler()
    if compiler is None:
        return None
    system, machine = target()
    library = folder / LIBRARY.get(system, "libnnzkernel.so")
    library.unlink(missing_ok=True)
    on_x86 = machine in ("x86_64", "amd64")
    flags = (*FLAGS, *(("-DNNZ_X86",) if on_x86 else ()), *extra)
    with tempfile.TemporaryDirectory() as objects:
        made = []
        for source in sorted(FOLDER.glob("*.c")):
            paths = PATHS if source.name in PER_PATH else {"": ()}
            for path, options in paths.items():
                if path in ("avx2", "vnni") and not on_x86:
                    continue
                made.append(f"{objects}/{source.stem}-{path}.o")
                named = (f"-DNNZ_PATH={path}", *options) if path else ()
                subprocess.run([*compiler, *flags, *named, "-c", str(source), "-o", made[-1]], check=True)
        subprocess.run([*compiler, "-shared", *extra, "-o", str(library), *made], check=True)
    return library


def target() -> tuple[str, str]:
    """Operating system and machine, in lower case."""
    wanted = os.environ.get("NNZIP_TARGET", f"{platform.system()}-{platform.machine()}").lower()
    system, _, machine = wanted.partition("-")
    return system, machine


def find_compiler() -> list[str] | None:
    """The command of a C compiler."""
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    found = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    return None if found is None else [found]


if __name__ == "__main__":
    sys.exit(0 if compile_kernel() else "no C compiler was found (cc, gcc, clang, or CC=...)")
