"""From a transformed segment and a quantisation step, or a budget, to the payload."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from nnzip.coder.coefficients import CodingPlan, encode_coefficients, plan_coding
from nnzip.coder.streams import CONTEXT
from nnzip.field import cycles
from nnzip.field.payload import FieldHeader, Network, QuantisedChannel, encode_network, pack, references
from nnzip.field.preparation import Transformed, transform
from nnzip.transform.rates import LARGEST_STEP, SMALLEST_STEP, search_step
from nnzip.transform.stretch import pack_stretch
from nnzip.transform.quantise import SHIFT_UNIT, centroids, quantise

_ATTEMPTS = 4
_TOLERANCE, _CLOSE = 0.006, 4  # how close a search comes to the budget: a share of it, but not closer than some bytes
_MARGIN = 0.002  # of the budget left free after every attempt that missed


@dataclass(frozen=True)
class Quantised:
    """Every channel's integers, and the plans to code its maps (where there are cycles) and its coefficients."""

    channels: list[QuantisedChannel]
    plans: list[tuple[CodingPlan | None, CodingPlan]]

    @property
    def bytes(self) -> float:
        """Expected size of the streams."""
        return sum((maps.bytes if maps else 0.0) + plan.bytes for maps, plan in self.plans)


@dataclass(frozen=True)
class Encoded:
    """A payload and what it was made of."""

    data: bytes
    header: FieldHeader
    quantised: Quantised


def quantise_segment(transformed: Transformed, step: float) -> Quantised:
    """All channels at one step (in units of their scale), each in the context of the one before it."""
    channels: list[QuantisedChannel] = []
    plans: list[tuple[CodingPlan | None, CodingPlan]] = []
    device = transformed.source.device
    for channel, reference in enumerate(references(transformed.source.runs)):
        values = transformed.coefficients[channel].to(device) * (1 / step)
        context = None if reference is None else channels[reference].coefficients
        symbols, plan = quantise(values, transformed.bands, context)
        one, more = (round(shift / SHIFT_UNIT) * SHIFT_UNIT for shift in centroids(values, symbols))
        maps = (transformed.maps[channel].to(device) * (1 / step)).round_().to(torch.int32)
        channels.append(QuantisedChannel(maps, symbols, (one, more)))
        plans.append((plan_coding(maps, transformed.map_bands) if transformed.cycles else None, plan))
    return Quantised(channels, plans)


def choose_transform(first: Transformed, step: float) -> Transformed:
    """`first` or another depth in time, with or without cycles: what takes the fewest bytes at this step.

    At equal steps the errors are about equal.
    """
    best = first
    for depth in {0, first.depths[0] // 2} - {first.depths[0]}:
        candidate = transform(first.source, with_cycles=False, time_depth=depth)
        if candidate.rates.bytes(step) < best.rates.bytes(step):
            best = candidate
    if cycles.choose_cycles(first.source.grid):
        candidate = transform(first.source, with_cycles=True, time_depth=best.depths[0])
        if quantise_segment(candidate, step).bytes < quantise_segment(best, step).bytes:
            best = candidate
    return best


def encode_segment(
    transformed: Transformed,
    budget: float,
    layers: Network,
    report: Callable[[float], None],
    *,
    fixed: float,
    start: float,
) -> Encoded:
    """The payload that fills `budget` bytes, or the smallest one where that is larger.

    `fixed`: a guess of what the payload holds beside the coefficients; `start`: a guess of the step. A few tries, as
    sizes are estimates until they are coded; `report` gets the fraction of them.
    """
    trials = _Trials(transformed)
    best: Encoded | None = None
    step = start
    for attempt in range(_ATTEMPTS):
        room = budget - fixed
        tolerance = max(_TOLERANCE, _CLOSE / max(room, 1.0))
        step = search_step(trials.size, transformed.rates, room, tolerance=tolerance, start=step)
        encoded = encode_at(transformed, step, trials.quantised(step), layers)
        report((attempt + 1) / _ATTEMPTS)
        free = budget - len(encoded.data)
        if free >= 0 and (best is None or len(encoded.data) > len(best.data)):
            best = encoded
        if 0 <= free <= 1.5 * tolerance * budget or step <= SMALLEST_STEP or step >= LARGEST_STEP:
            break
        fixed = len(encoded.data) - encoded.quantised.bytes + _MARGIN * attempt * budget
    return best or encode_at(transformed, LARGEST_STEP, trials.quantised(LARGEST_STEP), layers)


class _Trials:
    """Sizes at the steps tried so far; of the quantised segments, which are large, only the last one is kept."""

    def __init__(self, transformed: Transformed) -> None:
        self._transformed = transformed
        self._sizes: dict[float, float] = {}
        self._last: tuple[float, Quantised] | None = None

    def size(self, step: float) -> float:
        """Expected bytes of the streams."""
        return self._sizes[step] if step in self._sizes else self.quantised(step).bytes

    def quantised(self, step: float) -> Quantised:
        """The segment at `step`."""
        if self._last is None or self._last[0] != step:
            self._last = None
            self._last = (step, quantise_segment(self._transformed, step))
            self._sizes[step] = self._last[1].bytes
        return self._last[1]


def encode_at(transformed: Transformed, step: float, quantised: Quantised, layers: Network) -> Encoded:
    """The payload of a segment quantised at `step`."""
    streams = []
    for channel, (maps_plan, plan) in zip(quantised.channels, quantised.plans, strict=True):
        if maps_plan is not None:
            streams.append(encode_coefficients(channel.maps, transformed.map_bands, maps_plan))
        streams.append(encode_coefficients(channel.coefficients, transformed.bands, plan))
    exponents, tables, network_stream = encode_network(layers)
    if layers.weights:
        streams.append(network_stream)
    scaling = transformed.source.scaling
    statistics = np.stack([scaling.mean, scaling.scale, scaling.minimum, scaling.maximum])
    shifts = [[round(shift / SHIFT_UNIT) for shift in channel.shifts] for channel in quantised.channels]
    channels, times, rows, columns = transformed.coefficients.shape
    header = FieldHeader(
        shape=(channels, times, rows, columns),
        runs=list(transformed.source.runs),
        depths=transformed.depths,
        step=step,
        statistics=statistics.astype("<f4").tobytes(),
        shifts=np.array(shifts, dtype=np.int8).tobytes(),
        cycles=list(transformed.cycles),
        hidden=[len(weight) for weight in layers.weights[:-1]],
        exponents=exponents,
        network_tables=tables,
        streams=[len(stream) for stream in streams],
        context=CONTEXT,
        stretches=[pack_stretch(stretch) for stretch in transformed.source.stretches],
    )
    return Encoded(pack(header, streams), header, quantised)
