"""A scenario: one YAML file as frozen models, wrong files as errors with their places.

In a file, keys have no units and quantities do (`duration: 10s`); in Python it is the other way round
(``duration_ns=10_000_000_000``).
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from pydantic import (
    Field,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from harness.engines import ENGINES
from harness.errors import StrategyError
from harness.hosts import DEFAULT_SOURCES, HOSTS, MOST_SOURCES
from harness.scenario.base import Model as _Model
from harness.scenario.events import Event, require_able
from harness.scenario.fields import (
    WRITTEN,
    Command,
    Confidence,
    Connections,
    Cores,
    Duration,
    EnvironmentName,
    ExistingFile,
    HeaderName,
    HeaderValue,
    ImageReference,
    InstanceName,
    LastingDuration,
    LoadHeaderName,
    Memory,
    Name,
    Pattern,
    Port,
    ProgramText,
    Rate,
    RouteName,
    Tolerance,
    UrlPath,
    Weight,
)
from harness.scenario.problems import expected, refuse, unknown
from harness.scenario.quantities import SECOND_NS, format_duration, parse_duration
from harness.scenario.recovers import Required
from harness.scenario.routes import Route, replicas_in_all, require_routable, require_unlike
from harness.scenario.script import script
from harness.strategies import find_strategy, strategy_names
from harness.strategies.base import Options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.scenario.script import Step
    from harness.strategies import base as strategies
    from harness.strategies.base import Strategy


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


class Identity(_Model):
    """How an answer says which instance gave it: a header, or a place in the body."""

    header: HeaderName | None = Field(
        default="X-Instance", description="The header that holds the instance's name."
    )
    body: Pattern | None = Field(
        default=None, description="A regular expression; its one group finds the instance's name in the body."
    )

    @model_validator(mode="before")
    @classmethod
    def _body_alone(cls, given: Any) -> Any:
        return {"header": None} | given if isinstance(given, dict) and "body" in given else given

    @model_validator(mode="after")
    def _just_one(self) -> Self:
        if (self.header is None) == (self.body is None):
            raise refuse("header and body exclude each other; keep one", "identity.body")
        return self


class Application(_Model):
    """What every instance runs; with neither command nor image, the built-in sample."""

    command: Command | None = Field(
        default=None,
        description="The program and its arguments, a list or one text that is split like a shell's words.",
    )
    image: ImageReference | None = Field(
        default=None,
        description="A container image, on an engine that runs images; a command is then its arguments.",
    )
    port: Port = Field(default=8080, description="Where each instance listens.")
    identity: Identity = Field(default=Identity(), description="How an answer says which instance gave it.")
    env: dict[EnvironmentName, ProgramText] = Field(
        default={}, description="Environment variables of every instance."
    )
    delay_ns: Duration = Field(default=0, description="How long the sample waits before each answer.")
    start_timeout_ns: LastingDuration = Field(
        default=10 * SECOND_NS, description="How long all instances may take to listen."
    )

    @field_validator("delay_ns")
    @classmethod
    def _sample_only(cls, delay_ns: int, info: ValidationInfo) -> int:
        if delay_ns and (info.data.get("command") or info.data.get("image")) is not None:
            raise ValueError("only the sample can wait; take out delay, or the command or image")
        return delay_ns


class Limits(_Model):
    """What one container may use."""

    cpus: Cores | None = Field(
        default=None, strict=False, description="Processor cores, as in 0.5; all, if left out."
    )
    memory_bytes: Memory | None = Field(
        default=None, description="Memory, as in 64m; if left out, 512m for an instance and 4g for a proxy."
    )


class Resources(_Model):
    """What containers may use; `cpus` and `memory` without saying whose are for each container."""

    instances: Limits = Field(default=Limits(), description="Each instance.")
    proxy: Limits = Field(default=Limits(), description="The strategy's proxy, where it has one.")

    @model_validator(mode="before")
    @classmethod
    def _for_both(cls, given: Any) -> Any:
        if not isinstance(given, dict) or not (common := {"cpus", "memory"} & given.keys()):
            return given
        if len(given) > len(common):
            raise refuse("write cpus and memory either for all, or for instances and for proxy", "resources")
        return {"instances": given, "proxy": given}


class Stage(_Model):
    """One rate of arrivals, or one number of users, for a while."""

    rate_per_s: Rate | None = Field(default=None, description="How often requests arrive (open loop).")
    users: int | None = Field(
        default=None, ge=0, le=100_000, description="How many users there are (closed loop)."
    )
    for_ns: LastingDuration = Field(description="How long.")


MOST_RATE_PER_S: Final = 1_000_000
OPEN_USERS: Final = 1000
"""Requests that may be under way at a time in an open loop, where a scenario doesn't say."""


