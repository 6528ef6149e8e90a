"""Numbers, units and places as the report and the tables print them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB")
DASH = "–"


def number(value: float | None, digits: int = 3) -> str:
    """Significant digits, plain between 0.001 and a million, else a power of ten: 0.0123, 1.23 × 10⁻⁵; a dash for
    None.
    """
    if value is None or math.isnan(value):
        return DASH
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power = int(exponent)
    if -3 <= power < 6:
        return minus(f"{float(f'{value:.{digits - 1}e}'):.{max(0, digits - 1 - power)}f}")
    return minus(f"{mantissa} × 10{superscript(str(power))}")


def compact(value: float | None, digits: int = 3) -> str:
    """As number, but powers of ten as 1.23e-5: at most 8 characters for three digits."""
    if value is None or math.isnan(value):
        return DASH
    text = f"{value:.{digits - 1}e}"
    mantissa, exponent = text.split("e") if "e" in text else (text, "0")
    power = int(exponent)
    if value == 0 or math.isinf(value) or -3 <= power < 6:
        return number(value, digits)
    return minus(f"{mantissa}e{power}")


def correlation(value: float | None) -> str:
    """A correlation with enough digits to tell it from 1: 0.99997, 0.998, and 1 only when it is."""
    if value is None:
        return DASH
    distance = 1 - abs(value)
    if distance <= 0:
        return minus(f"{value:.0f}")
    decimals = min(12, max(3, 2 - math.floor(math.log10(distance)) - 1))
    return minus(f"{value:.{decimals}f}")


def units(text: str) -> str:
    """Units with real exponents: "m s**-1" and "m s-1" become m s⁻¹; "1" (no dimension) becomes nothing."""
    if text.strip() in ("", "1"):
        return ""
    raised = re.sub(r"\s*(?:\*\*|\^)\s*(-?\d+)", lambda found: superscript(found[1]), text.strip())
    return re.sub(r"(?<=[A-Za-z])(-?\d+)(?![\w.])", lambda found: superscript(found[1]), raised)


def quantity(value: float | None, unit: str, digits: int = 3) -> str:
    """A number with its units, held together by no-break spaces (a line may break before "per 100 km")."""
    text, pretty = number(value, digits), units(unit)
    together = f"{text} {pretty}" if pretty and text != DASH else text
    return together.replace(" ", "\u00a0").replace("\u00a0per\u00a0", " per\u00a0")


def value(datum: float, unit: str) -> str:
    """A value of the data with its units: six digits at most, no trailing zeros: 104720 Pa, −9.96 K."""
    text = quantity(datum, unit, 6)
    return re.sub(r"(\.\d*?)0+(?=\D|$)", lambda found: found[1].rstrip("."), text, count=1)


def file_size(count: float) -> str:
    """1234567 -> 1.23 MB (powers of 1000)."""
    power = 0
    while count >= 999.5 and power < len(_BYTE_UNITS) - 1:
        count, power = count / 1000, power + 1
    return f"{count:.0f}\u00a0B" if power == 0 else f"{number(count)}\u00a0{_BYTE_UNITS[power]}"


def duration(seconds: float) -> str:
    """75 -> "1 min 15 s"."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def stored_ratio(ratio: float | None) -> str:
    """The ratio to the source's files in words; nothing for None."""
    return "" if ratio is None else f"{number(ratio)} times smaller than on disk"


def ratios(file_bytes: int, source_bytes: int, stored_bytes: int) -> str:
    """How many times smaller a file is than its values as float32, and than the source's files (0: not known)."""
    text = f"{number(source_bytes / file_bytes, 4)} times smaller than {file_size(source_bytes)} of float32"
    if not stored_bytes:
        return text
    return f"{text} and {number(stored_bytes / file_bytes)} times smaller than the {file_size(stored_bytes)} on disk"


def count(value: int) -> str:
    """Thousands set apart by thin no-break spaces."""
    return f"{value:,}".replace(",", "\u202f")


def shape(sizes: Mapping[str, int]) -> str:
    """{"time": 24, "latitude": 61} -> time 24 × latitude 61."""
    return " × ".join(f"{name} {size}" for name, size in sizes.items())


def place(at: Mapping[str, str | float]) -> str:
    """Coordinates of one value in words: 2016-10-05 06:00, level 500, 21° N, 343.5° E."""
    return ", ".join(coordinate(name, value) for name, value in at.items())


def coordinate(name: str, value: str | float) -> str:
    """One coordinate value with what it is: "latitude", -30.0 -> 30° S."""
    if isinstance(value, str):
        return value
    text = minus(f"{abs(value):.6g}")
    if name.lower() in ("latitude", "lat"):
        return f"{text}°\u00a0{'N' if value >= 0 else 'S'}"
    if name.lower() in ("longitude", "lon"):
        return f"{text}°\u00a0{'E' if value >= 0 else 'W'}"
    return f"{name.replace('_', ' ')}\u00a0{minus(f'{value:.6g}')}"


def visible(text: str) -> str:
    """Control characters, which could steer a terminal, as \\x1b."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def superscript(text: str) -> str:
    """Digits and minus signs raised."""
    return text.translate(_SUPERSCRIPTS)


def minus(text: str) -> str:
    """A true minus sign in front of negative numbers."""
    return f"−{text[1:]}" if text.startswith("-") else text
