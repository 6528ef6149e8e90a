"""Meaning of the Climate Data Store's errors, as cads-processing-api-service and cads-broker word them."""

from __future__ import annotations

import re

from nnzip.download.account import HOW_TO_GET_A_KEY
from nnzip.download.retry import status_of
from nnzip.errors import InputError, NnzipError, UsageError

SERVER = "the Climate Data Store"


class TooLargeError(NnzipError):
    """The Climate Data Store refuses a request because of its size."""

    exit_code = UsageError.exit_code


class QueueFullError(Exception):
    """The Climate Data Store takes no further request of this user into its queue for a while."""


class GoneError(Exception):
    """A job or its result has expired, or was deleted."""


class JobFailedError(InputError):
    """A job failed or was rejected; `said` is the Store's reason."""

    def __init__(self, said: str) -> None:
        super().__init__(
            f"{SERVER} could not carry out the request ({said}): check variables, days and area (--dry-run shows the "
            "request), or take --source arco"
        )


def explained(error: Exception, key: str) -> Exception:
    """The error that an HTTP error of the Store stands for; 403 has several meanings, told apart by their text."""
    status, text = status_of(error), str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = ": ".join(lines[1:] or lines)
    if "cost limits" in said.lower() or "too large" in said.lower():
        return TooLargeError(
            f"{SERVER} finds the request too large ({said}): take fewer variables or levels, or --every 6h"
        )
    if re.search(r"queued requests .*limited", said, re.IGNORECASE):
        return QueueFullError(said)
    if "licence" in said.lower() or "license" in said.lower():
        return UsageError(
            f"{SERVER} wants the licence of ERA5 accepted first ({said}): sign in, open that page, accept it at the "
            "end of the form, and run the same command again"
        )
    if status in (404, 410) and "/jobs/" in text:
        return GoneError()
    if status in (401, 403):
        form = "; your key has the form of before September 2024 (UID:KEY), make a new one" if ":" in key else ""
        return UsageError(f"{SERVER} does not accept the key ({said}{form}): {HOW_TO_GET_A_KEY}")
    if status == 404:
        return UsageError(f"{SERVER} is not at the address of your configuration ({said}): {HOW_TO_GET_A_KEY}")
    return JobFailedError(said)
