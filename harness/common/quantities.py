"""Durations, rates and percentages as people write them: `10s`, `200/s`, `10%`.

A bare number is refused everywhere, since it leaves the unit to guesswork. Arithmetic is decimal,
so that what is written is what is meant, to the last digit.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

SECOND_NS: Final = 1_000_000_000
_NS_PER: Final = {
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": SECOND_NS,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
}
_SECONDS_PER: Final = {"s": 1, "m": 60, "h": 3600}
MOST_DURATION_NS: Final = 168 * _NS_PER["h"]

# The patterns also stand in the JSON Schema, so they keep to what ECMA-262 knows too. The digits are
# bounded because nothing longer is meant, and a number of a million digits takes its time.
_NUMBER: Final = r"[0-9]{1,18}(?:\.[0-9]{1,18})?"
DURATION_PATTERN: Final = "^(?=[0-9])" + "".join(f"(?:{_NUMBER}{unit})?" for unit in _NS_PER) + "$"
RATE_PATTERN: Final = f"^{_NUMBER}/[smh]$"
PERCENTAGE_PATTERN: Final = f"^{_NUMBER}%$"

MEMORY_PATTERN: Final = f"^{_NUMBER}[bkmg]$"
_BYTES_PER: Final = {"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_LEAST_MEMORY: Final = 6 << 20
_MOST_MEMORY: Final = 1 << 40

_MEMORY = re.compile(f"^({_NUMBER})([bkmg])$")
_DURATION = re.compile(DURATION_PATTERN)
_RATE = re.compile(RATE_PATTERN)
_PERCENTAGE = re.compile(PERCENTAGE_PATTERN)
_DURATION_PART = re.compile(r"([0-9.]+)([a-z]+)")


def parse_duration(text: object) -> int:
    """Read a duration: numbers with the units h, m, s, ms, us and ns, the greatest first.

    Parameters
    ----------
    text
        Such as ``10s``, ``500ms``, ``1m30s`` or ``1.5s``.

    Returns
    -------
    int
        Nanoseconds.

    Raises
    ------
    ValueError
        It is no duration, no whole number of nanoseconds, or more than a week.
    """
    if _is_bare_number(text):
        raise ValueError(f"{text} has no unit; write 10s or 500ms")
    if not isinstance(text, str) or not _DURATION.fullmatch(text):
        raise ValueError(
            f"{shown(text)} is no duration; write numbers with units (h, m, s, ms, us, ns), such as 1m30s"
        )
    total = sum(Decimal(number) * _NS_PER[unit] for number, unit in _DURATION_PART.findall(text))
    if total > MOST_DURATION_NS:
        raise ValueError(f"{text} is too long; write at most {format_duration(MOST_DURATION_NS)}")
    if total != int(total):
        raise ValueError(f"{text} is no whole number of nanoseconds; leave out the digits below them")
    return int(total)


def format_duration(duration_ns: int) -> str:
    """Write a duration so that `parse_duration` reads the same; ``90_000_000_000`` is ``1m30s``."""
    parts = []
    for unit, size in _NS_PER.items():
        count, duration_ns = divmod(duration_ns, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_percentage(text: object) -> float:
    """Read a percentage; ``10%`` is 0.1.

    Raises
    ------
    ValueError
        It is no percentage.
    """
    if _is_bare_number(text):
        number = Decimal(str(text))
        right = f"{text}% or {_plain(number * 100)}%, whichever is meant" if abs(number) <= 1 else f"{text}%"
        raise ValueError(f"{text} has no percent sign; write {right}")
    if not isinstance(text, str) or not _PERCENTAGE.fullmatch(text):
        raise ValueError(f"{shown(text)} is no percentage; write a number and %, such as 10%")
    return float(Decimal(text[:-1]) / 100)


def format_percentage(share: float) -> str:
    """Write a share of 1 as a percentage; 0.1 is ``10%``."""
    return f"{_plain(Decimal(repr(share)) * 100)}%"


def parse_rate(text: object) -> float:
    """Read a rate; ``200/s`` and ``12000/m`` are 200.0.

    Returns
    -------
    float
        A second.

    Raises
    ------
    ValueError
        It is no rate.
    """
    if _is_bare_number(text):
        raise ValueError(f"{text} has no unit; write 200/s or 100/m")
    if not isinstance(text, str) or not _RATE.fullmatch(text):
        raise ValueError(f"{shown(text)} is no rate; write a number and /s, /m or /h, such as 200/s")
    number, _, unit = text.partition("/")
    return float(Decimal(number) / _SECONDS_PER[unit])


def format_rate(rate_per_s: float) -> str:
    """Write a rate; 200.0 is ``200/s``."""
    return f"{_plain(Decimal(repr(rate_per_s)))}/s"


def parse_memory(text: object) -> int:
    """Read an amount of memory, as container engines write it: 64m, 2g; 1k is 1,024 bytes.

    Raises
    ------
    ValueError
        It is none, or less than 6 MiB, below which no container starts.
    """
    found = _MEMORY.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{shown(text)} is no amount of memory; write a number and a unit, as in 64m or 2g")
    size = int(Decimal(found[1]) * _BYTES_PER[found[2]])
    if not _LEAST_MEMORY <= size <= _MOST_MEMORY:
        raise ValueError(f"{shown(text)} is out of range; write 6m to 1024g")
    return size


def format_memory(size: int) -> str:
    """Write an amount of memory with the largest unit that needs no fraction."""
    unit = next((unit for unit in "gmk" if size % _BYTES_PER[unit] == 0), "b")
    return f"{size // _BYTES_PER[unit]}{unit}"


def shown(value: object) -> str:
    """Show a value in a message: text in quotes, long text cut, a structure by its kind."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else f"{value[:57]}…")
    return str(value)


def _is_bare_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(number: Decimal) -> str:
    digits = f"{number:f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits
