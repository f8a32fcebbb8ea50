"""The pools of addresses: each family has all, and none of them overlap."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from itertools import combinations

import pytest

from harness.hosts.address_plan import INSTANCES_PER_BRIDGE, IPV4, PLANS, AddressPlan, Clients

_MOST_INSTANCES = 64_000
_OF = {"ipv4": "198.18.0.0/15", "ipv6": "fd73:616d:6570::/48"}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_plan_keeps_its_pools_inside_its_own_network_and_apart(plan: AddressPlan) -> None:
    """Clients outside and inside, instances on bridges, containers, the engine's own."""
    whole = ip_network(_OF[plan.family])
    pools = [ip_network(one) for one in (plan.external_sources, plan.local_sources, plan.engine_pool)]
    pools.append(ip_network(f"{plan.endpoint}/{whole.max_prefixlen}"))
    pools.append(ip_network(f"{plan.client}/{whole.max_prefixlen}"))
    for instances in (plan.bridges, plan.containers):
        pools_with = [*pools, ip_network(instances)] if instances != plan.bridges else pools
        assert all(pool.subnet_of(whole) for pool in pools_with)  # type: ignore[arg-type]  # one family
        assert not any(one.overlaps(other) for one, other in combinations(pools_with, 2))


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_plan_gives_every_instance_an_address_of_its_own_behind_its_gateway(plan: AddressPlan) -> None:
    """Up to the most that a host can hold; no gateway is an instance's address."""
    addresses = {plan.instance(position) for position in range(_MOST_INSTANCES)}
    gateways = {plan.gateway(bridge) for bridge in range(_MOST_INSTANCES // INSTANCES_PER_BRIDGE)}
    assert len(addresses) == _MOST_INSTANCES
    assert not addresses & gateways
    bridges = ip_network(plan.bridges)
    assert all(ip_address(one) in bridges for one in addresses | gateways)
    first = ip_network(f"{plan.gateway(1)}/{plan.bridge_bits}", strict=False)
    assert ip_address(plan.instance(INSTANCES_PER_BRIDGE)) in first
    assert ip_address(plan.instance(INSTANCES_PER_BRIDGE - 1)) not in first


def test_plan_gives_the_ipv4_addresses_that_results_name() -> None:
    """Those of results that are stored, and of the documentation."""
    assert (IPV4.endpoint, IPV4.client, IPV4.container_gateway) == (
        "198.18.37.99",
        "198.18.100.1",
        "198.19.0.1",
    )
    assert IPV4.sources("external", 2) == ("198.18.128.1", "198.18.128.2")
    assert IPV4.sources("local", 1) == ("198.18.192.1",)
    assert (IPV4.instance(0), IPV4.gateway(0), IPV4.instance(1000)) == (
        "198.19.0.2",
        "198.19.0.1",
        "198.19.4.2",
    )


def test_addresses_are_scattered_unless_a_scenario_says_otherwise() -> None:
    """Drawn by the seed from the whole pool: the next seed draws others, the same seed the same."""
    drawn = IPV4.sources("external", Clients(256, "scattered", 1))
    assert len(set(drawn)) == 256
    assert drawn == IPV4.sources("external", Clients(256, "scattered", 1))
    assert drawn != IPV4.sources("external", Clients(256, "scattered", 2))
    assert len({address.rpartition(".")[0] for address in drawn}) > 50
    numbers = [int(ip_address(address)) for address in drawn]
    assert numbers != sorted(numbers)
