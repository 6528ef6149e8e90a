"""Matrix products in true float32, on which exact integers and decoders that agree depend."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nnzip.coder.arrays import Device


@contextmanager
def exact_float32(device: Device) -> Iterator[None]:
    """Matrix products of torch in true float32, whatever the caller's process allows elsewhere: no TF32, bfloat16 or
    autocast, so that contexts are exact integers. Nothing to do on the processor, where numpy computes.

    Several threads may be inside at once.
    """
    if device is None:
        yield
        return
    import torch

    _precision.enter()
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        _precision.leave()


class _Precision:
    """The precision of matrix products, which is one for the whole process: the first to enter raises it, the last to
    leave puts it back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._restore: Callable[[], None] = lambda: None

    def enter(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._restore = _raise_precision()
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._restore()


_precision = _Precision()


def _raise_precision() -> Callable[[], None]:
    """Make matrix products exact; returns the way back."""
    import torch

    modules: tuple[Any, ...] = (torch.backends.cuda.matmul, getattr(torch.backends.mkldnn, "matmul", None))
    settings = [module for module in modules if hasattr(module, "fp32_precision")]
    if not settings:  # before torch 2.9
        legacy = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        return lambda: torch.set_float32_matmul_precision(legacy)
    before = [module.fp32_precision for module in settings]
    for module in settings:
        module.fp32_precision = "ieee"

    def restore() -> None:
        for module, value in zip(settings, before, strict=True):
            module.fp32_precision = value

    return restore
