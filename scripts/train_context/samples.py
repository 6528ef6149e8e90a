"""What the coder asks the context network: kept for training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nnzip.coder.bands import Bands
from nnzip.coder.context import CONSTANTS, ROWS, Batch
from nnzip.coder.context_model import ChannelContexts
from nnzip.coder.phases import PHASES, phase_slices
from nnzip.coder.volumes import Layout, Plan

MOST_OF_A_PHASE = 3_000
"""Coefficients kept of one phase of one subband."""

HEADER_BITS = 2000.0
"""Beside the coefficients: what is small weighs less."""

_LARGEST_REST = 30_000


@dataclass(frozen=True)
class Samples:
    """Inputs [n, ROWS + CONSTANTS], the rest of each coefficient in the direction of its prediction [n], its phase [n],
    and what its bits weigh [n]."""

    inputs: NDArray[np.uint8]
    rest: NDArray[np.int16]
    phases: NDArray[np.uint8]
    weights: NDArray[np.float32]

    @classmethod
    def of(cls, inputs: NDArray[np.uint8], rest: NDArray[np.int64], phase: int) -> Samples:
        """Each weighs one."""
        capped = np.clip(rest, -_LARGEST_REST, _LARGEST_REST).astype(np.int16)
        return cls(inputs, capped, np.full(rest.size, phase, np.uint8), np.ones(rest.size, np.float32))

    @classmethod
    def joined(cls, parts: Sequence[Samples]) -> Samples:
        """All of them; at least one."""
        return cls(
            np.concatenate([part.inputs for part in parts]),
            np.concatenate([part.rest for part in parts]),
            np.concatenate([part.phases for part in parts]),
            np.concatenate([part.weights for part in parts]),
        )

    def thinned(self, most: int, rng: np.random.Generator) -> Samples:
        """At most so many, chosen at random, which weigh as much as all."""
        if self.rest.size <= most:
            return self
        taken = np.sort(rng.permutation(self.rest.size)[:most])
        return self.part(taken).scaled(self.rest.size / max(taken.size, 1))

    def part(self, taken: NDArray[np.integer]) -> Samples:
        """Those with these numbers."""
        return Samples(self.inputs[taken], self.rest[taken], self.phases[taken], self.weights[taken])

    def scaled(self, factor: float) -> Samples:
        """With weights times a factor."""
        return Samples(self.inputs, self.rest, self.phases, self.weights * np.float32(factor))

    def save(self, path: Path) -> None:
        """As an npz file."""
        np.savez(path, inputs=self.inputs, rest=self.rest, phases=self.phases, weights=self.weights)

    @classmethod
    def load(cls, path: Path) -> Samples:
        """Inverse of `save`."""
        with np.load(path) as found:
            return cls(*(found[name] for name in ("inputs", "rest", "phases", "weights")))


def asked(plans: Sequence[Plan], layout: Layout, numbers: Sequence[int], rng: np.random.Generator) -> Samples | None:
    """Samples of the volumes with these numbers, their bits relative to the size of the volumes as coded now; None
    where the network is asked nothing."""
    parts: list[Samples] = []
    bits = HEADER_BITS
    for number in numbers:
        reference = layout.references[number]
        beside = None if reference is None else plans[reference].values
        parts += _of_volume(plans[number].values, layout.bands, beside, rng)
        bits += 8 * plans[number].bytes
    if not parts:
        return None
    return Samples.joined(parts).scaled(1 / bits)


@dataclass
class _Recorder:
    """Takes the place of the network and keeps what it is asked."""

    asked: list[tuple[Batch, NDArray[np.uint8]]]

    def evaluate(
        self, batch: Batch, constants: tuple[int, ...], phase: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Any table: contexts do not depend on it."""
        inputs = np.zeros((batch.places.size, ROWS + CONSTANTS), dtype=np.uint8)
        inputs[:, batch.numbers] = batch.rows.T
        inputs[:, ROWS:] = constants
        self.asked.append((batch, inputs))
        return np.ones(batch.places.size, dtype=np.uint8), np.zeros(batch.places.size, dtype=np.uint8)


def _of_volume(
    values: NDArray[np.int32], bands: Bands, reference: NDArray[np.int32] | None, rng: np.random.Generator
) -> Iterator[Samples]:
    """What the coder asks about a volume, phase by phase."""
    recorder = _Recorder([])
    contexts = ChannelContexts(values.shape, bands, reference, recorder)
    for number, band in enumerate(bands):
        if not values[band.where].any():
            continue
        subband = contexts.enter(number, values)
        for phase in range(len(PHASES)):
            here = values[band.where][phase_slices(band.shape, phase)]
            subband.look(phase)
            for batch, inputs in recorder.asked:
                rest = batch.directions * (here.ravel()[batch.places] - batch.offsets)
                yield Samples.of(inputs, rest, phase).thinned(MOST_OF_A_PHASE, rng)
            recorder.asked.clear()
            subband.put(here)
