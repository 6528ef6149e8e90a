"""What the servers of tests share: one runs in a thread on a free port of this machine until it is closed."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class LocalServer:
    """Serves from `_start` to `close`, with `certificate` (PEM, with its key) over TLS."""

    certificate: Path | None = None

    def _start(self, handler: Callable[..., BaseHTTPRequestHandler]) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        """Address of the server, without a slash at its end."""
        return f"{self.scheme}://127.0.0.1:{self._server.server_port}"

    @property
    def scheme(self) -> str:
        """http or https."""
        return "https" if self.certificate else "http"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Quiet:
    """Before a handler of http.server: HTTP/1.1 without a log."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # headers and body in one packet: two would wait for the client's delayed acknowledgement

    def log_message(self, *_: object) -> None:
        """Silence."""
