"""A scenario: one YAML file as frozen models, wrong files as errors with their places.

In a file, keys have no units and quantities do (`duration: 10s`); in Python it is the other way round
(``duration_ns=10_000_000_000``).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import (
    Field,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from harness.engines import ENGINES, engine_kinds, engines_able
from harness.engines.workload import Limits, Workload
from harness.errors import StrategyError
from harness.faults.planning import plan_faults
from harness.hosts import HOSTS
from harness.hosts.address_plan import Clients
from harness.scenario.application import Application, Resources
from harness.scenario.base import Model as _Model
from harness.scenario.checks import require_able, require_routable
from harness.scenario.events import Event, Release
from harness.scenario.fields import (
    WRITTEN,
    Confidence,
    ErrorLimit,
    InstanceName,
    Name,
    Port,
    RouteName,
    Tolerance,
    Weight,
)
from harness.scenario.load import Load
from harness.scenario.problems import expected, refuse, unknown
from harness.scenario.recovers import Required
from harness.scenario.routes import Route, replicas_in_all, require_unlike
from harness.strategies import find_strategy, strategy_names
from harness.strategies.base import Options
from harness.types import Health

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.faults.population import PlannedFault
    from harness.strategies import base as strategies
    from harness.strategies.base import Strategy
    from harness.strategies.capabilities import Capabilities


class StrategyChoice(_Model):
    """A strategy and its options, which are those of its class's `options_model`."""

    name: str
    options: Options

    @model_validator(mode="before")
    @classmethod
    def _from_file(cls, written: Any, info: ValidationInfo) -> Any:
        if info.context != WRITTEN:
            return written
        if not isinstance(written, dict):
            raise refuse(expected("a strategy's name, or a mapping with it", written))
        if not isinstance(name := written.get("name"), str):
            return {key: written[key] for key in written if key == "name"} | {"options": Options()}
        options = json.dumps({key: written[key] for key in written if key != "name"})
        # As JSON, because strictness then still lets lists be tuples and text be enumerations.
        return {
            "name": name,
            "options": _strategy(name).options_model.model_validate_json(options, strict=True),
        }

    @property
    def can(self) -> Capabilities:
        """Tell what the strategy can do with these options."""
        return find_strategy(self.name).capabilities(self.options)

    def made(self) -> Strategy:
        """Make the strategy itself."""
        return find_strategy(self.name)(self.options)

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        return {"name": self.name} | self.options.model_dump(mode="json", by_alias=True, exclude_none=True)


def _strategy(name: str) -> type[Strategy]:
    try:
        return find_strategy(name)
    except KeyError:
        words = unknown("strategy", name, strategy_names())
        raise refuse(words, "strategy.name", complete=True) from None
    except StrategyError as error:
        raise refuse(str(error), "strategy.name", complete=True) from None


