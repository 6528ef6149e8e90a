"""Pieces of files of a public server over HTTPS, several at once: the one way to the mirrors.

requests honours http_proxy, https_proxy and REQUESTS_CA_BUNDLE; every request has a time-out.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import requests
from requests.adapters import HTTPAdapter

from nnzip.download.retry import Server, status_of
from nnzip.errors import InputError, UnavailableError

TIMEOUT = (20, 60)  # seconds to connect, and between two packets
_STORES = {"gs://": "https://storage.googleapis.com/{}/{}", "s3://": "https://{}.s3.amazonaws.com/{}"}


class Http:
    """Reads from one server, at most `parallel` requests at a time. `received`: bytes that have travelled.

    key: shows who asks, where a server wants to know.
    """

    def __init__(self, server: Server, parallel: int, key: str = "") -> None:
        self._server = server
        self._session = requests.Session()
        self._has_key = bool(key)
        if key:
            self._session.headers["Authorization"] = f"Bearer {key}"
        adapter = HTTPAdapter(pool_maxsize=parallel)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self.pool = ThreadPoolExecutor(parallel)
        self.received = 0

    def get(self, url: str, span: tuple[int, int] | None = None) -> bytes | None:
        """Content of `url`, or its bytes span[0] to span[1] (excluded); None when there is no such file.

        Raises UnavailableError when the server fails again and again or refuses access.
        """
        try:
            content = self._server.ask(lambda: self._get_once(url, span))
        except requests.HTTPError as error:
            if status_of(error) in (404, 410):
                return None
            raise UnavailableError(
                f"{self._server.name} refuses access to {url} (HTTP {status_of(error)}): check its address"
                f"{' and your key' if self._has_key else ''}, or take another --source"
            ) from error
        except requests.RequestException as error:  # certificates, redirections, addresses
            raise UnavailableError(f"{self._server.name} cannot be asked ({error}): check its address") from error
        self.received += len(content)
        return content

    def size(self, url: str) -> int:
        """Length of a file in bytes. Raises InputError when it is not there."""

        def head() -> int:
            reply = self._session.head(url, timeout=TIMEOUT, allow_redirects=True)
            reply.raise_for_status()
            return int(reply.headers["Content-Length"])

        try:
            return self._server.ask(head)
        except requests.HTTPError as error:
            if status_of(error) == 404:
                raise InputError(
                    f"{self._server.name} has no {url}: these days or this variable are not there (yet); take other "
                    "days, or --source cds"
                ) from error
            raise UnavailableError(f"{self._server.name} refuses access to {url} (HTTP {status_of(error)})") from error

    def _get_once(self, url: str, span: tuple[int, int] | None) -> bytes:
        headers = {"Accept-Encoding": "identity"}
        if span is not None:
            headers["Range"] = f"bytes={span[0]}-{span[1] - 1}"
        reply = self._session.get(url, headers=headers, timeout=TIMEOUT)
        reply.raise_for_status()
        content: bytes = reply.content
        return content if span is None or reply.status_code == 206 else content[span[0] : span[1]]


def https_address(url: str) -> str:
    """The public address of gs://bucket/path and s3://bucket/path; others as they are."""
    for prefix, pattern in _STORES.items():
        if url.startswith(prefix):
            bucket, _, path = url.removeprefix(prefix).partition("/")
            return pattern.format(bucket, path)
    return url
