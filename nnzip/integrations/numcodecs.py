"""The tile codec for numcodecs: Zarr format 2, kerchunk, and whatever asks numcodecs for "nnzip"."""

from __future__ import annotations

from typing import Any

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_bytes, ensure_ndarray_like, ndarray_copy

from nnzip.integrations.chunks import decode_chunk
from nnzip.integrations.coding import encode_chunk
from nnzip.integrations.tolerance import Quantity, Tolerance


class TileCodec(Codec):  # type: ignore[misc]
    """Codes floating-point arrays so that no value changes by more than a tolerance; see `Tolerance.of`.

    A compressor or the last filter. It needs the array itself, not bytes of it, so that it comes before other codecs.
    """

    codec_id = "nnzip"

    def __init__(
        self,
        max_error: Quantity | None = None,
        relative_error: Quantity | None = None,
        rmse: Quantity | None = None,
        fill_value: float | None = None,
    ) -> None:
        self._tolerance = Tolerance.of(max_error, relative_error, rmse, fill_value)
        given = {"max_error": max_error, "relative_error": relative_error, "rmse": rmse, "fill_value": fill_value}
        self._configuration = {name: value for name, value in given.items() if value is not None}

    def encode(self, buf: Any) -> bytes:
        """The bytes of an array. Raises ValueError for anything but float16, float32 and float64."""
        return encode_chunk(np.asarray(ensure_ndarray_like(buf)), self._tolerance)

    def decode(self, buf: Any, out: Any = None) -> Any:
        """The array in its shape and type, in `out` where that is given. Raises ValueError for damaged bytes."""
        return ndarray_copy(decode_chunk(ensure_bytes(buf)), out)

    def get_config(self) -> dict[str, Any]:
        """What `numcodecs.get_codec` makes the same codec of."""
        return {"id": self.codec_id, **self._configuration}

    def __repr__(self) -> str:
        return f"TileCodec({', '.join(f'{name}={value!r}' for name, value in self._configuration.items())})"
