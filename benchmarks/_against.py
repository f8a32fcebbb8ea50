"""Two builds of the harness, interleaved: what a request of `wire` costs each.

Each build measures itself, by its own `benchmarks.generator` and with its own packages: they may differ
in all they have, down to the layout of a record.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.errors import LoadError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

HERE: Final = Path(__file__).parents[1]
MOST_OF_OTHER: Final = 1.02
"""What a request may cost this build, the other's being 1."""

_PATIENCE_S: Final = 120.0


def compare(folder: Path, modes: Sequence[str], options: Namespace) -> bool:
    """Measure both builds, one after the other in turn, and print what they need; tell whether this one may.

    Parameters
    ----------
    folder
        The other build: a checkout with its extension built in place.
    modes
        Ways to connect, as the tables call them.
    options
        `rounds`, how often each build is measured; `seconds` and `connections` of each load.

    Raises
    ------
    LoadError
        A build could not be measured.
    """
    load = ["--seconds", str(options.seconds), "--connections", str(options.connections)]
    costs: dict[str, list[tuple[float, float]]] = {mode: [] for mode in modes}
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        builds = (HERE, folder) if number % 2 == 0 else (folder, HERE)
        measured = {build: _measure(build, modes, load) for build in builds}
        for mode in modes:
            costs[mode].append((measured[HERE][mode], measured[folder][mode]))
    print(f"\nwire, CPU µs per request{'here':>14}{'there':>9}   here / there: median (lowest to highest)")
    fine = True
    for mode, pairs in costs.items():
        here, there = (statistics.median(side) for side in zip(*pairs, strict=True))
        ratios = [one / other for one, other in pairs]
        ratio = statistics.median(ratios)
        fine &= ratio <= MOST_OF_OTHER
        print(f"{mode:<30}{here:>8.2f}{there:>9.2f}   {ratio:.3f} ({min(ratios):.3f} to {max(ratios):.3f})")
    verdict = "met" if fine else "missed"
    print(f"\n{verdict:<14}wire: at most {MOST_OF_OTHER:.2f} of the CPU per request in {folder}")
    return fine


def _measure(folder: Path, modes: Sequence[str], load: Sequence[str]) -> dict[str, float]:
    """Give what a request costs a build, for each way to connect."""
    python = folder / ".venv/bin/python"
    command = [str(python) if python.exists() else sys.executable, "-m", "benchmarks.generator"]
    try:
        ended = subprocess.run(
            [*command, "--only", "wire", "--rounds", "1", *load],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LoadError(f"{folder}: its benchmark can't be run: {error}") from error
    found = {
        mode: re.search(rf"^{mode} .*?^wire +[\d.]+ +([\d.]+) ", ended.stdout, re.MULTILINE | re.DOTALL)
        for mode in modes
    }
    if missing := [mode for mode, match in found.items() if match is None]:
        raise LoadError(
            f"{folder}: its benchmark gave no figures for wire, {missing[0]}: {ended.stderr or ended.stdout}"
        )
    return {mode: float(match[1]) for mode, match in found.items() if match}
