"""One file over HTTP, continued where an earlier transfer stopped.

The Store's client deletes a partial file before it begins, so the transfer itself is done here.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import requests

from nnzip.download.http import TIMEOUT
from nnzip.errors import InputError, ResourceError

_BLOCK = 1 << 15  # of a block that a cut interrupts nothing is kept


def transfer(url: str, path: Path, size: int, verify: bool, report: Callable[[int], None]) -> str:
    """Fetch the rest of `url` (of `size` bytes in all) into `path`; returns the ETag of the reply, or "".

    A partial file is continued with a range request, and begun anew where the server does not answer with a range.
    report: called with the bytes that are there. verify: check the server's certificate. Raises what requests raises,
    with `path` kept; ResourceError when the disk has no room; InputError when more bytes come than promised (then
    `path` is removed).
    """
    start = path.stat().st_size if path.exists() else 0
    if start > size:
        path.unlink()
        start = 0
    if size == 0:
        path.touch()
        return ""
    if start == size:
        return _etag(requests.head(url, timeout=TIMEOUT, verify=verify))
    require_space(path.parent, size - start)
    headers = {"Range": f"bytes={start}-", "Accept-Encoding": "identity"}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT, verify=verify) as reply:
        reply.raise_for_status()
        begins = reply.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        done = start if reply.status_code == 206 and begins else 0
        with path.open("ab" if done else "wb") as file:
            for block in reply.iter_content(_BLOCK):
                _write(file, block, path)
                done += len(block)
                report(done)
                if done > size:
                    break
    if done > size:
        path.unlink()
        raise InputError(f"{url} sends more than the {size} bytes it promised: try again later")
    return _etag(reply)


def _write(file: BinaryIO, block: bytes, path: Path) -> None:
    try:
        file.write(block)
    except OSError as error:
        raise ResourceError(
            f"cannot write {path} ({error.strerror}): make room on that disk; what has arrived is kept, the same "
            "command goes on from there"
        ) from error


def _etag(reply: Any) -> str:
    return str(reply.headers.get("ETag", "")).strip('"')


def md5(path: Path) -> str:
    """MD5 of a file in hexadecimal digits: what object stores use as checksum."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def require_space(folder: Path, needed: int) -> None:
    """Raise ResourceError when `folder`'s disk has fewer than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ResourceError(
            f"the disk of {folder} has {free / 1e6:.0f} MB free and {needed / 1e6:.0f} MB are to come: make room, or "
            "take fewer variables, a smaller area, or --compress; what has arrived is kept"
        )
