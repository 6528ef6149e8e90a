"""How far decoded data are from the original, for a caller who has files or datasets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from os import PathLike
from typing import TYPE_CHECKING

from nnzip.data.formats import is_archive
from nnzip.data.opening import Data, opened, stored_bytes
from nnzip.evaluate.evaluate import evaluate as scores_of
from nnzip.evaluate.scores import Evaluation
from nnzip.read import Archive, open_archive

if TYPE_CHECKING:
    from distributed import Client


def evaluate(
    original: Data,
    decoded: Data | Archive,
    *,
    variables: Sequence[str] | None = None,
    structure: bool = True,
    executor: Executor | Client | None = None,
    progress: Callable[[float], None] | None = None,
) -> Evaluation:
    """Errors, spectra and sizes of `decoded` (a dataset, an archive, or the path of either) against `original`.

    `structure`: also spectrum, gradients, autocorrelation and DSSIM; `executor`: compares blocks, as in `compress`;
    `progress`: is told the finished share. Raises TypeError for arguments of other types, UsageError for unknown
    variables and InputError where the two do not fit.
    """
    with ExitStack() as files:
        first = files.enter_context(opened(original))
        stored = stored_bytes(original) if isinstance(original, str | PathLike) else None
        if isinstance(decoded, str | PathLike) and is_archive(decoded):
            decoded = files.enter_context(open_archive(decoded))
        file_bytes = source_bytes = None
        if isinstance(decoded, Archive):
            file_bytes, source_bytes = decoded.reader.file_bytes, decoded.manifest.source.bytes
            decoded = decoded.dataset()
        second = files.enter_context(opened(decoded))
        names = [name.strip() for name in variables.split(",")] if isinstance(variables, str) else variables
        return scores_of(
            first,
            second,
            variables=names,
            file_bytes=file_bytes,
            source_bytes=source_bytes,
            stored_bytes=stored,
            structure=structure,
            executor=executor,
            progress=progress,
        )
