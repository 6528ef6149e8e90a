"""The compiled kernel: where it is, and which of its paths this process takes.

`kernel.h` is its contract. The package's build compiles it (`hatch_build.py`); where it is not there, numpy
does the same work.
"""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache
from pathlib import Path

VERSION = 4
"""Of the interface in `kernel.h`."""

NUMPY = "numpy"

CHOICE = "NNZIP_KERNEL"
"""Environment variable: `numpy`, or the name of a path (`plain`, `avx2`, `vnni`). Without it the fastest is taken."""

_FILES = ("libnnzkernel.so", "libnnzkernel.dylib", "nnzkernel.dll")

_POINTER, _INT, _INT32, _INT64 = ctypes.c_void_p, ctypes.c_int, ctypes.c_int32, ctypes.c_int64
_SIGNATURES: dict[str, tuple[object, tuple[object, ...]]] = {
    "nnz_version": (_INT, ()),
    "nnz_paths": (_INT, ()),
    "nnz_path_name": (ctypes.c_char_p, (_INT,)),
    "nnz_model_new": (_POINTER, (_INT, *7 * (_POINTER,))),
    "nnz_model_free": (None, (_POINTER,)),
    "nnz_table_limit": (_INT, (_POINTER, _INT)),
    "nnz_table_frequencies": (_INT, (_POINTER, _INT, _POINTER)),
    "nnz_encoder_new": (_POINTER, (_POINTER,)),
    "nnz_encoder_free": (None, (_POINTER,)),
    "nnz_push": (_INT, (_POINTER, _POINTER, _POINTER, _INT64, _INT)),
    "nnz_push_signs": (_INT, (_POINTER, _POINTER, _POINTER, _INT64)),
    "nnz_encoder_size": (_INT64, (_POINTER,)),
    "nnz_encoder_bytes": (None, (_POINTER, _POINTER)),
    "nnz_decoder_new": (_POINTER, (_POINTER, ctypes.c_char_p, _INT64)),
    "nnz_decoder_free": (None, (_POINTER,)),
    "nnz_pop": (_INT, (_POINTER, _POINTER, _INT64, _INT, _POINTER)),
    "nnz_pop_signs": (_INT, (_POINTER, _POINTER, _INT64, _POINTER)),
    "nnz_decoder_read": (_INT64, (_POINTER,)),
    "nnz_decoder_finished": (_INT, (_POINTER,)),
    "nnz_volume_new": (_POINTER, (_POINTER, _POINTER, _POINTER, _INT32, _INT32)),
    "nnz_volume_free": (None, (_POINTER,)),
    "nnz_plan": (_INT, (*5 * (_POINTER,), ctypes.c_float, *9 * (_POINTER,))),
    "nnz_push_band": (_INT, (_POINTER, _POINTER, _INT32, *6 * (_POINTER,))),
    "nnz_round": (None, (_POINTER, _POINTER, _INT64, ctypes.c_float, ctypes.c_float, _POINTER)),
    "nnz_wavelet": (_INT, (*5 * (_POINTER,), _INT)),
    "nnz_dequantise": (None, (_POINTER, _POINTER, _INT64, ctypes.c_float, ctypes.c_float)),
    "nnz_interpolation": (_INT, (_POINTER, _POINTER, _POINTER, _INT32, _INT)),
    "nnz_pop_band": (_INT, (_POINTER, _POINTER, _INT32, _INT32, *4 * (_POINTER,))),
}


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """The compiled kernel, or None where there is none for this machine. Calls release the GIL."""
    for name in _FILES:
        file = Path(__file__).with_name(name)
        if not file.exists():
            continue
        try:
            found = ctypes.CDLL(str(file))
        except OSError:
            continue
        if found.nnz_version() != VERSION or any(not hasattr(found, function) for function in _SIGNATURES):
            continue  # compiled from other sources than these
        for function, (result, arguments) in _SIGNATURES.items():
            getattr(found, function).restype = result
            getattr(found, function).argtypes = arguments
        return found
    return None


@lru_cache(maxsize=1)
def paths() -> tuple[str, ...]:
    """The kernel's paths that this processor has, slowest first; none without a kernel."""
    found = library()
    return () if found is None else tuple(found.nnz_path_name(k).decode() for k in range(found.nnz_paths()))


def compiler_problem() -> str | None:
    """Why numpy does the kernel's work on this machine, and the remedy; None: the kernel does it."""
    if paths():
        return None
    return (
        "the native kernel was not compiled, and nnzip is about ten times slower without it; install a C compiler "
        "(Debian, Ubuntu: apt install gcc) and nnzip again: pip install --force-reinstall --no-deps nnzip"
    )


def chosen_path() -> str:
    """The path that this process takes, or `NUMPY`. Raises ValueError when `CHOICE` names none that is there."""
    wanted = os.environ.get(CHOICE)
    there = (NUMPY, *paths())
    if wanted and wanted not in there:
        raise ValueError(f"{CHOICE}={wanted} is not there; this machine has {', '.join(there)}")
    return wanted or there[-1]
