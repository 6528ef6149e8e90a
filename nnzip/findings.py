"""What decoding a variable's tiles found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from nnzip.evaluate.sums import ErrorSums
from nnzip.jobs import Done
from nnzip.promises.kept import Kept


@dataclass
class Findings:
    """Errors of a variable, what became of its promises (`texts`, in their order), and the bytes that these took."""

    texts: Sequence[str]
    errors: ErrorSums = field(default_factory=ErrorSums)
    kept: list[Kept] = field(default_factory=list)
    promise_bytes: int = 0

    def add(self, done: Done) -> None:
        """What one more tile decodes to."""
        before = self.kept or [Kept() for _ in self.texts]
        self.errors.merge(done.errors)
        self.kept = [kept + more for kept, more in zip(before, done.kept or before, strict=True)]
        self.promise_bytes += done.promised

    def promises(self) -> Iterator[tuple[str, Kept]]:
        """Every promise with what became of it."""
        yield from zip(self.texts, self.kept, strict=True)
