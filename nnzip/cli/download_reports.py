"""What `nnzip download` shows: the table of variables, a plan, and what goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nnzip.cli.terminal import Terminal
from nnzip.report import numbers

if TYPE_CHECKING:
    from nnzip.cli.terminal import ProgressCallback
    from nnzip.download.cds_request import DataFormat
    from nnzip.download.plan import Month

_LOG_SECONDS = 60.0


class DownloadWatcher:
    """Shows a download: on a terminal as a bar, in a log as one line a minute."""

    def __init__(
        self, terminal: Terminal, progress: ProgressCallback | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._terminal, self._progress, self._clock = terminal, progress, clock
        self._stage, self._began, self._first = "", clock(), 0
        self._logged = clock()

    def say(self, message: str) -> None:
        """A line worth keeping."""
        self._terminal.message(message)

    def show(self, stage: str, done: int | None = None, total: int | None = None) -> None:
        """What is going on now, and how many of the part's bytes are there."""
        now = self._clock()
        if stage != self._stage:
            self._stage, self._began, self._first = stage, now, done or 0
        if self._progress is not None:
            from nnzip.progress import Progress

            text = stage if done is None else f"{stage} {_amount(done, total)}"
            self._progress(Progress(text, done / total if done and total else 0.0))
        elif now - self._logged >= _LOG_SECONDS:
            self._logged = now
            self._terminal.message(stage if done is None else f"{stage}: {self._pace(done, total, now)}")

    def _pace(self, done: int, total: int | None, now: float) -> str:
        """ "1.2 GB of 3.4 GB, 5 MB/s, 7 min left"."""
        rate = (done - self._first) / (now - self._began) if now > self._began else 0.0
        text = _amount(done, total)
        if rate <= 0:
            return text
        left = f", {(total - done) / rate / 60:.0f} min left" if total else ""
        return f"{text}, {numbers.file_size(round(rate))}/s{left}"


def show_list(terminal: Terminal, wanted: Sequence[str], *, as_json: bool) -> None:
    """The table of variables, or the rows in which a word of `wanted` occurs."""
    from nnzip.download.variables import VARIABLES

    words = [word.strip().lower() for text in wanted for word in text.split(",")]
    chosen = [v for v in VARIABLES if not words or any(word in " ".join((*v.names, v.cf_name)) for word in words)]
    if as_json:
        terminal.json([{**asdict(variable), "sources": variable.sources} for variable in chosen])
        return
    rows = [(v.short_name, v.cds_name, v.units, _kind(v.pressure, v.step), " ".join(v.sources)) for v in chosen]
    terminal.table(("name", "long name", "units", "kind", "sources"), rows)


def show_plan(terminal: Terminal, months: list[Month], data_format: DataFormat, *, as_json: bool) -> None:
    """Requests of a plan with their sizes, and the licence."""
    from json import dumps

    from nnzip.download.addresses import address
    from nnzip.download.cds_request import dataset_of, request_of
    from nnzip.download.cost import file_bytes, transferred_bytes
    from nnzip.download.licence import LICENCE, LICENCE_URL
    from nnzip.download.ncar import ncar_files

    described = []
    for part in (part for month in months for part in month.parts):
        entry: dict[str, Any] = {"file": f"{part.name}.nc", "source": part.source}
        if part.source == "cds":
            entry |= {"dataset": dataset_of(part), "request": request_of(part, data_format)}
        elif part.source == "ncar":
            entry["addresses"] = [url for url, _ in ncar_files(part, address("ncar", part.selection))]
        else:
            entry |= {"address": address(part.source, part.selection), "selection": part.selection.describe()}
        described.append(entry | {"bytes": file_bytes(part), "transferred_bytes": transferred_bytes(part)})
    licence = f"{LICENCE}, {LICENCE_URL}"
    if as_json:
        terminal.json({"requests": described, "licence": licence})
        return
    for entry in described:
        what = entry.get("request") or entry.get("selection") or entry.get("addresses")
        where = entry.get("dataset") or entry.get("address") or "NCAR"
        travels = numbers.file_size(entry["transferred_bytes"])
        size = numbers.file_size(entry["bytes"])
        terminal.data(f"{entry['file']}: about {size} from {where} ({travels} travel)\n  {dumps(what)}")
    terminal.data(f"{summary(months)}\nlicence: {licence}")


def summary(months: list[Month]) -> str:
    """Source, number of requests and sizes of a plan in a line."""
    from nnzip.download.cost import total_bytes

    parts = [part for month in months for part in month.parts]
    size, transferred = total_bytes(months)
    more = f" (about {numbers.file_size(transferred)} travel: whole chunks)" if transferred > 2 * size else ""
    requests = f"{len(parts)} request{'s' if len(parts) > 1 else ''}"
    title = parts[0].selection.dataset.title
    return f"{title} from {parts[0].source}: {requests}, about {numbers.file_size(size)}{more}"


def _kind(pressure: bool, step: str) -> str:
    return "levels" if pressure else {"instant": "surface", "sum": "past hour"}.get(step, step)


def _amount(done: int, total: int | None) -> str:
    return f"{numbers.file_size(done)} of {numbers.file_size(total)}" if total else numbers.file_size(done)
