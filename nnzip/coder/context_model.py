"""The context model of one channel: subband after subband and phase after phase, for encoder and decoder alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from nnzip.coder import prediction
from nnzip.coder.arrays import Array, device_of, namespace
from nnzip.coder.bands import Bands, Corners, corners
from nnzip.coder.context import Batch, Surroundings, halvings
from nnzip.coder.context_network import shipped_network
from nnzip.coder.entropy import SIGN_CLASSES
from nnzip.coder.phases import PHASES, phase_size


@dataclass(frozen=True)
class PhaseContexts:
    """For every coefficient of a phase, flat: what is taken off it (int16), the table of the rest (0: silent) and the
    class of its sign (uint8)."""

    offsets: Array
    tables: Array
    classes: Array


class Network(Protocol):
    """What the context network does (`context_network.ContextNetwork`)."""

    def evaluate(self, batch: Batch, constants: tuple[int, ...], phase: int) -> tuple[Array, Array]:
        """Tables and classes of a batch."""


class ChannelContexts:
    """`reference`: int32 coefficients of another channel in the same layout, or None, on the channel's device."""

    def __init__(
        self, shape: tuple[int, ...], bands: Bands, reference: Array | None, network: Network | None = None
    ) -> None:
        self._shape, self._bands, self._reference = shape, bands, reference
        self._network = network
        self._learnt: dict[Corners, list[prediction.Equations]] = {}

    def enter(self, number: int, values: Array) -> SubbandContexts:
        """The next subband that is not empty; `values`: all coefficients, of which earlier subbands are looked at."""
        band = self._bands[number]
        priors = [prediction.no_equations() for _ in PHASES]
        for parent in band.parents:
            for prior, found in zip(priors, self._learnt.get(corners(parent), ()), strict=False):
                prior += found
        learnt = [prior >> prediction.FORGET_BITS for prior in priors]
        self._learnt[corners(band.where)] = learnt
        surroundings = Surroundings(values, self._reference, band, halvings(self._shape, band))
        return SubbandContexts(surroundings, priors, learnt, self._network or shipped_network(device_of(values)))

    def leave(self, number: int) -> None:
        """A subband that was entered and is empty after all: it hands nothing on."""
        del self._learnt[corners(self._bands[number].where)]


class SubbandContexts:
    """Look at a phase, then put its coefficients; phases in their order."""

    def __init__(
        self,
        surroundings: Surroundings,
        priors: list[prediction.Equations],
        learnt: list[prediction.Equations],
        network: Network,
    ) -> None:
        self._surroundings, self._network = surroundings, network
        self._priors, self._learnt = priors, learnt
        self._within = prediction.no_equations()  # serves where the parents have none
        self._phase = -1
        self._batches: list[Batch] = []

    def look(self, phase: int) -> PhaseContexts:
        """What the model says about every coefficient of the phase."""
        size = phase_size(self._surroundings.shape, phase)
        offsets, tables, classes = (self._surroundings.zeros((size,), kind) for kind in ("int16", "uint8", "uint8"))
        classes += SIGN_CLASSES // 2
        prior = self._priors[phase]
        weights, left = prediction.solve(prior if prior[-1, -1] else self._within)
        self._phase, self._batches = phase, []
        for batch in self._surroundings.batches(phase, weights):
            offsets[batch.places] = namespace(offsets).asarray(batch.offsets, dtype=offsets.dtype)
            constants = (*self._surroundings.constants, left)
            tables[batch.places], classes[batch.places] = self._network.evaluate(batch, constants, phase)
            self._batches.append(batch)
        return PhaseContexts(offsets, tables, classes)

    def put(self, values: Array) -> None:
        """The coefficients of the phase just looked at."""
        flat = values.reshape(-1)
        every = 1 + sum(len(batch.places) for batch in self._batches) // prediction.SAMPLES
        seen = 0
        for batch in self._batches:
            taken = slice(-seen % every, None, every)
            own = prediction.equations(batch.sums[:, taken], flat[batch.places[taken]])
            self._learnt[self._phase] += own
            self._within += prediction.of_the_reference(own)
            seen += len(batch.places)
        self._surroundings.put(self._phase, values)
