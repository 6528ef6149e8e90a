"""Every error nnzip raises on purpose, with the exit code the command line gives it.

    NnzipError
    ├── UsageError              2  the request makes no sense (unknown variable, impossible ratio, output exists)
    ├── InputError              3  the input cannot be read or compressed, or is no archive
    ├── CorruptArchiveError     4  the archive is damaged
    ├── VerificationError       5  a bound or a verification failed
    ├── UnavailableError        6  needs a device or a package this machine lacks, or a server that does not answer
    │   ├── NewerFormatError    6  needs a newer nnzip
    │   └── OldFormatError      6  needs an older nnzip
    └── ResourceError           7  disk full, no permission, out of memory
        └── TooLargeError       7  more would be written than makes sense, unless it is agreed to

A message says what was wrong, where, and what to do about it. What succeeds in another way than asked for (a device
that is not used after all) is an NnzipWarning, through Python's `warnings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches


def suggestion(name: str, known: Sequence[str]) -> str:
    """What to write instead of a name that is not `known`: the same in another case, the nearest ones, or all."""
    near = [other for other in known if other.lower() == name.lower()] or get_close_matches(name, known, 3, 0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known) or 'none'}"


class NnzipError(Exception):
    """Base of all errors a user can cause or mend."""

    exit_code = 1


class UsageError(NnzipError):
    """The request contradicts itself, the data, or an existing file."""

    exit_code = 2


class InputError(NnzipError):
    """The input cannot be read, or holds nothing nnzip can compress."""

    exit_code = 3


class CorruptArchiveError(NnzipError):
    """The archive is truncated, or parts of it are damaged."""

    exit_code = 4


class VerificationError(NnzipError):
    """Decoded data break a bound or do not match what the archive promises."""

    exit_code = 5


class UnavailableError(NnzipError):
    """A device or an optional package is not available on this machine, or a server cannot be reached."""

    exit_code = 6


class NewerFormatError(UnavailableError):
    """The archive was written by a newer nnzip."""


class OldFormatError(UnavailableError):
    """The archive was written by an nnzip before its first release."""


class ResourceError(NnzipError):
    """A limit of this machine: disk space, permission, memory."""

    exit_code = 7


class TooLargeError(ResourceError):
    """More would be written than there is room for, or than makes sense; nothing was, and one may agree to it."""


class NnzipWarning(UserWarning):
    """Something works in another way than the user may expect; the command line shows it on stderr."""
