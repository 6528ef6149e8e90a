"""A Dask cluster by its address: the scheduler of a running one (Slurm, Kubernetes, SSH), or processes here."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from nnzip.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from distributed import Client

_SECONDS = 10  # that a scheduler may take to answer
_ADDRESS = re.compile(r"(tcp|tls|ucx|ws|wss)://[^/\s]+:\d+")


@contextmanager
def connected(address: str | None) -> Iterator[Client | None]:
    """A client of the cluster at `address`, "tcp://host:8786" or "local:8" for so many processes of this machine; None
    for None.

    Raises UsageError for another address, UnavailableError for one that does not answer or without `distributed`.
    """
    if address is None:
        yield None
        return
    local = re.fullmatch(r"local:([1-9]\d*)", address)
    if not local and not _ADDRESS.fullmatch(address):
        raise UsageError(
            f"--scheduler {address}: write the address of a Dask scheduler as tcp://host:8786, or local:8 for 8 "
            "processes of this machine"
        )
    try:
        import distributed
    except ImportError as error:
        raise UnavailableError(f"--scheduler {address} needs dask.distributed: pip install nnzip[cluster]") from error
    with ExitStack() as opened:
        if local:
            cluster = distributed.LocalCluster(  # type: ignore[no-untyped-call]
                int(local[1]), threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
            )
            client = distributed.Client(opened.enter_context(cluster))  # type: ignore[no-untyped-call]
        else:
            try:
                client = distributed.Client(address, timeout=_SECONDS)  # type: ignore[no-untyped-call]
            except (OSError, ValueError) as error:
                raise UnavailableError(
                    f"no Dask scheduler answers at {address} within {_SECONDS} s: start one (dask scheduler), or name "
                    "the address it prints"
                ) from error
        yield opened.enter_context(client)
