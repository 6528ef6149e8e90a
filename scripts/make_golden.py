"""Write the golden archives of the current format: only for a new format version, never to replace one.

    python scripts/make_golden.py tests/golden

Each archive comes with the values it decoded to on the machine that made it (an `.npz` file).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

import nnzip
from nnzip.container.limits import FORMAT_VERSION

WISHES: dict[str, dict[str, Any]] = {
    "bound": {"target": nnzip.Target(max_error={None: "1%"})},
    "tight": {"target": nnzip.Target(max_error={None: "0.02%"})},
    "ratio": {"target": nnzip.Target(ratio=25)},
    "tails": {"target": nnzip.Target(ratio=25), "extremes": ["p99:0.1", "t2m<p1:0.2:local"]},
    "promises": {
        "target": nnzip.Target(max_error={None: "1%"}),
        "promises": ["extremes p95:0.1", "preserve t2m > 25 degC", "preserve-maxima t2m=day"],
    },
}


def main(folder: Path) -> None:
    """Write archives and decoded values; refuses to replace any."""
    sample = nnzip.make_sample(resolution=2.5, hours=36, step_hours=3, area=(5.0, 50.0, 260.0, 330.0))
    for name, wishes in WISHES.items():
        path = folder / f"format{FORMAT_VERSION}-{name}.nnz"
        nnzip.compress(sample, path, **wishes)
        with nnzip.open_archive(path) as archive:
            decoded = archive.dataset().load()
        values = {str(name): decoded[name].to_numpy() for name in ("t2m", "tp", "sst")}
        np.savez_compressed(path.with_suffix(".npz"), allow_pickle=False, **values)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
