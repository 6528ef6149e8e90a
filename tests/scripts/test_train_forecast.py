"""The example of docs/training.md learns as much from an archive as from the original."""

from __future__ import annotations

import train_forecast


def test_both_networks_beat_persistence_by_as_much() -> None:
    found = train_forecast.main(["--epochs", "6"])
    assert found["original"] < 0.9 * found["persistence"]
    assert abs(found["archive"] - found["original"]) < 0.03 * found["original"]
