"""The tile codec for Zarr format 3: the serializer of an array."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from zarr.abc.codec import ArrayBytesCodec

from nnzip.integrations.chunks import TYPES, decode_chunk
from nnzip.integrations.coding import encode_chunk
from nnzip.integrations.tolerance import Quantity, Tolerance

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, NDBuffer


@dataclass(frozen=True)
class TileCodec(ArrayBytesCodec):
    """Codes floating-point chunks so that no value changes by more than a tolerance; see `Tolerance.of`."""

    max_error: Quantity | None = None
    relative_error: Quantity | None = None
    rmse: Quantity | None = None
    fill_value: float | None = None

    is_fixed_size = False

    def __post_init__(self) -> None:
        self._tolerance()  # raises ValueError

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TileCodec:
        """Of an array's metadata. Raises ValueError for another codec, or a configuration that is none."""
        configuration = data.get("configuration")
        if data.get("name") != "nnzip" or not isinstance(configuration, dict):
            raise ValueError(f"the metadata of a codec nnzip with its configuration, not {data}, are needed")
        unknown = configuration.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"the codec nnzip has no {' and no '.join(sorted(unknown))}: a newer nnzip may have")
        return cls(**configuration)

    def to_dict(self) -> dict[str, Any]:
        """The metadata."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"name": "nnzip", "configuration": {name: value for name, value in given.items() if value is not None}}

    def validate(self, *, shape: tuple[int, ...], dtype: Any, chunk_grid: Any) -> None:
        """Raises ValueError for arrays that are no floats. `dtype`: numpy's before Zarr 3.1, then Zarr's."""
        native = np.dtype(dtype.to_native_dtype() if hasattr(dtype, "to_native_dtype") else dtype)
        if native.name not in TYPES:
            raise ValueError(
                f"the codec nnzip codes {', '.join(TYPES)}, not {native.name}: leave dtype, scale_factor and "
                "add_offset out of the encoding, or use another serializer"
            )

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        data = await asyncio.to_thread(encode_chunk, chunk_data.as_numpy_array(), self._tolerance())
        return chunk_spec.prototype.buffer.from_bytes(data)

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        values = await asyncio.to_thread(decode_chunk, chunk_data.to_bytes())
        if values.shape != chunk_spec.shape:
            raise ValueError(f"a chunk has the shape {values.shape} where the metadata say {chunk_spec.shape}")
        return chunk_spec.prototype.nd_buffer.from_numpy_array(values)

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Is not known beforehand."""
        raise NotImplementedError

    def _tolerance(self) -> Tolerance:
        return Tolerance.of(self.max_error, self.relative_error, self.rmse, self.fill_value)
