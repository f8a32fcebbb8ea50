"""Provision: a host, an engine on it, and instances that listen; and its end, tear down."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.engines import ENGINES
from harness.hosts import HOSTS
from harness.load.driver import Driver
from harness.runner.setup import find_images, make_engine, require_programs

if TYPE_CHECKING:
    from harness.engines.base import Engine
    from harness.runner.phases import Phases
    from harness.runner.setup import AnyHost
    from harness.scenario import Scenario
    from harness.strategies.base import Strategy
    from harness.types import Member


@dataclass(frozen=True)
class Provisioned:
    """A host on which the instances of a scenario listen.

    Attributes
    ----------
    scenario, strategy
        What is run.
    host, engine
        The throw-away machine, and what runs instances on it.
    driver
        The load generator, which gets ready by itself.
    members
        The instances as the strategy sees them, in the scenario's order.
    """

    scenario: Scenario
    strategy: Strategy
    host: AnyHost
    engine: Engine
    driver: Driver
    members: tuple[Member, ...]


def provision(scenario: Scenario, strategy: Strategy, host: AnyHost, phases: Phases) -> Provisioned:
    """Start the host, an engine on it, and the instances.

    Raises
    ------
    HarnessError
        A part is missing, or does not start.
    """
    here, images = HOSTS[scenario.host].here, None
    if ENGINES.find(scenario.engine).images:
        with phases("images", "images"):
            images = find_images(scenario, strategy, phases.progress.heading)
    if not here:
        with phases("machine", "virtual machine"):
            host.start()
        require_programs(scenario, strategy, host)
    with phases("provision", "provisioning", f"{scenario.replicas} instances on {scenario.host}"):
        if here:
            host.start()
        driver = Driver(host)  # it imports Locust while the instances start
        engine = make_engine(scenario, host, strategy, images)
        host.link()
        members = _started(scenario, engine) if images is None else ()
    if images is not None:
        with phases("engine", "engine", engine.title):
            engine.prepare()
        with phases("instances", "instances", f"{scenario.replicas} containers"):
            members = _started(scenario, engine)
    return Provisioned(scenario, strategy, host, engine, driver, members)


def _started(scenario: Scenario, engine: Engine) -> tuple[Member, ...]:
    instances, routes = scenario.instances(), scenario.routes_by_instance()
    members = engine.start(list(instances), weights=instances)
    return tuple(replace(member, route=routes.get(member.name)) for member in members)


def tear_down(lab: Provisioned, phases: Phases) -> None:
    """End the generator, and the host with everything on it."""
    with phases("teardown", "teardown"):
        lab.driver.quit()
        lab.host.close()
