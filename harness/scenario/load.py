"""The load profile: users, rate, duration and connections."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final, Literal, Self

from pydantic import (
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from harness.common.quantities import SECOND_NS, format_duration, parse_duration
from harness.hosts import DEFAULT_SOURCES, MOST_IN_A_NETWORK, MOST_SOURCES
from harness.hosts.address_plan import Pattern
from harness.scenario.base import Model
from harness.scenario.fields import (
    WRITTEN,
    Connections,
    Duration,
    ExistingFile,
    HeaderValue,
    LastingDuration,
    LoadHeaderName,
    Rate,
    UrlPath,
)
from harness.scenario.problems import refuse


class Stage(Model):
    """One rate of arrivals, or one number of users, for a while."""

    rate_per_s: Rate | None = Field(default=None, description="How often requests arrive (open loop).")
    users: int | None = Field(
        default=None, ge=0, le=100_000, description="How many users there are (closed loop)."
    )
    for_ns: LastingDuration = Field(description="How long.")


MOST_RATE_PER_S: Final = 1_000_000
OPEN_USERS: Final = 1000
"""Requests that may be under way at a time in an open loop, where a scenario doesn't say."""


class Sources(Model):
    """The addresses that clients have; a plain number is a count of scattered ones."""

    count: int = Field(
        default=DEFAULT_SOURCES,
        ge=1,
        le=MOST_SOURCES,
        description="How many there are; each connection is made from the next.",
    )
    pattern: Pattern = Field(
        default="scattered",
        description="scattered: drawn at random (seed); consecutive: one after the other; one-network: all "
        f"with the same first three bytes, so {MOST_IN_A_NETWORK} at most.",
    )

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, given: Any) -> Any:
        return {"count": given} if isinstance(given, int) and not isinstance(given, bool) else given

    @model_validator(mode="after")
    def _in_one_network(self) -> Self:
        if self.pattern == "one-network" and self.count > MOST_IN_A_NETWORK:
            raise refuse(
                f"one network of /24 has {MOST_IN_A_NETWORK} addresses for clients, and not {self.count:,}; "
                f"write count: {MOST_IN_A_NETWORK}, or another pattern",
                "sources.count",
            )
        return self


class Load(Model):
    """What the clients do."""

    model: Literal["closed", "open"] = Field(
        default="closed",
        description="closed: each user waits for its answer before the next request; open: requests arrive "
        "at a rate, whether or not earlier ones are answered.",
    )
    user: Literal["wire", "gevent", "http"] = Field(
        default="wire",
        description="What sends the requests: the compiled data plane, Locust users of plain Python, or "
        "Locust's full HTTP client (FastHttpUser).",
    )
    locustfile: ExistingFile | None = Field(
        default=None,
        description="A locustfile, whose user classes send the requests in place of all of these.",
    )
    users: int = Field(
        default=16,
        ge=1,
        le=100_000,
        description="How many users there are; in an open loop, how many requests may be in flight "
        f"at most ({OPEN_USERS:,} if left out).",
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
    path: UrlPath = Field(default="/", description="The path of the requests.")
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = Field(
        default="GET", description="The method of the requests."
    )
    body: str | None = Field(
        default=None, max_length=1 << 20, description="What each request carries, in UTF-8."
    )
    think_time_ns: Duration = Field(
        default=0,
        description="How long each user of a closed loop waits between an answer and its next request.",
    )
    headers: dict[LoadHeaderName, HeaderValue] = Field(default={}, description="Headers of every request.")
    timeout_ns: LastingDuration = Field(default=5 * SECOND_NS, description="How long one request may take.")
    sources: Sources = Field(
        default=Sources(), description="The addresses that clients have: how many, or a mapping."
    )

    @model_validator(mode="before")
    @classmethod
    def _implied(cls, given: Any, info: ValidationInfo) -> Any:
        """Complete what the model and its stages imply."""
        if info.context != WRITTEN or not isinstance(given, dict):
            return given
        implied: dict[str, Any] = {"users": OPEN_USERS} if given.get("model") == "open" else {}
        with suppress(KeyError, TypeError, ValueError):  # their errors are reported below
            if given["stages"]:
                implied["duration"] = format_duration(
                    sum(parse_duration(stage["for"]) for stage in given["stages"])
                )
        with suppress(KeyError, TypeError, ValueError):  # as above
            lasts = parse_duration((implied | given)["duration"])
            if lasts < cls.model_fields["warm_up_ns"].default:
                implied["warm_up"] = format_duration(lasts)
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
    def words(self) -> str:
        """Say in few words what makes a load unlike another: users or rate, and connections."""
        if self.stages:
            asks = f"{len(self.stages)} stages"
        else:
            asks = f"{self.rate_per_s:g}/s" if self.rate_per_s is not None else f"{self.users} users"
        if self.locustfile is not None:
            return f"{asks}, locustfile"
        kept = {"keep-alive": "kept", "per-request": "new each"}
        connections = kept.get(str(self.connections), f"new every {self.connections}")
        return f"{asks}, {connections}" + ("" if self.user == "wire" else f", {self.user}")

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
            words = "a locustfile decides the number of requests; take out requests, and write duration"
            raise refuse(words, "load.requests", complete=True)
        for key in ("method", "body", "think_time_ns"):
            if getattr(self, key) != type(self).model_fields[key].default:
                name = f"load.{key.removesuffix('_ns')}"
                raise refuse(f"a locustfile says so itself; take out {name}", name, complete=True)
        return self

    @model_validator(mode="after")
    def _asked_as_can_be(self) -> Self:
        if self.body is not None and self.method in {"GET", "OPTIONS"}:
            words = f"a {self.method} carries no body; write load.method: POST, or take out load.body"
            raise refuse(words, "load.body", complete=True)
        if self.think_time_ns and self.model == "open":
            words = "requests of an open loop arrive at a rate, and no user thinks; take out load.think_time"
            raise refuse(words, "load.think_time", complete=True)
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
