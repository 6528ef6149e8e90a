"""Asking a server patiently: errors that pass are tried again with growing pauses, as the server asks for them."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol, TypeVar

import requests
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_attempt,
    stop_any,
    stop_when_event_set,
)

from nnzip.errors import UnavailableError, UsageError

T = TypeVar("T")
_PASSING_STATUS = (408, 425, 429, 500, 502, 503, 504)
_NO_NETWORK = (errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH)
_LONGEST_PAUSE, _LONGEST_ASKED = 120, 3600  # seconds: our own, and one that a server asks for


class Watcher(Protocol):
    """Whoever watches a download; called from several threads."""

    def say(self, message: str) -> None:
        """A line worth keeping: a part is complete, a server failed."""

    def show(self, stage: str, done: int | None = None, total: int | None = None) -> None:
        """What is going on now, and how many of the part's bytes are there (None: nobody knows)."""


@dataclass(frozen=True)
class Patience:
    """Pauses between tries and between questions: `first` seconds, doubling, never longer than 120 times `first`."""

    first: float = 1.0
    tries: int = 10

    @classmethod
    def from_environment(cls) -> Patience:
        """NNZIP_DOWNLOAD_PAUSE: seconds of the first pause, for tests and for mirrors nearby."""
        text = os.environ.get("NNZIP_DOWNLOAD_PAUSE", str(cls.first))
        try:
            return cls(first=max(0.0, float(text)))
        except ValueError as error:
            raise UsageError(f"NNZIP_DOWNLOAD_PAUSE is {text!r}: write a number of seconds") from error

    def pause(self, number: int) -> float:
        """Seconds after try or question `number` (1, 2, ...): 1, 2, 4, ... 120 times `first`."""
        return self.first * min(2.0 ** min(number - 1, 30), _LONGEST_PAUSE)


class Server:
    """A service that may fail for a while: `name` is what messages call it."""

    def __init__(self, name: str, patience: Patience, watcher: Watcher) -> None:
        self.name, self.patience, self.watcher = name, patience, watcher
        self._answered = False
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Let threads that wait for their next try give up."""
        self._stopped.set()

    def ask(self, action: Callable[[], T]) -> T:
        """The result of `action`, tried again after errors that pass.

        Raises UnavailableError after `patience.tries` tries, or at once when there is no network and never was, and
        what does not pass as it is.
        """
        retrying = Retrying(
            stop=stop_any(stop_after_attempt(self.patience.tries), stop_when_event_set(self._stopped)),
            wait=self._pause, sleep=sleep_using_event(self._stopped), retry=retry_if_exception(self._passes),
            before_sleep=self._say, reraise=True,
        )  # fmt: skip
        try:
            result = retrying(action)
        except Exception as error:
            if is_offline(error):
                raise UnavailableError(
                    f"there is no network: {self.name} is not found ({short(error)}); connect (or set the proxy in "
                    "https_proxy), then run the same command again"
                ) from error
            if not self._passes(error):
                raise
            raise UnavailableError(
                f"{self.name} cannot be reached or fails ({short(error)}), {self.patience.tries} tries: check the "
                "network, or try later; what has arrived is kept, the same command goes on from there"
            ) from error
        self._answered = True
        return result

    def _passes(self, error: BaseException) -> bool:
        return passes(error) and (self._answered or not is_offline(error))

    def _pause(self, state: RetryCallState) -> float:
        return max(self.patience.pause(state.attempt_number), min(_asked_pause(_error(state)), _LONGEST_ASKED))

    def _say(self, state: RetryCallState) -> None:
        pause = state.next_action.sleep if state.next_action else 0.0
        self.watcher.say(
            f"{self.name}: {short(_error(state))}; trying again in {pause:g} s ({state.attempt_number} of "
            f"{self.patience.tries})"
        )


def passes(error: BaseException) -> bool:
    """True for errors of a network or a server that may be gone the next time."""
    if isinstance(error, requests.HTTPError):
        return status_of(error) in _PASSING_STATUS
    passing = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    return isinstance(error, passing) and not isinstance(error, requests.exceptions.SSLError)


def is_offline(error: BaseException) -> bool:
    """True when not even the name of the server is found, or there is no way to it."""
    return any(
        isinstance(cause, socket.gaierror) or (isinstance(cause, OSError) and cause.errno in _NO_NETWORK)
        for cause in _causes(error)
    )


def status_of(error: BaseException) -> int:
    """HTTP status of an exception of requests, 0 where it has none."""
    return getattr(getattr(error, "response", None), "status_code", 0)


def short(error: BaseException) -> str:
    """One line that says what happened: the innermost reason of nested network errors."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP {response.status_code} {response.reason}"
    text = str(_causes(error)[-1]).strip() or type(error).__name__
    line = text.splitlines()[0]
    return line.rpartition(": ")[2][:200] if "object at 0x" in line else line[:200]


def _causes(error: BaseException) -> list[BaseException]:
    """The exception, and those that it wraps (as `reason` or first argument) or that caused it."""
    found = [error]
    while True:
        last = found[-1]
        inner = getattr(last, "reason", None) or next(iter(last.args), None)
        inner = inner if isinstance(inner, BaseException) else last.__cause__
        if not isinstance(inner, BaseException) or inner in found:
            return found
        found.append(inner)


def _error(state: RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome else None
    return error or RuntimeError("no error")


def _asked_pause(error: BaseException) -> float:
    """Seconds of a Retry-After header (a number, or a date), 0 without one."""
    text = getattr(getattr(error, "response", None), "headers", {}).get("Retry-After", "")
    try:
        return (
            float(text) if text.strip().isdigit() else (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        )
    except (TypeError, ValueError):
        return 0.0
