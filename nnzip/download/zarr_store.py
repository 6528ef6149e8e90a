"""A Zarr store of a public server, read over HTTPS; what it lacks is remembered, for a missing chunk reads as NaN."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype

from nnzip.download.http import Http
from nnzip.errors import InputError


class HttpStore(Store):
    """Read-only, without listing: the store's metadata must be consolidated."""

    supports_writes = False
    supports_deletes = False
    supports_listing = False

    def __init__(self, http: Http, url: str) -> None:
        super().__init__(read_only=True)
        self._http, self._url = http, url
        self._is_open = True
        self.missing: set[str] = set()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HttpStore) and other._url == self._url

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        loop = asyncio.get_running_loop()
        content = await loop.run_in_executor(self._http.pool, self._http.get, f"{self._url}/{key}")
        if content is None:
            self.missing.add(key)
            return None
        if isinstance(byte_range, RangeByteRequest):
            content = content[byte_range.start : byte_range.end]
        elif isinstance(byte_range, OffsetByteRequest):
            content = content[byte_range.offset :]
        elif byte_range is not None:
            content = content[-byte_range.suffix :]
        return prototype.buffer.from_bytes(content)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        return key not in self.missing

    async def set(self, key: str, value: Buffer) -> None:
        raise NotImplementedError("read-only")

    async def delete(self, key: str) -> None:
        raise NotImplementedError("read-only")

    def list(self) -> AsyncIterator[str]:
        raise NotImplementedError("no listing")

    def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        raise NotImplementedError("no listing")

    def list_dir(self, prefix: str) -> AsyncIterator[str]:
        raise NotImplementedError("no listing")

    def missing_along_time(self, name: str) -> NDArray[np.intp]:
        """Numbers, along their first axis, of the chunks of a variable that were asked for and are not there."""
        keys = [key.removeprefix(f"{name}/").removeprefix("c/") for key in self.missing if key.startswith(f"{name}/")]
        numbers = {int(text.split("/")[0].split(".")[0]) for text in keys if text[:1].isdigit()}
        return np.array(sorted(numbers), np.intp)


def open_store(store: HttpStore, title: str, url: str) -> xr.Dataset:
    """The store as a lazy dataset. Raises InputError when there is none at its address."""
    try:
        dataset: xr.Dataset = xr.open_zarr(store, chunks=None, consolidated=True)
    except (FileNotFoundError, KeyError, ValueError) as error:
        raise InputError(f"{title} has no Zarr store at {url}: check the address, or take another --source") from error
    return dataset
