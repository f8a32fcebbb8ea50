"""Do two strategies differ in what their runs measured? All figures at once, each with an interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from harness.stats.comparison import compare

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

Finding = Literal["differs", "not shown", "too few runs", "not measured"]


@dataclass(frozen=True)
class FigureChange:
    """One figure of two sides, each of one run or more.

    Attributes
    ----------
    before, after
        The means over the runs: geometric ones where the change is relative; None where a run has no figure.
    relative
        Whether `change`, `low` and `high` are relative to `before` (0.5 is half as much again), or in the
        figure's own unit.
    change
        After less before; None where there is nothing to compare.
    low, high
        The change's interval; None where a side has one run only.
    finding
        `differs` where the interval does not hold 0, `not shown` where it does, `too few runs` where there
        is none because a side has one run only.
    """

    before: float | None
    after: float | None
    relative: bool
    change: float | None
    low: float | None
    high: float | None
    finding: Finding


def compare_figures(
    before: Mapping[str, Sequence[float | None]],
    after: Mapping[str, Sequence[float | None]],
    relative: Collection[str],
    confidence: float,
) -> dict[str, FigureChange]:
    """Compare all figures of two sides, so that all intervals hold at once.

    Parameters
    ----------
    before, after
        For each figure, its value in each run; None in a run that could not measure it. The same figures in
        both; each figure has a value for each run.
    relative
        Figures whose change is given as a ratio: those on a ratio scale without 0. With a 0, the change is
        given in the figure's unit.
    confidence
        Of all intervals together, between 0 and 1.

    Returns
    -------
    dict of str to FigureChange
        In the order of `before`.

    Raises
    ------
    ValueError
        The sides have different figures, or as `harness.stats.comparison.compare`.

    Notes
    -----
    Each interval is that of `compare` with 1 - (1 - confidence) / figures, those left out that are the same
    in all runs. By Bonferroni, all of them hold together: at 95 %, five of a hundred comparisons of ten
    figures find a difference by chance, not forty.
    """
    if before.keys() != after.keys():
        raise ValueError(f"the figures have to be the same: {sorted(before.keys() ^ after.keys())}")
    told = [name for name in before if _can_differ([*before[name], *after[name]])]
    each = 1 - (1 - confidence) / max(len(told), 1)
    return {name: _change(before[name], after[name], name in relative, each) for name in before}


def _can_differ(values: Sequence[float | None]) -> bool:
    """Say whether an interval may miss: not where all runs agree, as they do in having no errors."""
    return not _lacks(values) and len(set(values)) > 1


def _lacks(values: Sequence[float | None]) -> bool:
    return not values or any(value is None for value in values)


def _change(
    before: Sequence[float | None], after: Sequence[float | None], relative: bool, confidence: float
) -> FigureChange:
    first = [value for value in before if value is not None]
    second = [value for value in after if value is not None]
    relative = relative and all([*first, *second])
    means = [
        None if _lacks(all_of) else _mean(known, geometric=relative)
        for all_of, known in ((before, first), (after, second))
    ]
    there, here = means
    if there is None or here is None:
        return FigureChange(there, here, relative, None, None, None, "not measured")
    change = here / there - 1 if relative else here - there
    compared = compare(first, second, confidence)
    if compared is None:
        return FigureChange(there, here, relative, change, None, None, "too few runs")
    low, high = compared.difference_low, compared.difference_high
    if relative and compared.ratio_low is not None and compared.ratio_high is not None:
        low, high = compared.ratio_low - 1, compared.ratio_high - 1
    return FigureChange(
        there, here, relative, change, low, high, "not shown" if low <= 0 <= high else "differs"
    )


def _mean(values: Sequence[float], *, geometric: bool) -> float:
    return float(np.exp(np.mean(np.log(values))) if geometric else np.mean(values))
