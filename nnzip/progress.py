"""What a running command tells whoever watches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """A moment of a command: the `fraction` of the whole that is done."""

    stage: str
    fraction: float


ProgressCallback = Callable[[Progress], None]


def report_to(progress: ProgressCallback | None) -> Callable[[str, float], None]:
    """A function of stage and fraction that calls `progress`, if there is one."""

    def report(stage: str, fraction: float) -> None:
        if progress is not None:
            progress(Progress(stage, min(fraction, 1.0)))

    return report
