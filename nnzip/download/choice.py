"""Which source serves a selection."""

from __future__ import annotations

from typing import Literal

from nnzip.download.account import find_account
from nnzip.download.plan import make_plan
from nnzip.download.selection import Selection
from nnzip.download.variables import OPEN, Source
from nnzip.errors import UsageError


def choose_source(selection: Selection, wanted: Source | Literal["auto"]) -> Source:
    """`wanted`, or for "auto" the Climate Data Store when there is a key for it, else the first mirror that has all.

    Raises UsageError when no source without a key has the selection.
    """
    if wanted != "auto":
        return wanted
    if find_account() is not None:
        return "cds"
    for source in OPEN:
        try:
            make_plan(selection, source)
        except UsageError:
            continue
        return source
    names = " ".join(str(field) for field in selection.fields)
    raise UsageError(
        f"no open mirror has {names} of {selection.dataset.title} in these days, only the Climate Data Store: --source "
        "cds tells how"
    )
