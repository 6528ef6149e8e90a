"""Parts from the Copernicus Climate Data Store, with its own client (cdsapi) and the user's key.

A request becomes a job that waits in a queue for minutes to hours. Its number is kept beside the partial file, so that
a later run finds the job, and the bytes that have arrived, again. Protocol: OGC API Processes as cdsapi >= 0.7.5 and
ecmwf-datastores-client speak it; errors as cads-processing-api-service words them.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from nnzip.download.cds_request import DataFormat, dataset_of, request_of
from nnzip.download.plan import Part
from nnzip.download.retry import Patience, Watcher, retrying, short
from nnzip.download.transfer import md5, transfer
from nnzip.errors import InputError, NnzipError, UnavailableError, UsageError

T = TypeVar("T")

HOW_TO_GET_A_KEY = (
    "register at https://cds.climate.copernicus.eu (free), copy your personal access token from "
    "https://cds.climate.copernicus.eu/how-to-api into ~/.cdsapirc as two lines, 'url: "
    "https://cds.climate.copernicus.eu/api' and 'key: TOKEN' (or set CDSAPI_URL and CDSAPI_KEY); or take an open "
    "mirror, which needs no key: --source arco"
)
_PASSING_STATUS = (408, 429, 500, 502, 503, 504)
_SERVER = "the Climate Data Store"
_RENEWALS = 3  # times a job is asked for again because its result expired or arrived damaged


class TooLargeError(NnzipError):
    """The Climate Data Store refuses a request because of its size."""

    exit_code = UsageError.exit_code


class _GoneError(Exception):
    """A job or its result has expired."""


def has_key() -> bool:
    """True when cdsapi finds an address and a key: in the environment or in ~/.cdsapirc."""
    if os.environ.get("CDSAPI_URL") and os.environ.get("CDSAPI_KEY"):
        return True
    path = Path(os.environ.get("CDSAPI_RC", "~/.cdsapirc")).expanduser()
    try:
        names = {line.partition(":")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()}
    except OSError:
        return False
    return all(name in names or os.environ.get(f"CDSAPI_{name.upper()}") for name in ("url", "key"))


class ClimateDataStore:
    """Fetches parts; the client is made at the first."""

    def __init__(self, data_format: DataFormat, patience: Patience, watcher: Watcher) -> None:
        self._format, self._patience, self._watcher = data_format, patience, watcher
        self._client: Any = None
        self._answered = False

    def fetch(self, part: Part, folder: Path) -> Path:
        """The file of `part` as the Climate Data Store delivers it, in `folder`.

        Raises TooLargeError, UsageError (no key, a key or licence that is refused), InputError (a request that
        fails, a file that arrives damaged) and UnavailableError (the server fails again and again).
        """
        job, raw = folder / f"{part.name}.job", folder / f"{part.name}.raw"
        for _ in range(_RENEWALS):
            try:
                results = self._wait(self._find_or_submit(part, job, raw), part)
                if self._transfer(results, raw, part):
                    return raw
                self._watcher.say(f"{part.name}: the file has not the length or checksum promised; fetching it again")
                raw.unlink()
            except _GoneError:
                self._watcher.say(f"{part.name}: the result has expired; requesting it again")
                job.unlink(missing_ok=True)
                raw.unlink(missing_ok=True)
            except (TooLargeError, InputError):
                job.unlink(missing_ok=True)  # its failure is final; the next run makes a new one
                raise
        raise InputError(
            f"{part.name} arrived damaged or expired {_RENEWALS} times from {_SERVER}: try again later, or take "
            "--source arco"
        )

    def request(self, part: Part, folder: Path) -> None:
        """Put the job of `part` into the queue, unless an earlier call did; `fetch` finds it there."""
        job, raw = folder / f"{part.name}.job", folder / f"{part.name}.raw"
        if not job.exists():
            self._find_or_submit(part, job, raw)

    def _connect(self) -> Any:
        if not has_key():
            raise UsageError(f"there is no key for {_SERVER}: {HOW_TO_GET_A_KEY}")
        import cdsapi

        _, key, _ = cdsapi.api.get_url_key_verify(None, None, None)
        if ":" in key:
            raise UsageError(
                f"the key for {_SERVER} has the form of before September 2024 (UID:KEY): {HOW_TO_GET_A_KEY}"
            )
        with warnings.catch_warnings():  # the client asks for the server's news first, and warns where there are none
            warnings.simplefilter("ignore", UserWarning)
            return cdsapi.Client(
                quiet=True, progress=False, wait_until_complete=False, retry_max=1, sleep_max=self._patience.first
            )

    def _find_or_submit(self, part: Part, job: Path, raw: Path) -> Any:
        """The job of `part`: one submitted before, or a new one."""
        if self._client is None:
            self._client = self._connect()
        request = {"dataset": dataset_of(part), **request_of(part, self._format)}
        if job.exists():
            known = _read_job(job)
            if known.get("request") == request:
                return self._ask(lambda: self._client.client.get_remote(known["job"]))
        raw.unlink(missing_ok=True)  # of another job
        self._watcher.show(f"{part.name} submitting", None)
        remote = self._ask(lambda: self._client.retrieve(dataset_of(part), request_of(part, self._format)))
        self._watcher.say(f"{part.name}: requested ({remote.request_id})")
        job.write_text(json.dumps({"job": remote.request_id, "request": request}), encoding="utf-8")
        return remote

    def _wait(self, remote: Any, part: Part) -> Any:
        """Results of a job, when it has them."""
        started = time.monotonic()
        words = {"accepted": "queued", "running": "running"}
        for pause in self._patience.pauses():
            status = self._ask(lambda: remote.status)
            if status not in words:
                break
            minutes = (time.monotonic() - started) / 60
            self._watcher.show(f"{part.name} {words[status]} {minutes:.0f} min", None)
            time.sleep(pause)
        if status in ("dismissed", "deleted"):
            raise _GoneError
        if status != "successful":
            self._ask(lambda: remote.results_ready)  # raises, with the reason
        return self._ask(remote.get_results)

    def _transfer(self, results: Any, raw: Path, part: Part) -> bool:
        """Fetch the file; False when its length or content does not match the length and checksum promised.

        The checksum is the object store's: an MD5 of the content only where the ETag says the same (not for files
        that were uploaded in several parts, whose length is checked alone).
        """
        size: int = results.content_length
        url, etag = results.location, ""

        def attempt() -> bool:
            """True when there is more to come: the connection was cut, but not without progress."""
            nonlocal etag
            before = raw.stat().st_size if raw.exists() else 0
            try:
                etag = transfer(self._client.session, url, raw, size, lambda f: self._watcher.show(part.name, f))
            except Exception as error:
                if _status(error) in (403, 404, 410, 416):  # the object store has dropped the file, or has another one
                    raise _GoneError from error
                if not _is_passing(error) or not raw.exists() or raw.stat().st_size <= before:
                    raise
                self._watcher.say(f"{part.name}: {short(error)}; continuing after {raw.stat().st_size} of {size} bytes")
                return True
            return False

        while self._ask(attempt):
            pass
        if raw.stat().st_size != size:
            return False
        expected = str(results.asset.get("file:checksum", "")).zfill(32)
        return bool(etag != expected or md5(raw) == expected)

    def _ask(self, action: Callable[[], T]) -> T:
        """The result of a call of the client; errors that pass are tried again, others get a remedy."""
        import requests
        from ecmwf.datastores.processing import LinkError, ProcessingFailedError

        try:
            patience = self._patience if self._answered else self._patience.brief()
            answer = retrying(action, _is_passing, patience, self._watcher, _SERVER)
            self._answered = True
            return answer
        except requests.HTTPError as error:
            raise _explained(error) from error
        except ProcessingFailedError as error:
            raise _failed(str(error)) from error
        except (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema) as error:
            raise UsageError(f"the address of {_SERVER} in your configuration is none ({error})") from error
        except (requests.JSONDecodeError, LinkError, KeyError) as error:  # a proxy's page, for example
            raise UnavailableError(
                f"{_SERVER} answers with something else than its protocol ({short(error)}): check the address in "
                "~/.cdsapirc or CDSAPI_URL, and whether a proxy stands in between"
            ) from error
        except requests.RequestException as error:  # certificates, redirections
            raise UnavailableError(f"{_SERVER} cannot be asked ({short(error)}): check the network") from error


def _is_passing(error: Exception) -> bool:
    import requests

    if isinstance(error, requests.HTTPError):
        return _status(error) in _PASSING_STATUS
    passing = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    return isinstance(error, passing) and not isinstance(error, requests.exceptions.SSLError)


def _status(error: Any) -> int:
    """HTTP status of an exception of requests, 0 where it has none."""
    return getattr(getattr(error, "response", None), "status_code", 0)


def _explained(error: Any) -> Exception:
    """What an HTTP error of the Climate Data Store means; 403 has several meanings, told apart by their text."""
    status = _status(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = ": ".join(lines[1:] or lines)
    if _is_too_large(said):
        return TooLargeError(
            f"{_SERVER} finds the request too large ({said}): take fewer variables or levels, or --every 6h"
        )
    if "licence" in said.lower() or "license" in said.lower():
        return UsageError(
            f"{_SERVER} wants the licence of ERA5 accepted first ({said}): sign in, open that page, accept it at the "
            "end of the form, and run the same command again"
        )
    if status in (404, 410) and "/jobs/" in str(error):
        return _GoneError()
    if status in (401, 403):
        return UsageError(f"{_SERVER} does not accept the key ({said}): {HOW_TO_GET_A_KEY}")
    if status == 404:
        return UsageError(f"{_SERVER} is not at the address of your configuration ({said}): {HOW_TO_GET_A_KEY}")
    return _failed(said)


def _failed(said: str) -> Exception:
    if _is_too_large(said):
        return TooLargeError(f"{_SERVER} finds the request too large ({said}): take fewer variables or levels")
    return InputError(
        f"{_SERVER} could not carry out the request ({' '.join(said.split())}): check variables, days and area "
        "(--dry-run shows the request), or take --source arco"
    )


def _is_too_large(said: str) -> bool:
    return "cost limits" in said.lower() or "too large" in said.lower()


def _read_job(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # written by halves
        return {}
    return known if isinstance(known, dict) else {}
