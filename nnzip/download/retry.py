"""Trying again with growing pauses, and telling the user what goes on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Protocol, TypeVar

from nnzip.errors import UnavailableError, UsageError

T = TypeVar("T")


class Watcher(Protocol):
    """Whoever watches a download."""

    def say(self, message: str) -> None:
        """A line worth keeping: a part is complete, a server failed."""

    def show(self, stage: str, fraction: float | None) -> None:
        """What is going on now, and how much of the part is done (None: nobody knows)."""


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

    def pauses(self) -> Iterator[float]:
        """Seconds, without end."""
        pause = self.first
        while True:
            yield pause
            pause = min(2 * pause, 120 * self.first)


def retrying(
    action: Callable[[], T],
    is_passing: Callable[[Exception], bool],
    patience: Patience,
    watcher: Watcher,
    server: str,
) -> T:
    """The result of `action`, tried again after exceptions that `is_passing`.

    Raises UnavailableError after `patience.tries` tries, and what does not pass at once.
    """
    pauses = patience.pauses()
    for number in count(1):
        try:
            return action()
        except Exception as error:
            if not is_passing(error):
                raise
            reason, pause = short(error), next(pauses)
            if number >= patience.tries:
                raise UnavailableError(
                    f"{server} cannot be reached or fails ({reason}), {number} tries: check the network, or try later; "
                    "what has arrived is kept, the same command goes on from there"
                ) from error
            watcher.say(f"{server}: {reason}; trying again in {pause:g} s ({number} of {patience.tries})")
            time.sleep(pause)
    raise RuntimeError("count() never ends")


def short(error: BaseException) -> str:
    """One line that says what happened: the innermost reason of nested network errors."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP {response.status_code} {response.reason}"
    inner: object = error
    while isinstance(inner, BaseException):
        reason = getattr(inner, "reason", None)
        following = reason if isinstance(reason, BaseException) else next(iter(inner.args), None)
        if following is None:
            break
        inner = following
    text = str(inner).strip().splitlines()[0] if str(inner).strip() else type(error).__name__
    return text.rpartition(": ")[2][:200] if "object at 0x" in text else text[:200]
