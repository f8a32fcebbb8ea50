"""What it takes to judge a scenario: how many units, and whether its load can bring so many."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.analysis.available import most_units
from harness.analysis.routes import parts
from harness.errors import HarnessError
from harness.plan.dry_run import members_of
from harness.scenario.routes import shares_of_load
from harness.stats.multiplicity import confidence_of_each
from harness.stats.planning import units_needed, units_until_verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.scenario import Scenario
    from harness.strategies.capabilities import Capabilities
    from harness.types import Unit

POWER = 0.9
"""Probability that a fair strategy is judged `even` with the units of the plan."""


@dataclass(frozen=True)
class Needs:
    """What it takes to judge a scenario.

    Attributes
    ----------
    unit
        What the strategy balances.
    units
        Units with which a fair strategy is judged `even` with 90 % probability; with `until: verdict`,
        the units by which nine of ten such loads have ended.
    half
        The same for half of all runs.
    early
        Whether the load ends with its verdict.
    requests_per_unit
        How many requests each takes; None where the users keep their connections, or a locustfile says.
    most_units
        More than these the load can't bring, however long it lasts; None where there is no such limit.
    duration_s
        How long the load lasts at most.
    """

    unit: Unit
    units: int
    half: int
    early: bool
    requests_per_unit: int | None
    most_units: int | None
    duration_s: float

    @property
    def out_of_reach(self) -> bool:
        """Whether the load can't bring the units, however long it lasts."""
        return self.most_units is not None and self.most_units < self.units


def needs_of(scenario: Scenario) -> Needs:
    """Plan a scenario's load.

    Raises
    ------
    HarnessError
        The tolerance is so small, or a share, that no number of units would show it.
    """
    strategy, load = scenario.strategy.made(), scenario.load
    shares = strategy.expected_shares(members_of(scenario, strategy.can.placement))
    early = load.until == "verdict"
    try:
        units, half = (_units(scenario, strategy.can, shares, power) for power in (POWER, 0.5))
    except ValueError as error:
        raise HarnessError(f"{scenario.name}: {error}; widen tolerance") from error
    each: int | None = 1
    limits = [] if load.requests is None else [load.requests]
    if load.locustfile is not None:
        each = None  # as its users like
    elif strategy.can.unit != "request" and load.connections == "keep-alive":
        each = None
    elif strategy.can.unit != "request" and isinstance(load.connections, int):
        each = load.connections
        limits = [-(-requests // each) for requests in limits]
    if (most := most_units(scenario, strategy.can.unit)) is not None:
        limits.append(most)
    return Needs(
        strategy.can.unit, units, half, early, each, min(limits, default=None), load.duration_ns / 1e9
    )


def _units(scenario: Scenario, can: Capabilities, shares: Sequence[float], power: float) -> int:
    """Plan the units; of several routes, the one that takes the longest decides."""
    planned = units_until_verdict if scenario.load.until == "verdict" else units_needed
    routes, steady = parts(scenario, shares), can.in_turn
    if not routes:
        return planned(shares, scenario.tolerance, scenario.confidence, power, steady=steady)
    asked, power = shares_of_load(scenario.routes), confidence_of_each(power, len(routes))
    each = [
        planned(part.shares, scenario.tolerance, part.scenario.confidence, power, steady=steady)
        / (asked[part.name] if can.unit == "request" else 1)  # each route's requests come from all sources
        for part in routes
    ]
    return math.ceil(max(each))
