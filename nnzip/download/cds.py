"""Parts from the Copernicus Climate Data Store, through ecmwf-datastores-client and with the user's key.

A request becomes a job that waits in a queue for minutes to hours. Its number is kept beside the partial file, so that
a later run finds the job, and the bytes that have arrived, again.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import requests

from nnzip.download.account import HOW_TO_GET_A_KEY, Account, find_account
from nnzip.download.cds_errors import SERVER, GoneError, JobFailedError, QueueFullError, TooLargeError, explained
from nnzip.download.cds_request import DataFormat, dataset_of, request_of
from nnzip.download.plan import Part
from nnzip.download.retry import Patience, Server, Watcher, passes, short, status_of
from nnzip.download.transfer import md5, transfer
from nnzip.errors import InputError, UnavailableError, UsageError

T = TypeVar("T")
RENEWALS = 3
"""Times a job is asked for again because its result expired or arrived damaged."""
_FULL_PAUSES = (30, 60, 120, 300, 600)  # times the first pause, while the queue is full: seconds by default
_FULL_TRIES = 150  # a day


class ClimateDataStore:
    """Fetches parts; the client is made at the first."""

    def __init__(self, data_format: DataFormat, patience: Patience, watcher: Watcher) -> None:
        self._format, self._patience, self._watcher = data_format, patience, watcher
        self._server = Server(SERVER, patience, watcher)
        self._client: Any = None
        self._account = Account("", "")
        self._made: set[str] = set()  # jobs of this run

    def fetch(self, part: Part, folder: Path) -> Path:
        """The file of `part` as the Climate Data Store delivers it, in `folder`.

        Raises TooLargeError, UsageError (no key, a key or licence that is refused), InputError (a request that
        fails, a file that arrives damaged) and UnavailableError (the server fails again and again).
        """
        job, raw = folder / f"{part.name}.job", folder / f"{part.name}.raw"
        for _ in range(RENEWALS):
            try:
                results = self._results(part, job, raw)
                if self._transfer(results, raw, part):
                    return raw
                self._watcher.say(f"{part.name}: the file has not the length or checksum promised; fetching it again")
                raw.unlink()
            except GoneError:
                self._watcher.say(f"{part.name}: the result has expired; requesting it again")
                self.forget(part, folder)
        raise InputError(
            f"{part.name} arrived damaged or expired {RENEWALS} times from {SERVER}: try again later, or take "
            "--source arco"
        )

    def request(self, part: Part, folder: Path) -> None:
        """Put the job of `part` into the queue, unless an earlier call did; `fetch` finds it there."""
        job, raw = folder / f"{part.name}.job", folder / f"{part.name}.raw"
        if not job.exists():
            self._submit(part, job, raw)

    def forget(self, part: Part, folder: Path) -> None:
        """Drop the job of `part` and what has arrived of it: the next `fetch` asks for a new one."""
        for suffix in ("job", "raw"):
            (folder / f"{part.name}.{suffix}").unlink(missing_ok=True)

    def _results(self, part: Part, job: Path, raw: Path) -> Any:
        """Results of the part's job; jobs that died are replaced, and a full queue is waited for."""
        for number in range(_FULL_TRIES):
            remote = self._find(part, job)
            try:
                remote = remote or self._submit(part, job, raw)
                return self._wait(remote, part)
            except QueueFullError as error:
                self.forget(part, job.parent)
                pause = self._patience.first * _FULL_PAUSES[min(number, len(_FULL_PAUSES) - 1)]
                self._watcher.say(f"{part.name}: the queue is full ({error}); asking again in {pause:g} s")
                time.sleep(pause)
            except (TooLargeError, JobFailedError) as error:
                self.forget(part, job.parent)
                if remote is None or remote.request_id in self._made or isinstance(error, TooLargeError):
                    raise
                self._watcher.say(f"{part.name}: the job of an earlier run failed; requesting it again")
        raise UnavailableError(f"the queue of {SERVER} stays full: run the same command again later")

    def _find(self, part: Part, job: Path) -> Any:
        """The job of an earlier call or run for the same request; None without one."""
        known = _read_job(job)
        if known.get("request") != self._request(part):
            return None
        client = self._connected()
        return self._ask(lambda: client.get_remote(known["job"]))

    def _submit(self, part: Part, job: Path, raw: Path) -> Any:
        raw.unlink(missing_ok=True)  # of another job
        client = self._connected()
        self._watcher.show(f"{part.name} submitting")
        remote = self._ask(lambda: client.submit(dataset_of(part), request_of(part, self._format)))
        self._made.add(remote.request_id)
        self._watcher.say(f"{part.name}: requested ({remote.request_id})")
        job.write_text(json.dumps({"job": remote.request_id, "request": self._request(part)}), encoding="utf-8")
        return remote

    def _request(self, part: Part) -> dict[str, Any]:
        return {"dataset": dataset_of(part), **request_of(part, self._format)}

    def _connected(self) -> Any:
        if self._client is None:
            account = find_account()
            if account is None:
                raise UsageError(f"there is no key for {SERVER}: {HOW_TO_GET_A_KEY}")
            from ecmwf.datastores import Client

            self._account = account
            with warnings.catch_warnings():  # the client asks for the server's news, and warns where there are none
                warnings.simplefilter("ignore")
                self._client = Client(
                    url=account.url, key=account.token, verify=account.verify, progress=False, maximum_tries=1
                )
        return self._client

    def _wait(self, remote: Any, part: Part) -> Any:
        """Results of a job, when it has them."""
        started, number = time.monotonic(), 0
        words = {"accepted": "queued", "running": "running"}
        while (status := self._ask(lambda: remote.status)) in words:
            number += 1
            self._watcher.show(f"{part.name} {words[status]} {(time.monotonic() - started) / 60:.0f} min")
            time.sleep(self._patience.pause(number))
        if status in ("dismissed", "deleted"):
            raise GoneError
        return self._ask(remote.get_results)  # raises, with the reason, unless the job is successful

    def _transfer(self, results: Any, raw: Path, part: Part) -> bool:
        """Fetch the file; False when its length or content does not match the length and checksum promised.

        The checksum is the object store's: an MD5 of the content only where the ETag says the same (not for files
        that were uploaded in several parts, whose length is checked alone).
        """
        size: int = results.content_length
        etag = ""

        def attempt() -> bool:
            """True when there is more to come: the connection was cut, but not without progress."""
            nonlocal etag
            before = raw.stat().st_size if raw.exists() else 0
            try:
                etag = transfer(
                    results.location, raw, size, self._account.verify,
                    lambda done: self._watcher.show(part.name, done, size),
                )  # fmt: skip
            except Exception as error:
                if status_of(error) in (403, 404, 410, 416):  # the object store has dropped the file
                    raise GoneError from error
                if not passes(error) or not raw.exists() or raw.stat().st_size <= before:
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
        from ecmwf.datastores.processing import LinkError, ProcessingFailedError

        try:
            return self._server.ask(action)
        except requests.HTTPError as error:
            raise explained(error, self._account.key) from error
        except ProcessingFailedError as error:
            raise JobFailedError(str(error)) from error
        except (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema) as error:
            raise UsageError(f"the address of {SERVER} in your configuration is none ({error})") from error
        except (requests.JSONDecodeError, LinkError, KeyError, AssertionError) as error:  # a proxy's page, for example
            raise UnavailableError(
                f"{SERVER} answers with something else than its protocol ({short(error)}): check the address in "
                "~/.cdsapirc or CDSAPI_URL, and whether a proxy stands in between"
            ) from error
        except requests.RequestException as error:  # certificates, redirections
            raise UnavailableError(f"{SERVER} cannot be asked ({short(error)}): check the network") from error


def _read_job(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or written by halves
        return {}
    return known if isinstance(known, dict) else {}
