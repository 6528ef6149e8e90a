"""Attack nnzip for a chosen time, and say what was found; 1 is the status when anything was.

    PYTHONPATH=scripts python -m attack --minutes 60 [--seed S] [--only bytes,arrays] [--json figures.json]
    PYTHONPATH=scripts python -m attack --case "arrays:37"

Every case has a number, which is its seed: the same number is the same attack. docs/trust.md tells the attacks.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from attack import arrays, bombs, corruptions, files, stores
from attack.running import BAD, Attack, Tally, outcome_of, run

ATTACKS: dict[str, tuple[Attack, float]] = {
    "bytes": (corruptions.damaged, 0.17),
    "forged members": (corruptions.forged_member, 0.08),
    "forged masks": (corruptions.forged_mask, 0.02),
    "forged manifests": (corruptions.forged_manifest, 0.08),
    "bombs": (bombs.bomb, 0.05),
    "arrays": (arrays.nasty, 0.33),
    "chunks": (stores.chunk, 0.04),
    "chunk arrays": (stores.chunk_array, 0.05),
    "remote": (stores.remote, 0.03),
    "netcdf": (files.features, 0.06),
    "kills": (files.killed, 0.05),
    "force": (files.forced, 0.04),
}
"""By name: a case, and its share of the time."""
SLICE_SECONDS = 40.0


def main() -> int:
    """Run every attack for its share of the time, in turn; the status of the run."""
    options = _parse()
    if options.case:
        name, _, number = options.case.rpartition(":")
        with tempfile.TemporaryDirectory() as folder:
            outcome, text = outcome_of(ATTACKS[name][0], int(number), Path(folder))
        print(f"{outcome}: {text}")
        return int(outcome in BAD)
    names = options.only.split(",") if options.only else list(ATTACKS)
    tallies, places = {name: Tally() for name in names}, dict.fromkeys(names, options.seed * 10_000_000)
    with tempfile.TemporaryDirectory() as folder:
        outcome_of(arrays.nasty, 0, Path(folder))  # imports once what every child needs
    total = sum(ATTACKS[name][1] for name in names)
    left = {name: 60 * options.minutes * ATTACKS[name][1] / total for name in names}
    while any(seconds > 0 for seconds in left.values()):
        for name in names:
            started = time.monotonic()
            seconds = min(SLICE_SECONDS, left[name])
            tally, places[name] = run(ATTACKS[name][0], places[name], seconds)
            left[name] -= max(time.monotonic() - started, 0.001)
            tallies[name].merge(tally)
        if options.json:
            options.json.write_text(json.dumps(_figures(tallies), indent=2))
    print(_table(tallies))
    for name, tally in tallies.items():
        for number, text in {text.strip()[-60:]: (number, text) for number, text in tally.findings}.values():
            print(f"\n{name}:{number} {text}")
    return int(any(tally.findings for tally in tallies.values()))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Attack nnzip: damage, forgeries, bombs, nasty arrays, kills.")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="names of attacks with commas between")
    parser.add_argument("--json", type=Path, help="write the figures there as they come")
    parser.add_argument("--case", help="one case again, as name:number")
    return parser.parse_args()


def _figures(tallies: dict[str, Tally]) -> dict[str, object]:
    return {
        name: {"cases": tally.cases, "outcomes": tally.outcomes, "findings": tally.findings[:50]}
        for name, tally in tallies.items()
    }


def _table(tallies: dict[str, Tally]) -> str:
    """Cases and bad outcomes of every attack, as Markdown."""
    lines = [f"| attack | cases | {' | '.join(BAD)} | otherwise |", "|---|--:|" + "--:|" * len(BAD) + "---|"]
    for name, tally in tallies.items():
        bad = " | ".join(str(tally.outcomes[outcome]) for outcome in BAD)
        fine = ", ".join(f"{count} {outcome}" for outcome, count in tally.outcomes.most_common() if outcome not in BAD)
        lines.append(f"| {name} | {tally.cases} | {bad} | {fine} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
