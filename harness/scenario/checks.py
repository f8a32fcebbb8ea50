"""Checks of a scenario as a whole: whether its routes and its events fit the rest of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from harness.common.quantities import format_duration
from harness.engines import ENGINES, engines_able
from harness.faults import FAULTS
from harness.faults.planning import plan_faults
from harness.faults.population import ImpossibleError
from harness.hosts import HOSTS
from harness.scenario.problems import refuse
from harness.strategies import find_strategy, strategy_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_core import PydanticCustomError

    from harness.faults.population import PlannedFault
    from harness.scenario.application import Application
    from harness.scenario.events import Event
    from harness.scenario.load import Load
    from harness.scenario.routes import Route
    from harness.strategies.base import Options
    from harness.strategies.capabilities import Capabilities


class Chosen(Protocol):
    """A strategy with its options."""

    @property
    def name(self) -> str:
        """The strategy's name."""

    @property
    def options(self) -> Options:
        """Its options."""

    @property
    def can(self) -> Capabilities:
        """What it can do with these options."""


class Checked(Protocol):
    """What is checked of a scenario (`harness.scenario.model.Scenario` says what each means)."""

    @property
    def host(self) -> str:
        """The throw-away machine."""

    @property
    def engine(self) -> str:
        """What runs an instance."""

    @property
    def strategy(self) -> Chosen:
        """The strategy and its options."""

    @property
    def routes(self) -> Mapping[str, Route]:
        """Several applications behind the one port, by name."""

    @property
    def replicas(self) -> int:
        """How many instances there are at the beginning."""

    @property
    def weights(self) -> Mapping[str, int]:
        """Each instance's share of the load, in relation to the others'."""

    @property
    def application(self) -> Application:
        """What every instance runs."""

    @property
    def load(self) -> Load:
        """What the clients do."""

    @property
    def events(self) -> Sequence[Event]:
        """What happens to instances."""

    @property
    def membership(self) -> str:
        """Whether changes of members are pushed to the strategy."""

    def instances(self) -> Mapping[str, int]:
        """Give the weights of those that are there at the beginning, by their names."""


def require_routable(scenario: Checked) -> None:
    """Check that a scenario's strategy and its load support its routes.

    Raises
    ------
    PydanticCustomError
        They can't; it is located where that stands in the file.
    """
    if scenario.routes and (problem := _of_strategy(scenario) or _of_members(scenario) or _of_load(scenario)):
        raise problem


def _of_strategy(scenario: Checked) -> PydanticCustomError | None:
    strategy = scenario.strategy
    if strategy.can.routes:
        return None
    able = [name for name in strategy_names() if find_strategy(name).default_capabilities().routes]
    if strategy.name not in able:
        words = (
            f"routes: {strategy.name} leads each request to any instance, on any route; take them "
            f"out, or take one of: {', '.join(able)}"
        )
        return refuse(words, "routes", complete=True, impossible=True)
    words = f"{strategy.name} routes to instances of its configuration alone; write discovery: static"
    return refuse(words, "strategy.discovery", "routes", impossible=True)


def _of_members(scenario: Checked) -> PydanticCustomError | None:
    routes = scenario.routes
    if scenario.replicas != (there := sum(route.replicas for route in routes.values())):
        words = f"{scenario.replicas} is not what the routes have together ({there}); take it out"
        return refuse(words, "replicas")
    known = [name for route, one in routes.items() for name in one.instances(route)]
    for name in scenario.weights:
        if name not in known:
            some = ", ".join(known[:3]) + (", ..." if len(known) > 3 else "")
            return refuse(f"is the name of no route's instance; write some of {some}", f"weights.{name}")
    if scenario.events:
        words = "events: instances of routes can't come and go; take out the one or the other"
        return refuse(words, "events", complete=True)
    if scenario.membership != "static":
        words = "instances of routes can't come and go; write membership: static"
        return refuse(words, "membership")
    return None


def _of_load(scenario: Checked) -> PydanticCustomError | None:
    load, unit = scenario.load, scenario.strategy.can.unit
    by_path = any(route.path is not None for route in scenario.routes.values())
    if load.locustfile is not None:
        words = "a locustfile decides the requests, so routes have no effect; take out the one or the other"
        return refuse(words, "load.locustfile")
    if by_path and load.path != "/":
        return refuse("routes by path set the path of requests; take it out", "load.path")
    if not by_path and (host := next((name for name in load.headers if name.lower() == "host"), None)):
        return refuse("routes by host set the host of requests; take it out", f"load.headers.{host}")
    if load.until is not None and unit in {"source", "network"}:
        words = "a verdict on client addresses of several routes is not waited for; take it out"
        return refuse(words, "load.until")
    return None


