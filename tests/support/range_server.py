"""Serves the files of a folder over HTTP, with ranges, and remembers every request."""

from __future__ import annotations

import re
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.support.local_server import LocalServer, Quiet


class RangeServer(LocalServer):
    """`requests`: (path, bytes sent) in order; `ranges`: whether parts of files can be had; `status`: of all answers
    when it is set.
    """

    def __init__(self, folder: Path, *, ranges: bool = True) -> None:
        self.folder, self.ranges, self.status = folder, ranges, 0
        self.requests: list[tuple[str, int]] = []
        self._start(partial(_Handler, self))

    def sent(self) -> int:
        """Bytes of all answers' bodies."""
        return sum(size for _, size in self.requests)


class _Handler(Quiet, BaseHTTPRequestHandler):
    def __init__(self, owner: RangeServer, *arguments: object) -> None:
        self.owner = owner
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        path = self.owner.folder / self.path.lstrip("/")
        if self.owner.status or not path.is_file():
            self._answer(self.owner.status or 404, b"", None)
            return
        data = path.read_bytes()
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if match is None or not self.owner.ranges:
            self._answer(200, data, None)
            return
        start = int(match[1]) if match[1] else max(len(data) - int(match[2]), 0)
        stop = min(int(match[2]) + 1, len(data)) if match[1] and match[2] else len(data)
        self._answer(206, data[start:stop], f"bytes {start}-{stop - 1}/{len(data)}")

    def _answer(self, status: int, body: bytes, part: str | None) -> None:
        self.owner.requests.append((self.path, len(body)))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if part is not None:
            self.send_header("Content-Range", part)
        self.end_headers()
        self.wfile.write(body)
