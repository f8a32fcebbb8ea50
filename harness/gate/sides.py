"""Results side by side: which belong together, and what of them is compared."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.common.text import printable
from harness.errors import ResultError
from harness.gate.baseline import units_of
from harness.gate.differences import differing_keys, measured_scenario
from harness.results.reading import SUMMARY, read_results, subfolders
from harness.stats.figures import FigureChange, compare_figures
from harness.stats.homogeneity import Homogeneity, homogeneity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from harness.summary.run import Summary

ROLES: Final = ("proxy", "kernel", "instances", "engine", "generator")

RELATIVE: Final = frozenset(
    {"p50_ns", "p90_ns", "p99_ns", "throughput_per_s", *(f"cpu_{role}_us_per_request" for role in ROLES)}
)
"""Figures whose change is given as a ratio; that of the others, shares of 0 to 1, is given in points."""


@dataclass(frozen=True)
class Side:
    """One or more results of one scenario, with the names of their folders."""

    label: str
    runs: tuple[tuple[str, Summary], ...]

    @property
    def summaries(self) -> list[Summary]:
        """Give the runs without their folders."""
        return [summary for _, summary in self.runs]

    @property
    def first(self) -> Summary:
        """Give a run for what all of them have in common."""
        return self.runs[0][1]

    def figures(self) -> dict[str, list[float | None]]:
        """Give what is compared: for each figure, its value in each run."""
        return {
            "worst_deviation": [_worst_deviation(one) for one in self.summaries],
            "p50_ns": [one.latency_ns.p50 for one in self.summaries],
            "p90_ns": [one.latency_ns.p90 for one in self.summaries],
            "p99_ns": [one.latency_ns.p99 for one in self.summaries],
            "throughput_per_s": [one.throughput_per_s for one in self.summaries],
            **{
                f"cpu_{role}_us_per_request": [
                    getattr(one.cpu_us_per_request, role) for one in self.summaries
                ]
                for role in ROLES
            },
            "error_share": [
                one.counts.errors / one.counts.requests if one.counts.requests else None
                for one in self.summaries
            ],
        }


@dataclass(frozen=True)
class Difference:
    """A side compared with the first.

    Attributes
    ----------
    figures
        All figures, those that neither side measured left out.
    shares
        How the units of all runs spread; None where `shares_why` says why they can't be compared.
    keys
        Keys of the scenarios, other than the strategy's, that differ, with both values.
    """

    side: Side
    figures: dict[str, FigureChange]
    shares: Homogeneity | None
    shares_why: str
    keys: dict[str, tuple[Any, Any]]


def read_sides(paths: Iterable[Path]) -> list[Side]:
    """Read results, and put those together that are runs of one scenario.

    Parameters
    ----------
    paths
        Results, or folders of results. Results of different folders of results are never put together: they
        are what one wants to compare. Where all results are of one scenario, each is a side.

    Raises
    ------
    ResultError
        As `harness.results.reading.read_results`, or a folder has no results.
    """
    groups: dict[tuple[str, str, str], list[tuple[str, Summary]]] = {}
    for path in paths:
        folders = _within(path)
        for folder in folders or [path]:
            ((name, ((own_name, summary),)),) = read_results([folder]).items()
            measured = json.dumps(measured_scenario(summary), sort_keys=True, default=str)
            group = groups.setdefault((path.resolve().name if folders else "", name, measured), [])
            if all(summary.started_at != other.started_at for _, other in group):
                group.append((own_name, summary))
    if len(groups) == 1:
        (runs,) = groups.values()
        return [Side(folder, ((folder, summary),)) for folder, summary in runs]
    labels = _labels([(origin, name, runs[0]) for (origin, name, _), runs in groups.items()])
    return [Side(label, tuple(runs)) for label, runs in zip(labels, groups.values(), strict=True)]


def compare_sides(first: Side, other: Side, confidence: float) -> Difference:
    """Compare a side with the first: figures of their runs, and the shares of instances that both have."""
    before, after = first.figures(), other.figures()
    known = [name for name in before if any(value is not None for value in (*before[name], *after[name]))]
    figures = compare_figures(
        {name: before[name] for name in known}, {name: after[name] for name in known}, RELATIVE, confidence
    )
    shares, why = _shares(first, other, confidence)
    keys = differing_keys(first.first, other.first)
    return Difference(
        other,
        figures,
        shares,
        why,
        {key: both for key, both in keys.items() if not key.startswith("strategy")},
    )


def _shares(first: Side, other: Side, confidence: float) -> tuple[Homogeneity | None, str]:
    """Compare how the units of all runs spread; or say why that can't be."""
    there, here = ([row.name for row in side.first.instances] for side in (first, other))
    if there != here:
        return None, "they have other instances"
    if first.first.unit != other.first.unit:
        return None, f"the one balances {first.first.unit}s, the other {other.first.unit}s"
    if len(there) < 2:
        return None, "there is one instance"
    counts = [
        [sum(units) for units in zip(*map(units_of, side.summaries), strict=True)] for side in (first, other)
    ]
    if not all(map(sum, counts)):
        return None, "nothing was measured on one side"
    dispersions = [max(one.tests.tolerance.dispersion for one in side.summaries) for side in (first, other)]
    return homogeneity(counts[0], counts[1], confidence, (dispersions[0], dispersions[1])), ""


def pooled_shares(side: Side) -> list[float | None]:
    """Give each instance's share of all runs' units."""
    counts = [sum(units) for units in zip(*map(units_of, side.summaries), strict=True)]
    total = sum(counts)
    return [count / total if total else None for count in counts]


def _worst_deviation(summary: Summary) -> float | None:
    return max((abs(row.deviation) for row in summary.instances if row.deviation is not None), default=None)


def _within(path: Path) -> list[Path]:
    """Give the results in a folder; none where it is a result itself, or no folder."""
    if not path.is_dir() or (path / SUMMARY).exists():
        return []
    try:
        return [child for child in subfolders(path) if (child / SUMMARY).is_file()]
    except OSError as error:
        raise ResultError(f"{printable(str(path))}: can't be read: {error.strerror}") from error


def _labels(groups: Sequence[tuple[str, str, tuple[str, Summary]]]) -> list[str]:
    """Name each side by as little as tells it from the others."""
    if len({origin for origin, _, _ in groups}) == 1:
        groups = [("", name, run) for _, name, run in groups]
    short = [f"{origin}: {name}" if origin else name for origin, name, _ in groups]
    placed = [
        f"{label} ({summary.host}, {summary.engine})"
        for label, (_, _, (_, summary)) in zip(short, groups, strict=True)
    ]
    folders = [f"{origin}: {folder}" if origin else folder for origin, _, (folder, _) in groups]
    for labels in (short, placed, folders):
        counts = Counter(labels)
        if max(counts.values()) == 1:
            return labels
    return [f"{label} #{number}" for number, label in enumerate(folders, 1)]
