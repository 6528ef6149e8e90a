"""Options: frozen, checked, and the same after a journey through JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnzip.errors import UsageError
from nnzip.request.options import EFFORTS, Options
from nnzip.request.promises import Promise, parse_promise
from nnzip.request.target import Target

NAMES = st.text(min_size=1, max_size=5)
QUANTITIES = st.one_of(st.floats(0.001, 10), st.sampled_from(["0.1K", "1%"]))
WANTED = st.dictionaries(st.one_of(st.none(), NAMES), QUANTITIES, max_size=3)
TARGETS = st.one_of(
    st.builds(Target, ratio=st.floats(1, 1000)),
    st.builds(Target, size_bytes=st.integers(1, 10**12)),
    st.builds(Target, max_error=WANTED),
    st.builds(Target, rmse=WANTED),
    st.builds(Target, psnr=st.floats(1, 200)),
    st.just(Target(lossless=True)),
)
BOUNDED = ("extremes t2m>p99:0.25", "extremes p1", "preserve t2m > 30 degC", "preserve-maxima day", "region lsm:0.5")


def promises_of(target: Target) -> st.SearchStrategy[tuple[Promise, ...]]:
    texts = BOUNDED if target.max_error is not None else BOUNDED[:2] if target.limits_size else ()
    some = st.lists(st.sampled_from(texts), max_size=3) if texts else st.just([])
    return some.map(lambda chosen: tuple(map(parse_promise, chosen)))


@given(st.data())
def test_round_trip_through_json(data: st.DataObject) -> None:
    target = data.draw(TARGETS)
    options = Options(
        target=target,
        variables=data.draw(st.one_of(st.none(), st.lists(NAMES, max_size=3).map(tuple))),
        promises=data.draw(promises_of(target)),
        effort=data.draw(st.sampled_from(EFFORTS)),
        tile=data.draw(st.dictionaries(NAMES, st.integers(1, 1000), max_size=3)),
    )
    assert Options.from_dict(json.loads(json.dumps(options.to_dict()))) == options


def test_what_is_written_is_short() -> None:
    assert Options().to_dict() == {}
    assert Options(Target(max_error={None: "1%"}), effort="best").to_dict() == {"max_error": "1%", "effort": "best"}
    bounds: dict[str | None, str | float] = {"t2m": "0.1K", None: 0.5}
    mixed = Options(Target(max_error=bounds), promises=(parse_promise("extremes p99"),))
    assert mixed.to_dict() == {"max_error": {"t2m": "0.1K", "": 0.5}, "promises": ["extremes p1,p99:0.2"]}
    assert Options(Target(lossless=True), tile={"time": 4}).to_dict() == {"lossless": True, "tile": {"time": 4}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"colour": 1}, "unknown field `colour`"),
        ({"ratio": "many"}, r"\$.ratio"),
        ({"effort": 1.5}, r"\$.effort"),
        ({"ratio": 3, "psnr": 60}, "2 targets are given"),
        ({"ratio": 0}, "the target 0.0 is not a positive number"),
        ({"effort": "great"}, "no effort 'great': choose fast, normal, best"),
        ({"tile": {"time": 0}}, "--tile time=0"),
        ({"promises": ["keep it"]}, "no promise 'keep'"),
        ({"ratio": 3, "promises": ["preserve t2m > 1"]}, "needs an error bound"),
        ({"ratio": 3, "max_error": {}}, "2 targets"),
    ],
)
def test_nonsense_is_refused(content: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Options.from_dict(content)


@pytest.mark.parametrize("wish", [{"ratio": float("nan")}, {"ratio": 0}, {"size_bytes": -3}, {"psnr": float("inf")}])
def test_targets_are_positive_numbers(wish: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="is not a positive number"):
        Target(**wish)


def test_one_target() -> None:
    for wishes in ({}, {"ratio": 3, "lossless": True}):
        with pytest.raises(UsageError, match="targets are given: ask for a ratio"):
            Target(**wishes)  # type: ignore[arg-type]
    assert Target(ratio=4).file_bytes(1000) == 250
    assert Target(size_bytes=7).file_bytes(1000) == 7
    assert Target(lossless=True).file_bytes(1000) == 0
