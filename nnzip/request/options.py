"""Everything a user may ask of an archive, in one frozen object that round-trips through JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from nnzip.errors import UsageError
from nnzip.request.bounds import Quantities
from nnzip.request.promises import Promise, check_together, parse_promise
from nnzip.request.target import Target

MODES = ("auto", "tiles", "network")
"""auto: a transform, coded tile by tile, above a base where a trial shows that it pays. tiles: without base. network: a
coordinate network whose weights are the archive."""
AUTO, TILES, NETWORK = MODES
EFFORTS = ("fast", "normal", "best")
"""How much is tried to make an archive smaller."""


@dataclass(frozen=True)
class Options:
    """What decides an archive of given data. Raises UsageError for what does not go together.

    `variables`: those to compress, as a list or "t2m,msl" (None: all); `promises`: what is kept better than the rest;
    `effort`: how large a part of each tile its coding is tried on ("fast" also codes corrections in the quicker way
    alone); `tile`: largest length of a tile by dimension, or by "time", "latitude", "longitude"; `mode`: one of MODES;
    of a network `time_budget`, seconds for its training, and `seed`.
    """

    target: Target = field(default_factory=lambda: Target(max_error={}))
    variables: Sequence[str] | None = None
    promises: tuple[Promise, ...] = ()
    effort: str = "normal"
    tile: Mapping[str, int] = field(default_factory=dict)
    mode: str = AUTO
    time_budget: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.variables, str):
            object.__setattr__(self, "variables", tuple(name.strip() for name in self.variables.split(",")))
        if not isinstance(self.target, Target):
            raise TypeError(f"the target is an nnzip.Target, not {self.target!r}: write nnzip.Target(ratio=300)")
        if self.effort not in EFFORTS:
            raise UsageError(f"there is no effort {self.effort!r}: choose {', '.join(EFFORTS)}")
        if self.mode not in MODES:
            raise UsageError(f"there is no mode {self.mode!r}: choose {', '.join(MODES)}")
        if self.mode == NETWORK and self.target.limits_errors:
            raise UsageError(
                "--mode network keeps no error bound: ask for a --ratio, a --size, an --rmse or a --psnr, or leave out "
                "--mode network"
            )
        if self.time_budget is not None and (self.mode != NETWORK or not self.time_budget > 0):
            raise UsageError(f"--time-budget {self.time_budget:g}: seconds for the training of --mode network, above 0")
        for promise in self.promises:
            check_together(self.target, promise)
        for name, length in self.tile.items():
            if length < 1:
                raise UsageError(f"--tile {name}={length}: a tile has at least one point along each dimension")

    def to_dict(self) -> dict[str, Any]:
        """Types of JSON only; defaults are left out."""
        target = self.target
        plain = _Plain(
            ratio=target.ratio,
            size=target.size_bytes,
            max_error=_plain(target.max_error),
            rmse=_plain(target.rmse),
            psnr=target.psnr,
            lossless=target.lossless,
            variables=None if self.variables is None else list(self.variables),
            promises=[str(promise) for promise in self.promises],
            effort=self.effort,
            tile=dict(self.tile),
            mode=self.mode,
            time_budget=self.time_budget,
            seed=self.seed,
        )
        return {key: value for key, value in msgspec.to_builtins(plain).items() if (key, value) != ("max_error", {})}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Options:
        """Inverse of `to_dict`. Raises UsageError for unknown keys and values of the wrong type."""
        try:
            plain = msgspec.convert(dict(content), _Plain)
        except msgspec.ValidationError as error:
            raise UsageError(f"the options cannot be read: {error}") from error
        wanted = (plain.ratio, plain.size, _quantities(plain.max_error), _quantities(plain.rmse), plain.psnr)
        given = plain.lossless or any(wish is not None for wish in wanted)
        return cls(
            target=Target(*wanted, plain.lossless) if given else Target(max_error={}),
            variables=None if plain.variables is None else tuple(plain.variables),
            promises=tuple(map(parse_promise, plain.promises)),
            effort=plain.effort,
            tile=plain.tile,
            mode=plain.mode,
            time_budget=plain.time_budget,
            seed=plain.seed,
        )


def options_of(asked: Options | Target | None) -> Options:
    """A target alone, or nothing, as options. Raises TypeError for anything else."""
    if isinstance(asked, Options):
        return asked
    if asked is None:
        return Options()
    if not isinstance(asked, Target):
        raise TypeError(
            f"the options are an nnzip.Target or nnzip.Options, not {asked!r}: write nnzip.Target(ratio=300) or "
            'nnzip.Target(max_error="0.1K")'
        )
    return Options(asked)


_PlainQuantities = dict[str, str | float] | str | float | None


class _Plain(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Options as they are written; quantities: one for all variables, or by name with "" for all others."""

    ratio: float | None = None
    size: int | None = None
    max_error: _PlainQuantities = None
    rmse: _PlainQuantities = None
    psnr: float | None = None
    lossless: bool = False
    variables: list[str] | None = None
    promises: list[str] = []
    effort: str = "normal"
    tile: dict[str, int] = {}
    mode: str = AUTO
    time_budget: float | None = None
    seed: int = 0


def _plain(wanted: Quantities | None) -> _PlainQuantities:
    if wanted is None:
        return None
    plain = {
        name or "": quantity if isinstance(quantity, str) else float(quantity) for name, quantity in wanted.items()
    }
    return plain[""] if list(plain) == [""] else plain


def _quantities(plain: _PlainQuantities) -> Quantities | None:
    if isinstance(plain, dict):
        return {name or None: quantity for name, quantity in plain.items()}
    return None if plain is None else {None: plain}