class Load(_Model):
    """What the clients do."""

    model: Literal["closed", "open"] = Field(
        default="closed",
        description="closed: each user asks again when it has its answer; open: requests arrive at a rate, "
        "whether or not earlier ones are answered.",
    )
    user: Literal["wire", "gevent", "http"] = Field(
        default="wire",
        description="What sends the requests: the compiled data plane, Locust users of plain Python, or "
        "Locust's full HTTP client (FastHttpUser).",
    )
    locustfile: ExistingFile | None = Field(
        default=None,
        description="A file of Locust's whose user classes ask, in place of all of these, what they like.",
    )
    users: int = Field(
        default=16,
        ge=1,
        le=100_000,
        description="How many users ask at the same time; in an open loop, how many requests may be under "
        f"way at most ({OPEN_USERS:,} if left out).",
    )
    workers: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="How many processes share the load: from two on Locust's workers, with a master.",
    )
    spawn_rate_per_s: Rate | None = Field(
        default=None, description="How fast users come in a closed loop; all at once, if left out."
    )
    rate_per_s: Rate | None = Field(default=None, description="How often requests arrive in an open loop.")
    stages: tuple[Stage, ...] | None = Field(
        default=None,
        strict=False,  # a file has lists
        json_schema_extra={"minItems": 1},
        description="In place of duration, one after the other: rates of an open loop, in place of its rate, "
        "or numbers of users of a closed one.",
    )
    arrivals: Literal["constant", "poisson"] = Field(
        default="constant",
        description="constant: arrivals have equal distances; poisson: they come at random (seed), "
        "independently of each other.",
    )
    duration_ns: LastingDuration = Field(
        default=10 * SECOND_NS, description="How long the load is measured, after the warm-up."
    )
    warm_up_ns: Duration = Field(
        default=2 * SECOND_NS, description="How long the load runs before it is measured."
    )
    requests: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000_000,
        description="After how many requests of all users together the measured load ends, if duration does "
        "not end it before.",
    )
    until: Literal["verdict"] | None = Field(
        default=None,
        description="verdict: the measured load ends as soon as the counts suffice for one; duration and "
        "requests are then the most that it may take.",
    )
    connections: Connections = Field(
        default="per-request",
        description="A new connection for each request, one kept for all, or one for this many requests.",
    )
    close: Literal["fin", "reset"] = Field(
        default="fin", description="How the clients end their connections: in order, or by a reset."
    )
    path: UrlPath = Field(default="/", description="What is asked for.")
    headers: dict[LoadHeaderName, HeaderValue] = Field(default={}, description="Headers of every request.")
    timeout_ns: LastingDuration = Field(default=5 * SECOND_NS, description="How long one request may take.")
    sources: int = Field(
        default=DEFAULT_SOURCES,
        ge=1,
        le=MOST_SOURCES,
        description="How many addresses the clients have; each connection is made from the next.",
    )

    @model_validator(mode="before")
    @classmethod
    def _implied(cls, given: Any, info: ValidationInfo) -> Any:
        """Complete what the model and its stages imply."""
        if info.context != WRITTEN or not isinstance(given, dict):
            return given
        implied: dict[str, Any] = {"users": OPEN_USERS} if given.get("model") == "open" else {}
        with suppress(KeyError, TypeError, ValueError):  # whatever is wrong with them is told below
            if given["stages"]:
                implied["duration"] = format_duration(
                    sum(parse_duration(stage["for"]) for stage in given["stages"])
                )
        return implied | given

    @field_validator("rate_per_s", "spawn_rate_per_s")
    @classmethod
    def _of_its_loop(cls, rate_per_s: float | None, info: ValidationInfo) -> float | None:
        model = info.data.get("model")
        if rate_per_s is None:
            return None
        if info.field_name == "rate_per_s" and model == "closed":
            raise ValueError("a closed loop has no rate; take it out and write users, or write model: open")
        if info.field_name == "spawn_rate_per_s" and model == "open":
            raise ValueError("users of an open loop don't come one by one; take it out")
        if not 0 < rate_per_s <= MOST_RATE_PER_S:
            raise ValueError(f"write more than 0/s and at most {MOST_RATE_PER_S}/s")
        return rate_per_s

    @field_validator("stages")
    @classmethod
    def _of_one_kind(cls, stages: tuple[Stage, ...] | None, info: ValidationInfo) -> tuple[Stage, ...] | None:
        if stages is None:
            return None
        opens = info.data.get("model") == "open"
        example = "{rate: 100/s, for: 10s}" if opens else "{users: 16, for: 10s}"
        if not stages:
            raise ValueError(f"is empty; write at least one, as in [{example}]")
        if any((stage.rate_per_s is not None) != opens or (stage.users is None) != opens for stage in stages):
            what = (
                "an open loop has a rate, and no users" if opens else "a closed loop has users, and no rate"
            )
            raise ValueError(f"each stage of {what}, as in {example}")
        if not opens and info.data.get("user") != "wire":
            raise ValueError("only the compiled data plane takes users away in order; write user: wire")
        return stages

    @field_validator("user")
    @classmethod
    def _wire_opens(cls, user: str, info: ValidationInfo) -> str:
        if user != "wire" and info.data.get("model") == "open":
            raise ValueError("only the compiled data plane drives an open loop; write user: wire")
        return user

    @property
    def most_users(self) -> int:
        """How many users there are at a time, at most."""
        return max([stage.users for stage in self.stages or () if stage.users] or [self.users])

    @model_validator(mode="after")
    def _locustfiles_decide_for_themselves(self) -> Self:
        if self.locustfile is None:
            return self
        if self.model == "open":
            raise refuse(
                "a locustfile's users wait for answers; write model: closed", "load.model", complete=True
            )
        if self.requests is not None:
            words = "a locustfile's users ask as often as they like; take out requests, and write duration"
            raise refuse(words, "load.requests", complete=True)
        return self

    @model_validator(mode="after")
    def _one_rate_at_a_time(self) -> Self:
        if self.model == "closed" and self.stages and self.spawn_rate_per_s:
            words = "stages say how many users there are when; take out spawn_rate"
            raise refuse(words, "load.spawn_rate", complete=True)
        if self.model == "open" and (self.rate_per_s is None) == (self.stages is None):
            words = (
                "rate and stages exclude each other; keep one"
                if self.stages
                else "an open loop needs a rate; write rate: 200/s, or stages"
            )
            raise refuse(words, "load.stages" if self.stages else "load.model", complete=True)
        if self.stages and (lasts_ns := sum(stage.for_ns for stage in self.stages)) != self.duration_ns:
            raise refuse(
                f"load.duration ({format_duration(self.duration_ns)}) is not what the stages last together "
                f"({format_duration(lasts_ns)}); take it out",
                "load.duration",
                "load.stages",
                complete=True,
            )
        return self

    @model_validator(mode="after")
    def _not_mostly_warm_up(self) -> Self:
        if self.duration_ns < self.warm_up_ns:
            raise refuse(
                f"load.warm_up ({format_duration(self.warm_up_ns)}) is longer than load.duration "
                f"({format_duration(self.duration_ns)}); shorten the one or lengthen the other",
                "load.warm_up",
                "load.duration",
                complete=True,
            )
        return self


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
        json_schema_extra={"enum": [*sorted(ENGINES)]},
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
        description="static: nobody tells the strategy of instances that come or go, which it may find out "
        "by itself; followed: a watcher of the engine's events changes the members accordingly.",
    )
    recovers: Required | None = Field(
        default=None,
        description="How soon the strategy has to recover from each event, and how little it may lose, for "
        "the run to pass.",
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

    def script(self) -> list[Step]:
        """Give what happens to instances, one step after the other."""
        return script(self.events, self.instances())

    def everybody(self) -> tuple[str, ...]:
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
    def _first_engine_of_host(cls, given: Any) -> Any:
        if isinstance(given, dict) and "engine" not in given and (kind := HOSTS.get(str(given.get("host")))):
            return given | {"engine": kind.engines[0]}
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
        if engine not in ENGINES:
            raise refuse(unknown("engine", engine, sorted(ENGINES)), complete=True)
        host = info.data.get("host")
        if host and engine not in HOSTS[host].engines:
            engines = ", ".join(HOSTS[host].engines)
            raise refuse(f"host {host!r} has no engine {engine!r} (its engines: {engines})", "engine", "host")
        return engine

    @field_validator("strategy")
    @classmethod
    def _strategy_on_engine(cls, strategy: StrategyChoice, info: ValidationInfo) -> StrategyChoice:
        engines, engine = find_strategy(strategy.name).engines, info.data.get("engine")
        if engine and engine not in engines:
            names = ", ".join(sorted(engines))
            words = f"{strategy.name} doesn't run on engine {engine!r} (its engines: {names})"
            raise refuse(words, impossible=True)
        if engine and not ENGINES[engine].images and strategy.made().asks_engine:
            able = " or ".join(name for name, kind in ENGINES.items() if kind.images)
            words = f"engine {engine!r} has no containers for {strategy.name} to find; write engine: {able}"
            key = "program" if "program" in type(strategy.options).model_fields else "discovery"
            raise refuse(words, f"strategy.{key}", impossible=True)
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
        if engine and replicas > (most := ENGINES[engine].most_replicas or replicas):
            raise ValueError(f"{replicas} is too many; engine {engine!r} runs {most} at most")
        return replicas

    @field_validator("replicas")
    @classmethod
    def _no_more_than_the_strategy_takes(cls, replicas: int, info: ValidationInfo) -> int:
        strategy = info.data.get("strategy")
        if strategy and replicas > (most := find_strategy(strategy.name).most_members or replicas):
            raise refuse(f"{replicas} is too many; {strategy.name} has {most} at most", impossible=True)
        return replicas

    @field_validator("weights")
    @classmethod
    def _weights_of_instances(cls, weights: dict[str, int], info: ValidationInfo) -> dict[str, int]:
        strategy, replicas = info.data.get("strategy"), info.data.get("replicas")
        if weights and strategy and not strategy.made().weights:
            able = [name for name in strategy_names() if find_strategy(name).weights]
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
        if engine and resources != Resources() and not ENGINES[engine].images:
            able = " or ".join(name for name, kind in ENGINES.items() if kind.images)
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
        if application.image is not None and not ENGINES[engine].images:
            words = f"engine {engine!r} runs commands, no images; write a command, or engine: docker"
            raise refuse(words, "application.image")
        if ENGINES[engine].images and application.command and not application.image:
            words = f"engine {engine!r} runs images; say which image has this command: write image as well"
            raise refuse(words, "application.command")
        return application


def _numbered(replicas: int) -> list[str]:
    return [f"instance-{k}" for k in range(1, replicas + 1)]