class Scenario(_Model):
    """One measurement: what runs, where, behind which strategy, under which load, and what is expected."""

    name: Name = Field(
        description="Names the result's folder; the file's name without its ending, if left out."
    )
    description: str = Field(default="", description="What the scenario is for.")
    host: str = Field(
        default="netns", description="The throw-away machine.", json_schema_extra={"enum": [*sorted(HOSTS)]}
    )
    engine: str = Field(
        default="process",
        validate_default=True,
        description="What runs an instance on the host; docker on host vagrant, if left out.",
        json_schema_extra=lambda schema: schema.update(enum=[*ENGINES.names()]),
    )
    strategy: StrategyChoice = Field(description="The way to put all instances on one port.")
    routes: dict[RouteName, Route] = Field(
        default={},
        description="Several applications behind the one port: by name, which requests are for which "
        "instances, by path or by host.",
    )
    replicas: int = Field(ge=1, description="How many instances.")
    weights: dict[InstanceName, Weight] = Field(
        default={},
        description="What share of the load each instance is to get, in relation to the others'. The keys "
        "are the instances' names; of instance-1, instance-2, ..., those left out have weight 1.",
    )
    client: Literal["external", "local"] = Field(
        default="external", description="Where the load comes from: another machine, or the host itself."
    )
    port: Port = Field(default=80, description="The endpoint's port, the one that clients know.")
    application: Application = Field(default=Application(), description="What every instance runs.")
    resources: Resources = Field(
        default=Resources(), description="What containers may use, on an engine that runs images."
    )
    load: Load = Field(default=Load(), description="What the clients do.")
    events: tuple[Event, ...] = Field(
        default=(),
        strict=False,  # a file has lists
        description="What happens to instances while the load is measured.",
    )
    membership: Literal["static", "followed"] = Field(
        default="static",
        description="static: the strategy gets no message of instances that come or go; it may find out by "
        "itself; followed: a watcher of the engine's events changes the members accordingly.",
    )
    recovers: Required | None = Field(
        default=None,
        description="How soon the strategy has to recover from each event, and how little it may lose, for "
        "the run to pass.",
    )
    errors: ErrorLimit = Field(
        default=0.001,
        description="What share of the requests may fail, up to the first event, for the run to pass.",
    )
    tolerance: Tolerance = Field(
        default=0.10,
        description="How far from its intended share, relative to it, an instance may be.",
    )
    confidence: Confidence = Field(default=0.95, description="How sure a verdict must be.")
    expect: Literal["even", "uneven", "inconclusive", "refused"] = Field(
        default="even",
        description="The verdict that lets the run pass; refused where the strategy can't do it.",
    )
    seed: int = Field(default=0, ge=0, le=2**63 - 1, description="Seeds whatever chance the load contains.")
    repeat: int = Field(default=1, ge=1, le=1000, description="How many times the scenario is run.")

    def as_written(self) -> dict[str, Any]:
        """Give the complete scenario in a file's own words; loading it again gives an equal one."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def instances(self) -> dict[str, int]:
        """Give each instance's name and weight, those of one route after the other."""
        if self.routes:
            names = [name for route in self.routes for name in self.routes[route].instances(route)]
            return {name: self.weights.get(name, 1) for name in names}
        if self._names_all(self.weights, self.replicas):
            return dict(self.weights)
        return {name: self.weights.get(name, 1) for name in _numbered(self.replicas)}

    def routes_by_instance(self) -> dict[str, strategies.Route]:
        """Give each instance's route, by the instance's name; empty without routes."""
        return {
            name: route.for_strategy(of) for of, route in self.routes.items() for name in route.instances(of)
        }

    def script(self) -> list[PlannedFault]:
        """Give what happens to instances, one step after the other."""
        return plan_faults(self.events, self.instances())

    def health(self) -> Health:
        """Give how instances tell that they are well: as the application says, or else by what it is."""
        if (own := self.application.health) is not None:
            return own.told()
        if self.strategy.can.layer == 4:
            return Health(tcp=True)
        given: list[Application | Release] = [self.application]
        given += [event.application for event in self.events if event.application]
        if all(one.command is None and one.image is None for one in given):
            return Health("/healthz")  # which the sample does not count
        return Health("" if any(route.path is not None for route in self.routes.values()) else self.load.path)

    def made_strategy(self) -> Strategy:
        """Make the strategy, which knows how this application tells that it is well."""
        strategy = self.strategy.made()
        strategy.health = self.health()
        return strategy

    def remarks(self) -> tuple[str, ...]:
        """Give what is to be known of the strategy's choices before a run."""
        return self.strategy.made().remarks(self.instances().values())

    def clients(self) -> Clients:
        """Give the addresses that clients are to have."""
        sources = self.load.sources
        return Clients(sources.count, sources.pattern, self.seed)

    def workload(self) -> Workload:
        """Give what the engine is to run."""
        app, resources = self.application, self.resources
        return Workload(
            command=app.command,
            image=app.image,
            env=app.env,
            port=app.port,
            endpoint_port=self.port,
            delay_ns=app.delay_ns,
            start_timeout_ns=app.start_timeout_ns,
            most=len(self.all_instances()),
            ready=None if app.health is None else app.health.told(),
            limits=Limits(**resources.instances.model_dump()),
            proxy_limits=Limits(**resources.proxy.model_dump()),
        )

    def all_instances(self) -> tuple[str, ...]:
        """Name all instances that there ever are, in the order of their coming, initial ones first.

        One that is started again after its end is named once: it is a new process with the old name.
        """
        joined = (name for step in self.script() for name in step.joined)
        return tuple(dict.fromkeys([*self.instances(), *joined]))

    @staticmethod
    def _names_all(weights: Mapping[str, int], replicas: int) -> bool:
        return len(weights) == replicas and not set(weights) <= set(_numbered(replicas))

    @model_validator(mode="before")
    @classmethod
    def _as_many_as_named(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "replicas" in given:
            return given
        if given.get("routes"):
            return given | {"replicas": replicas_in_all(given["routes"]) or 1}
        if isinstance(given.get("weights"), dict):
            return given | {"replicas": len(given["weights"])}
        return given

    @model_validator(mode="before")
    @classmethod
    def _engine_of_host(cls, given: Any) -> Any:
        if isinstance(given, dict) and "engine" not in given and (kind := HOSTS.get(str(given.get("host")))):
            return given | {"engine": kind.engine}
        return given

    @field_validator("routes")
    @classmethod
    def _routes_unlike(cls, routes: dict[str, Route]) -> dict[str, Route]:
        require_unlike(routes)
        return routes

    @model_validator(mode="after")
    def _routes_that_can_be(self) -> Self:
        require_routable(self)
        return self

    @field_validator("host")
    @classmethod
    def _known_host(cls, host: str) -> str:
        if host not in HOSTS:
            raise refuse(unknown("host", host, sorted(HOSTS)), complete=True)
        return host

    @field_validator("engine")
    @classmethod
    def _known_engine(cls, engine: str, info: ValidationInfo) -> str:
        try:
            kind = ENGINES.find(engine)
        except KeyError:
            raise refuse(unknown("engine", engine, ENGINES.names()), complete=True) from None
        host = info.data.get("host")
        if host and host not in kind.hosts:
            own = [kind.name for kind in engine_kinds() if host in kind.hosts]
            engines = ", ".join(sorted(own, key=lambda name: name != HOSTS[host].engine))
            raise refuse(f"host {host!r} has no engine {engine!r} (its engines: {engines})", "engine", "host")
        return engine

    @field_validator("strategy")
    @classmethod
    def _strategy_on_engine(cls, strategy: StrategyChoice, info: ValidationInfo) -> StrategyChoice:
        kind, engine = find_strategy(strategy.name), info.data.get("engine")
        if engine and not kind.runs_on(engine):
            names = ", ".join(sorted(kind.engines or ()))
            words = f"{strategy.name} doesn't run on engine {engine!r} (its engines: {names})"
            raise refuse(words, impossible=True)
        if engine and not ENGINES.find(engine).publishes and strategy.can.asks_engine:
            able = engines_able(lambda kind: kind.publishes)
            words = f"engine {engine!r} has no containers for {strategy.name} to find; write engine: {able}"
            raise refuse(words, f"strategy.{strategy.can.engine_option}", impossible=True)
        return strategy

    @field_validator("replicas")
    @classmethod
    def _room_for_all(cls, replicas: int, info: ValidationInfo) -> int:
        host = info.data.get("host")
        if host and replicas > HOSTS[host].most_replicas:
            most = HOSTS[host].most_replicas
            raise ValueError(
                f"{replicas} is too many; host {host!r} has addresses for {most} instances at most"
            )
        engine = info.data.get("engine")
        if engine and replicas > (most := ENGINES.find(engine).most_replicas or replicas):
            raise ValueError(f"{replicas} is too many; engine {engine!r} runs {most} at most")
        return replicas

    @field_validator("replicas")
    @classmethod
    def _no_more_than_the_strategy_takes(cls, replicas: int, info: ValidationInfo) -> int:
        strategy = info.data.get("strategy")
        if strategy and replicas > (most := strategy.can.most_members or replicas):
            raise refuse(f"{replicas} is too many; {strategy.name} has {most} at most", impossible=True)
        return replicas

    @field_validator("weights")
    @classmethod
    def _weights_of_instances(cls, weights: dict[str, int], info: ValidationInfo) -> dict[str, int]:
        strategy, replicas = info.data.get("strategy"), info.data.get("replicas")
        if weights and strategy and not strategy.can.weights:
            able = [name for name in strategy_names() if find_strategy(name).default_capabilities().weights]
            how = " with these options" if strategy.name in able else ""
            raise refuse(
                f"{strategy.name} can't give instances different shares{how}; take it out, or take one of: "
                f"{', '.join(able)}",
                impossible=True,
            )
        if info.data.get("routes", True):
            return weights  # whether they are of instances is told with all that is wrong with routes
        known = replicas is None or set(weights) <= set(_numbered(replicas))
        if not known and len(weights) != replicas:
            raise ValueError(
                f"names {len(weights)} of {replicas} instances; name all of them, or some of instance-1, "
                f"instance-2, ..."
            )
        return weights

    @model_validator(mode="after")
    def _events_that_can_be(self) -> Self:
        require_able(self)
        return self

    @model_validator(mode="after")
    def _recoverable(self) -> Self:
        moments_ns = [step.at_ns for step in self.script()]
        if self.recovers and (problem := self.recovers.problem(moments_ns, self.load.duration_ns)):
            raise problem
        return self

    @field_validator("application", mode="before")
    @classmethod
    def _known_application(cls, application: Any) -> Any:
        if not isinstance(application, dict | Application):
            raise refuse(expected("sample, or a mapping with a command", application))
        return application

    @field_validator("resources")
    @classmethod
    def _limits_on_engine(cls, resources: Resources, info: ValidationInfo) -> Resources:
        engine = info.data.get("engine")
        if engine and resources != Resources() and not ENGINES.find(engine).limits:
            able = engines_able(lambda kind: kind.limits)
            raise refuse(
                f"engine {engine!r} sets no limits; take it out, or write engine: {able}", "resources"
            )
        return resources

    @field_validator("application")
    @classmethod
    def _application_on_engine(cls, application: Application, info: ValidationInfo) -> Application:
        engine = info.data.get("engine")
        if engine is None:
            return application
        if application.image is not None and not ENGINES.find(engine).images:
            able = engines_able(lambda kind: kind.images)
            words = f"engine {engine!r} runs commands, no images; write a command, or engine: {able}"
            raise refuse(words, "application.image")
        if ENGINES.find(engine).images and application.command and not application.image:
            words = f"engine {engine!r} runs images; say which image has this command: write image as well"
            raise refuse(words, "application.command")
        return application


def _numbered(replicas: int) -> list[str]:
    return [f"instance-{k}" for k in range(1, replicas + 1)]
