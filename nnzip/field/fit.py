"""Fit a field to one segment of data within a byte budget: the recipe.

1. standardise, fill missing points, weight the rows by area (`preparation`);
2. fit the cycles, transform what remains, and find the quantisation step that meets the budget (`encoder`);
3. train the network on the decoded features and keep it if it is worth its bytes (`enhancement`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nnzip.data.axes import SourceGrid
from nnzip.field import network
from nnzip.field.device import CPU
from nnzip.field.encoder import Encoded, choose_transform, encode_segment, quantise_segment
from nnzip.field.enhancement import Enhancement, train_enhancement
from nnzip.field.payload import Network, encode_network
from nnzip.field.preparation import Transformed, prepare, transform
from nnzip.transform.rates import search_step
from nnzip.transform.stretch import TailOptions
from nnzip.field.training import Training

_WORTH = 1.8  # relative bytes that a relative RMSE is worth: the slope of the rate-distortion curve in the logarithm
_HEADER_BYTES, _HEADER_BYTES_PER_CHANNEL = 60, 30
_ENDS, _ENDS_WITH_NETWORK = (0.5, 1.0), (0.2, 0.4, 0.9)  # fractions done after choosing, encoding, (training)


@dataclass(frozen=True)
class FitOptions:
    """How much work to spend: steps of network training (0: no network), hidden layers, the seed and the device.

    `seconds`: at most this long for the training; None: no limit. `tails`: what shall have a smaller error than the
    rest.
    """

    training_steps: int
    hidden_layers: int = 2
    seconds: float | None = None
    seed: int = 0
    device: torch.device = CPU
    tails: tuple[TailOptions, ...] = ()


Report = Callable[[str, float, float | None, NDArray[np.float64] | None], None]
"""Gets the stage, the fraction of the whole fit that is done, the loss, and the RMSE per channel in the data's units.

Loss and RMSE are None where they are not known.
"""


def fit_field(
    values: NDArray[np.floating],
    grid: SourceGrid,
    runs: Sequence[int],
    budget: float,
    options: FitOptions,
    report: Report,
) -> bytes:
    """The payload of a field fitted to `values` [channel, time, lat, lon] (not finite: missing).

    At most `budget` bytes; where that is below the smallest field, the smallest one is returned. `runs`: channels per
    variable. Raises InputError for values beyond float32's range. Cost on one core: about 5 microseconds per value, and
    the network's training; memory about 12 times the values of one channel and twice all in float32.
    """
    ends = _ENDS_WITH_NETWORK if options.training_steps else _ENDS
    report("fitting", 0.0, None, None)
    base = transform(prepare(values, grid, runs, options.tails, device=options.device), with_cycles=False)
    step = search_step(lambda trial: quantise_segment(base, trial).bytes, base.rates, budget, tolerance=0.2)
    chosen = choose_transform(base, step)
    report("quantising", ends[0], None, None)
    fixed = _HEADER_BYTES + _HEADER_BYTES_PER_CHANNEL * len(values)
    progress = _between(report, ends[0], ends[1])
    encoded = encode_segment(chosen, budget, Network(), progress, fixed=fixed, start=step)
    if options.training_steps:
        encoded = _with_network(chosen, encoded, budget, options, report)
    report("fitting", 1.0, None, None)
    return encoded.data


def _with_network(
    transformed: Transformed, encoded: Encoded, budget: float, options: FitOptions, report: Report
) -> Encoded:
    """A new payload with a network trained on the decoded `encoded`, or the old one if it is not worth its bytes."""
    _, start, stop = _ENDS_WITH_NETWORK

    def trained(fraction: float, loss: float, rmse: NDArray[np.float64]) -> None:
        report("fitting", start + (stop - start) * fraction, loss, rmse)

    batch = network.BLOCK_POINTS if options.device.type == "cpu" else network.BATCH_POINTS_CUDA
    training = Training(options.training_steps, batch, options.seconds)
    found = train_enhancement(
        transformed.source, encoded, options.hidden_layers, training, options.seed, options.device, trained
    )
    if not worth_its_bytes(found, len(encoded.data)):
        return encoded
    fixed = len(encoded.data) - encoded.quantised.bytes + _size(found)
    progress = _between(report, stop, 1.0)
    enhanced = encode_segment(transformed, budget, found.layers, progress, fixed=fixed, start=encoded.header.step)
    return enhanced if len(enhanced.data) <= max(budget, len(encoded.data)) else encoded


def worth_its_bytes(found: Enhancement, size: int) -> bool:
    """Whether a network lowers the RMSE by more than its bytes would, put into the other `size` bytes of a payload.

    Not where training has diverged to NaN.
    """
    gained = 1 - (found.after / max(found.before, 1e-30)) ** _WORTH
    return bool(gained > _size(found) / size)


def _size(found: Enhancement) -> int:
    return len(encode_network(found.layers)[2]) + 8 * len(found.layers.weights) + found.inputs


def _between(report: Report, start: float, stop: float) -> Callable[[float], None]:
    """Reports of quantisation as a part of the whole fit."""
    return lambda fraction: report("quantising", start + (stop - start) * fraction, None, None)
