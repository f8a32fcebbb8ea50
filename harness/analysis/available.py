"""How many units the clients of a scenario can bring, however long its load lasts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.hosts import MOST_IN_A_NETWORK, MOST_SOURCES
from harness.hosts.address_plan import IPV4
from harness.types import networks_of

if TYPE_CHECKING:
    from harness.scenario import Scenario
    from harness.types import Unit


def most_units(scenario: Scenario, unit: Unit) -> int | None:
    """Give how many units of a kind the clients have; None where a longer load brings ever more.

    Clients have so many addresses, each connection is made from the next one, and users that keep theirs
    make no further connections. A locustfile's users decide for themselves whether they keep theirs.
    """
    load = scenario.load
    limits = []
    if unit != "request" and load.connections == "keep-alive" and load.locustfile is None:
        limits.append(load.most_users)
    if unit == "source":
        limits.append(load.sources.count)
    if unit == "network":
        limits.append(len(set(networks_of(IPV4.sources(scenario.client, scenario.clients())))))
    return min(limits, default=None)


def why_not_longer(scenario: Scenario, unit: Unit, most: int, wanted: int) -> str:
    """Say why no longer load can bring so many units, and what can.

    Parameters
    ----------
    scenario, unit, most
        As for `most_units`, and what it gave.
    wanted
        How many a verdict takes.
    """
    load = scenario.load
    have = f"{most:,} {unit}{'' if most == 1 else 's'}"
    words = f"no longer load can mend that, as the clients have {have} in all, and it takes about {wanted:,}"
    if load.connections == "keep-alive" and load.locustfile is None and most == load.most_users:
        return f"{words}: raise load.users, or write load.connections: per-request"
    if unit == "network":
        return f"{words}: raise load.sources, whose addresses are of few networks, or widen the tolerance"
    if wanted > MOST_SOURCES:
        return f"{words}, more than the {MOST_SOURCES:,} that they can have: widen the tolerance"
    if load.sources.pattern == "one-network" and wanted > MOST_IN_A_NETWORK:
        return f"{words}: write load.sources: {wanted}, scattered, or widen the tolerance"
    return f"{words}: raise load.sources"
