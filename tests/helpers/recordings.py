"""Recordings whose every row is known, of a load in which something happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from harness.recording.layout import NO_INSTANCE, NOT_THERE, REFUSED, dtype
from harness.recording.table import Recording

if TYPE_CHECKING:
    from collections.abc import Sequence

START_NS = 10**12
MS = 1_000_000
AWAY = {"a": 0.5, "c": 0.5, "b": 0.0}
"""The shares in a `crowd` that `b` has left."""


def made_recording(
    *rows: tuple[int, int, int, int], names: Sequence[str] = ("a", "b"), **columns: Any
) -> Recording:
    """Make a recording of (start, latency, instance, error), in milliseconds; each on its own connection."""
    made = np.zeros(len(rows), dtype())
    for row, (start, latency, instance, error) in zip(made, rows, strict=True):
        row["start_ns"] = row["intended_start_ns"] = START_NS + start * MS
        row["latency_ns"] = latency * MS
        row["instance"] = NO_INSTANCE if error else instance
        row["error"] = error
        row["status"] = 0 if error else 200
        row["connect_ns"] = NOT_THERE if error == REFUSED else 0
        row["first_byte_ns"] = NOT_THERE if error else latency * MS
    made["connection"] = range(len(rows))
    for column, values in columns.items():
        made[column] = values
    return Recording.of_run(made, names, names)


def crowd(lost: range, until: int = 2000, unit: int = 1) -> Recording:
    """Let one request begin each millisecond; of those at these times, every second is refused."""
    return made_recording(
        *((at, unit, at % 2, REFUSED if at in lost and at % 2 else 0) for at in range(until)),
        names=("a", "c", "b"),
    )