def require_able(scenario: Checked) -> None:
    """See that a scenario's events can happen, under its load and to its strategy's members.

    Raises
    ------
    PydanticCustomError
        One can't; it is located where it stands in the file.
    """
    health, options = scenario.application.health, scenario.strategy.options
    checks = getattr(options, "health_checks", False) and scenario.strategy.can.health_checks
    if health is not None and health.tcp and checks and not scenario.strategy.can.tcp_checks:
        name = scenario.strategy.name
        words = f"health: {name} checks by requests alone; write a path, as in {{path: /ready}}"
        raise refuse(words, "application.health", "strategy.health_checks", complete=True)
    if scenario.load.until is not None and scenario.strategy.can.unit == "network":
        words = "a verdict on clients' networks is not waited for, of which there are few; take it out"
        raise refuse(words, "load.until", complete=True)
    if scenario.events and scenario.load.until is not None:
        words = "until: verdict may end the load before anything happens; take it out"
        raise refuse(words, "load.until", "events", complete=True)
    for place, event in enumerate(scenario.events):
        _require_in_time(scenario, place, event)
        _require_sample(scenario, place, event)
        _require_strategy(scenario, place, event)
    try:
        steps = plan_faults(scenario.events, scenario.instances())
    except ImpossibleError as error:
        words = f"at {format_duration(scenario.events[error.place].at_ns)}, {error.key}: {error}"
        raise refuse(words, f"events.{error.place}.{error.key}", complete=True) from None
    _require_room(scenario, steps)


def _require_room(scenario: Checked, steps: Sequence[PlannedFault]) -> None:
    """See that the machine has room for all that ever come, and the strategy for all that it is told of."""
    engine, strategy = ENGINES.find(scenario.engine), scenario.strategy
    room = HOSTS[scenario.host].most_replicas
    room = min(room, engine.most_replicas or room)
    can = strategy.can
    told = can.watcher or scenario.membership == "followed"
    all_instances = set(scenario.instances())
    members = set(all_instances)
    for step in steps:
        all_instances.update(step.joined)
        kind = FAULTS.find(step.action)
        # A replacement changes the members itself, with a watcher or without.
        if kind.switches or told:
            members.difference_update(step.members if kind.ends else ())
            members.update(step.joined)
        if not step.joined:
            continue
        place = next(place for place, event in enumerate(scenario.events) if event is step.event)
        at = f"events.{place}.{step.action}"
        words = f"at {format_duration(step.at_ns)}, {step.action}:"
        if len(all_instances) > room:
            words += f" {len(all_instances)} instances in all are too many; {room} are possible"
            raise refuse(words, at, complete=True)
        if can.discovery == "pushed" and len(members) > (most := can.most_members or len(members)):
            words += f" {len(members)} instances are too many; {strategy.name} has {most} at most"
            raise refuse(words, at, complete=True, impossible=True)


def _require_in_time(scenario: Checked, place: int, event: Event) -> None:
    ends_ns = event.at_ns + (event.for_ns or 0)
    if ends_ns >= scenario.load.duration_ns:
        words = f"at {format_duration(ends_ns)} the load is over (load.duration: "
        words += f"{format_duration(scenario.load.duration_ns)})"
        raise refuse(words, f"events.{place}.{'for' if event.for_ns else 'at'}", complete=True)


def _require_sample(scenario: Checked, place: int, event: Event) -> None:
    app, new = scenario.application, event.application
    images = ENGINES.find(scenario.engine).images
    if event.kind.sample and (app.command or app.image) is not None:
        words = f"{event.action}: only the sample can do that; take it out, or the command or image"
        raise refuse(words, f"events.{place}.{event.action}", complete=True)
    if new is None:
        return
    if new.image is not None and not images:
        able = engines_able(lambda kind: kind.images)
        words = f"engine {scenario.engine!r} runs commands, no images; write a command, or engine: {able}"
        raise refuse(words, f"events.{place}.application.image", complete=True)
    if images and new.command and not (new.image or app.image):
        words = (
            f"engine {scenario.engine!r} runs images; say which image has this command: write image as well"
        )
        raise refuse(words, f"events.{place}.application.command", complete=True)


def _require_strategy(scenario: Checked, place: int, event: Event) -> None:
    strategy = scenario.strategy
    if event.kind.joins and not strategy.can.joinable:
        words = f"{event.action}: {strategy.name} leads to one instance, so none can join"
        raise refuse(words, f"events.{place}.{event.action}", complete=True, impossible=True)
    if event.weights and not strategy.can.weights:
        words = f"weights: {strategy.name} can't give instances different shares; take them out"
        raise refuse(words, f"events.{place}.weights", complete=True, impossible=True)
