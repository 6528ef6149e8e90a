"""Extremes, promises and events as rich tables for a terminal, and the words they share with the HTML report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nnzip.evaluate.extremes.scores import ExtremeScores, TailScores
from nnzip.evaluate.scorecard import Check
from nnzip.report import numbers
from nnzip.report.tables import plain_table

if TYPE_CHECKING:
    from nnzip.evaluate.events import Centre, EventScores


def promise_tables(checks: Sequence[Check]) -> RenderableType:
    """The scorecard: promised, measured, kept or broken."""
    table = plain_table(
        "Promises", "Variable", "Promise", "Promised", "Measured", "", words=("Variable", "Promise", "")
    )
    for check in checks:
        table.add_row(check.variable, check.promise, promised(check), measured(check), _verdict(check))
    return table


def extremes_tables(extremes: Sequence[ExtremeScores]) -> Group:
    """Errors in the tails, their detection, and maps of extremes, one below the other."""
    parts: list[RenderableType] = [_tail_errors(extremes), Text(), _detection(extremes)]
    if any(found.indices or found.return_levels for found in extremes):
        parts += [Text(), _maps(extremes)]
    for found in extremes:
        if found.heat_wave_overlap is not None:
            share, days = numbers.number(found.heat_wave_overlap), numbers.number(found.heat_wave_days)
            parts.append(Text(f"{found.name}: heat waves overlap by {share} ({days} days per cell in the original)"))
    said: dict[str, list[str]] = {}
    for found in extremes:
        for note in notes(found):
            said.setdefault(note, []).append(found.name)
    parts += [Text(f"Note: {', '.join(names)}: {note}", style="yellow") for note, names in said.items()]
    return Group(*parts)


def event_tables(events: Sequence[EventScores]) -> Group:
    """One table per event: each of its own times with the centres."""
    parts: list[RenderableType] = []
    for event in events:
        titles = ("Time", "Original", "Decoded", "Displaced", "Overlap", *(("Wind", "decoded") if event.wind else ()))
        title = f"{event.name}: minimum of {event.variable}{f' at {event.level}' if event.level else ''}"
        table = plain_table(title, *titles, words=("Time",))
        for moment in event.inside:
            winds = (moment.original_wind, moment.decoded_wind) if event.wind else ()
            table.add_row(
                moment.time,
                *(_short(centre) for centre in (moment.original, moment.decoded)),
                kilometres(moment.displacement),
                numbers.number(moment.core_overlap, 2),
                *map(numbers.number, winds),
            )
        table.caption = event_sentence(event)
        parts += [table, Text()]
    return Group(*parts[:-1])


def event_sentence(event: EventScores) -> str:
    """The fate of the storm in one or two sentences, with numbers."""
    deepest = event.deepest
    when = f"At {deepest.time}" if len(event.inside) == 1 else f"At {deepest.time}, when it is deepest,"
    if deepest.original is None or deepest.decoded is None:
        return f"{when} the decoded data hold no closed minimum: the storm is lost."
    change = 100 * (event.depth_error or 0.0)
    text = (
        f"{when} the decoded centre is displaced by {kilometres(deepest.displacement)} "
        f"(a grid cell is {kilometres(event.cell)}) and its depth is {numbers.number(abs(change))}\u00a0% "
        f"{'smaller' if change < 0 else 'larger'}."
    )
    if len(event.inside) > 1:
        text += f" Largest displacement over {len(event.inside)} times: {kilometres(event.largest_displacement)}."
    return text + (f" At {event.lost} of them the decoded data hold no centre." if event.lost else "")


def tail_name(tail: TailScores) -> str:
    """ "above p99", "below p1 of the cell"."""
    side, share = ("above", tail.quantile) if tail.quantile >= 0.5 else ("below", tail.quantile)
    return f"{side} p{100 * share:g}{' of the cell' if tail.scope == 'cell' else ''}".replace(" ", "\u00a0")


def detection(tail: TailScores) -> tuple[str, ...]:
    """POD, FAR, CSI, SEDI, frequency bias and FSS, with the digits that tell them from perfect."""
    near_one = numbers.correlation
    return (
        near_one(tail.pod),
        numbers.number(tail.far),
        near_one(tail.csi),
        near_one(tail.sedi),
        numbers.number(tail.frequency_bias, 4),
        near_one(tail.fss),
    )


def notes(found: ExtremeScores) -> list[str]:
    """Scores that are missing and why, and whether the grid was thinned."""
    thinned = f"extremes were measured on every {found.thinned}th row and column, as there are many values"
    return [*([thinned] if found.thinned > 1 else []), *found.notes]


def promised(check: Check) -> str:
    if check.promised == 0:
        return "no violation" if check.units.startswith("of ") else "none"
    return f"≤\u00a0{numbers.quantity(check.promised, check.units, 4)}"


def measured(check: Check) -> str:
    if check.promised == 0:
        return f"{numbers.count(round(check.measured))} {check.units}" if check.measured else "none"
    return numbers.quantity(check.measured, check.units, 4)


def kilometres(distance: float | None) -> str:
    """Whole kilometres; a dash for None."""
    return numbers.DASH if distance is None else f"{distance:.0f}\u00a0km"


def centre_text(centre: Centre | None, units: str) -> str:
    """Value and place of a centre in words; a dash for none."""
    if centre is None:
        return numbers.DASH
    place = numbers.place({"latitude": centre.latitude, "longitude": centre.longitude})
    return f"{numbers.value(centre.minimum, units)} at {place}"


def _tail_errors(extremes: Sequence[ExtremeScores]) -> Table:
    title = "Errors in the tails, decoded minus original"
    table = plain_table(title, "Variable", "Units", "Tail", "Threshold", "Values", "RMSE", "Bias", "Max", words=_WORDS)
    for found in extremes:
        for number, tail in enumerate(found.tails):
            errors = (tail.rmse, tail.bias, tail.max_error)
            table.add_row(
                *((found.name, numbers.units(found.units) or "1") if number == 0 else ("", "")),
                tail_name(tail),
                numbers.compact(tail.threshold, 4),
                str(tail.values),
                *map(numbers.compact, errors),
                end_section=number + 1 == len(found.tails),
            )
    table.caption = "Beyond a percentile of the original, over all values of a level or (of the cell) over time."
    return table


def _detection(extremes: Sequence[ExtremeScores]) -> Table:
    titles = ("Variable", "Tail", "POD", "FAR", "CSI", "SEDI", "Freq. bias", "FSS")
    table = plain_table("Beyond the same threshold in both?", *titles, words=_WORDS)
    for found in extremes:
        for number, tail in enumerate(found.tails):
            table.add_row(
                found.name if number == 0 else "",
                tail_name(tail),
                *detection(tail),
                end_section=number + 1 == len(found.tails),
            )
    table.caption = "Perfect is 1; of the false alarm ratio (FAR) 0. FSS in neighbourhoods of 5 x 5 cells."
    return table


def _maps(extremes: Sequence[ExtremeScores]) -> Table:
    titles = ("Variable", "Index", "Units", "Original", "Bias", "RMSE", "Max")
    table = plain_table("Climate indices and return levels", *titles, words=(*_WORDS, "Index"))
    for found in extremes:
        for scores in (*found.indices, *found.return_levels):
            values = (scores.original, scores.bias, scores.rmse, scores.max_error)
            table.add_row(found.name, scores.name, numbers.units(scores.units) or "1", *map(numbers.compact, values))
    return table


def _short(centre: Centre | None) -> str:
    if centre is None:
        return "lost"
    return f"{numbers.minus(f'{centre.minimum:.6g}')} ({centre.latitude:g}, {centre.longitude:g})"


def _verdict(check: Check) -> Text:
    return Text("kept", style="green") if check.kept else Text("BROKEN", style="bold red")


_WORDS = ("Variable", "Units", "Tail")
