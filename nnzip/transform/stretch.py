"""Finer tails at equal bytes: values beyond a quantile are stretched before the fit and shrunk again after decoding.

    stretched = x + (slope - 1) * ramp(x - start)
    ramp(d)   = 0 for d < 0, d^2 / (2 width) up to `width`, then d - width / 2

and the mirror image below the lower quantile. This is companding (Bennett, *Spectra of quantized signals*, Bell System
Technical Journal 27 (1948)): quantisation leaves the same error everywhere in stretched values, and shrinking divides
it by the slope in the tails. Where the tails are needs no side information, and there is no seam: slopes join smoothly.

x is a standardised value. A stretch may be *local*: then start and width are multiples of a spread around a centre that
vary with latitude, so that what is extreme for the tropics counts although higher latitudes vary more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnzip.errors import CorruptArchiveError

STEEPEST = 1000.0
MOST_STRETCHES, MOST_KNOTS = 8, 64

_KNOTS = 17
_SIGNS = (1, -1)  # upper, lower
_PARAMETERS = 3  # start, width, slope of a side
_SAMPLE = 1 << 22  # values that quantiles are taken from
_NARROWEST_SPREAD = 1e-2  # of a latitude, in standard deviations of the variable
_NARROWEST_WIDTH = 0.02  # of the smooth joint, in spreads

Values = NDArray[np.float32] | NDArray[np.float64]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class TailOptions:
    """Values beyond the percentiles `lower` (below 50) and `upper` (above 50; None: not that side) get `emphasis` (1 to
    `STEEPEST`) times less error than the others.

    `local`: percentiles of values standardised by the mean and the standard deviation around their latitude.
    `channels`: None for all.
    """

    emphasis: float
    lower: float | None = 1.0
    upper: float | None = 99.0
    local: bool = False
    channels: frozenset[int] | None = None


@dataclass(frozen=True)
class Stretch:
    """Sides [channel, 2 (upper, lower), 3 (start, width, slope)] in spreads from the centre; the lower side's for
    mirrored values. profile [channel, 2 (centre, spread), knot] on knots evenly spaced from the first row to the last;
    no knots: centre 0, spread 1. A slope of 1 changes nothing.
    """

    sides: Numbers
    profile: Numbers

    def apply(self, values: Values, channel: int, rows: Numbers, last_row: int) -> None:
        """Stretch standardised `values` [time, lat, lon] of a channel in place; `rows` [lat] are vertex positions."""
        for sign, start, width, slope in self._sides(channel, rows, last_row):
            places, beyond, from_there, over = _beyond(values, sign, start, width)
            ramp = np.where(beyond < over, beyond * beyond / (2 * over), beyond - over / 2)
            values[places] = sign * (from_there + beyond + (slope - 1) * ramp)

    def undo(self, values: Values, channel: int, rows: Numbers, last_row: int) -> None:
        """Inverse of `apply`, in place. Cost: a comparison per value, and a few operations per value in the tails."""
        for sign, start, width, slope in reversed(list(self._sides(channel, rows, last_row))):
            places, beyond, from_there, over = _beyond(values, sign, start, width)
            joint = over * (slope + 1) / 2
            curvature = 2 * (slope - 1) / over
            inside = 2 * beyond / (1 + np.sqrt(1 + curvature * np.minimum(beyond, joint)))
            values[places] = sign * (from_there + np.where(beyond < joint, inside, over + (beyond - joint) / slope))

    def within(self, channels: slice, rows: range, last_row: int) -> Stretch:
        """The stretch of some channels and rows, of which `last_row` was the last; knots are spread over these rows."""
        sides, profile = self.sides[channels], self.profile[channels]
        knots = profile.shape[-1]
        if knots:
            rows_of_knots = np.linspace(0, last_row, knots)
            places = np.linspace(rows.start, rows.stop - 1, knots)
            profile = np.array([[np.interp(places, rows_of_knots, line) for line in pair] for pair in profile])
        return Stretch(sides, _stored(profile))

    def _sides(self, channel: int, rows: Numbers, last_row: int) -> Iterator[tuple[int, Numbers, Numbers, float]]:
        """(sign, start, width, slope) of the sides that change something; start and width [lat, 1]."""
        centre, spread = np.zeros(rows.size), np.ones(rows.size)
        if self.profile.shape[-1]:
            knots = np.linspace(0, last_row, self.profile.shape[-1])
            centre, spread = (np.interp(rows, knots, line) for line in self.profile[channel])
        for sign, (start, width, slope) in zip(_SIGNS, self.sides[channel], strict=True):
            if slope > 1:
                yield sign, (sign * centre + start * spread)[:, None], (width * spread)[:, None], float(slope)


def choose_stretch(values: NDArray[np.float32], known: NDArray[np.bool_], options: TailOptions) -> Stretch:
    """The stretch of standardised `values` [channel, time, lat, lon], of which `known` ones count.

    The slope rises from the quantile with twice the wanted share of values beyond it to the wanted one.
    """
    knots = min(_KNOTS, values.shape[2]) if options.local else 0
    sides = np.zeros((len(values), len(_SIGNS), _PARAMETERS))
    profile = np.ones((len(values), 2, knots))
    for channel, (here, valid) in enumerate(zip(values, known, strict=True)):
        chosen = options.channels is None or channel in options.channels
        profile[channel] = _profile(here, valid, knots)
        standardised = _sampled(here, valid, _stored(profile[channel]))
        for side, (sign, percentile) in enumerate(zip(_SIGNS, (options.upper, options.lower), strict=True)):
            slope = options.emphasis if chosen and percentile is not None else 1.0
            beyond = 0.5 if percentile is None else abs((percentile - 50) / 100)
            sides[channel, side] = _side(sign * standardised, 0.5 + beyond, slope)
    return Stretch(_stored(sides), _stored(profile))


def pack_stretch(stretch: Stretch) -> bytes:
    """Little-endian float16 [channel, sides then profile]."""
    channels = len(stretch.sides)
    parts = [part.reshape(channels, -1) for part in (stretch.sides, stretch.profile)]
    return np.concatenate(parts, axis=1).astype("<f2").tobytes()


def read_stretches(packed: Sequence[bytes], channels: int) -> tuple[Stretch, ...]:
    """Inverse of `pack_stretch` for each of `packed`. Raises CorruptArchiveError."""
    if len(packed) > MOST_STRETCHES:
        raise CorruptArchiveError(f"a tile is damaged: it has {len(packed)} stretches, at most {MOST_STRETCHES}")
    return tuple(_read_stretch(data, channels) for data in packed)


def _read_stretch(data: bytes, channels: int) -> Stretch:
    fixed = len(_SIGNS) * _PARAMETERS
    knots, rest = divmod(len(data) - 2 * channels * fixed, 4 * channels)
    if rest or not 0 <= knots <= MOST_KNOTS:
        raise CorruptArchiveError("a tile is damaged: a stretch has the wrong length")
    numbers = np.frombuffer(data, dtype="<f2").astype(np.float64).reshape(channels, -1)
    sides = numbers[:, :fixed].reshape(channels, len(_SIGNS), _PARAMETERS)
    profile = numbers[:, fixed:].reshape(channels, 2, knots)
    slopes = sides[:, :, 2]
    valid = np.isfinite(numbers).all() and ((slopes >= 1) & (slopes <= STEEPEST)).all()
    if not (valid and (sides[:, :, 1] > 0).all() and (profile[:, 1] > 0).all()):
        raise CorruptArchiveError("a tile is damaged: a stretch has impossible numbers")
    return Stretch(sides, profile)


def _beyond(
    values: Values, sign: int, start: Numbers, width: Numbers
) -> tuple[tuple[NDArray[np.intp], ...], Numbers, Numbers, Numbers]:
    """Where `sign * values` exceed the start of their row, by how much, that start, and the width there."""
    places = np.nonzero(values > start if sign > 0 else values < -start)
    from_there = start[places[1], 0]
    return places, sign * values[places].astype(np.float64) - from_there, from_there, width[places[1], 0]


def _profile(values: NDArray[np.float32], known: NDArray[np.bool_], knots: int) -> Numbers:
    """Mean and standard deviation [2, knot] of the rows around each knot, weighted by their distance to it."""
    if not knots:
        return np.zeros((2, 0))
    counts = known.sum(axis=(0, 2)).astype(np.float64)
    masked = np.where(known, values, 0)
    sums = masked.sum(axis=(0, 2), dtype=np.float64)
    squares = np.square(masked, dtype=np.float64).sum(axis=(0, 2))
    rows = values.shape[1]
    distance = np.abs(np.arange(rows) - np.linspace(0, rows - 1, knots)[:, None])
    weights = np.maximum(1 - distance * (knots - 1) / max(rows - 1, 1), 1e-6)
    total = np.maximum(weights @ counts, 1e-9)
    centre = weights @ sums / total
    variance = weights @ squares / total - np.square(centre)
    return np.stack([centre, np.sqrt(np.maximum(variance, _NARROWEST_SPREAD**2))])


def _sampled(values: NDArray[np.float32], known: NDArray[np.bool_], profile: Numbers) -> Numbers:
    """Known values, in spreads from the centre; of very many an evenly spaced part."""
    places = np.flatnonzero(known)
    places = places[:: max(places.size // _SAMPLE, 1)]
    sample = values.reshape(-1)[places].astype(np.float64)
    if profile.shape[-1]:
        rows = places // values.shape[2] % values.shape[1]
        knots = np.linspace(0, values.shape[1] - 1, profile.shape[-1])
        centre, spread = (np.interp(rows, knots, line) for line in profile)
        sample = (sample - centre) / spread
    return sample


def _side(sample: Numbers, share: float, slope: float) -> list[float]:
    """Start, width and slope of the side beyond the quantile `share`; slope 1 where nothing lies there."""
    if not sample.size:
        return [0.0, 1.0, 1.0]
    start, full = np.quantile(sample, [max(2 * share - 1, 0.5), share])
    width = max(full - start, _NARROWEST_WIDTH)
    return [float(start), width, slope if sample.max() > full else 1.0]


def _stored(numbers: Numbers) -> Numbers:
    """As float16 holds them."""
    return np.clip(numbers, -6e4, 6e4).astype(np.float16).astype(np.float64)
