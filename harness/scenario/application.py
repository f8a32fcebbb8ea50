"""What every instance runs, how its answers name it, and what its container may use."""

from __future__ import annotations

from typing import Any, Self

from pydantic import (
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from harness.common.quantities import SECOND_NS
from harness.scenario.base import Model
from harness.scenario.fields import (
    Command,
    Cores,
    Duration,
    EnvironmentName,
    HeaderName,
    ImageReference,
    LastingDuration,
    Memory,
    Pattern,
    Port,
    ProgramText,
    UrlPath,
)
from harness.scenario.problems import refuse
from harness.types import Health


class Identity(Model):
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


class HealthCheck(Model):
    """How an instance tells that it is well, and ready: by an answer, or by taking a connection."""

    path: UrlPath | None = Field(default=None, description="What is asked for, by GET.")
    status: int | None = Field(
        default=None,
        ge=100,
        le=599,
        description="The status of a good answer; any from 200 to 399, if left out.",
    )
    tcp: bool = Field(default=False, description="Whether it is well that takes a connection.")

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, given: Any) -> Any:
        return {"tcp": True} if given == "tcp" else given

    @model_validator(mode="after")
    def _just_one(self) -> Self:
        if self.tcp == (self.path is not None):
            raise refuse("write either path, as in {path: /ready}, or tcp", "health")
        if self.tcp and self.status is not None:
            raise refuse(
                "a connection has no status; take it out, or write path in place of tcp", "health.status"
            )
        return self

    def told(self) -> Health:
        """Give it as engines and strategies have it."""
        return Health(self.path or "", self.status, self.tcp)


class Application(Model):
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
    health: HealthCheck | None = Field(
        default=None,
        description="How an instance tells that it is well, for health checks, and that it is ready, before "
        "it gets load: tcp, or a mapping.",
    )
    start_timeout_ns: LastingDuration = Field(
        default=10 * SECOND_NS, description="How long all instances may take to listen."
    )

    @field_validator("delay_ns")
    @classmethod
    def _sample_only(cls, delay_ns: int, info: ValidationInfo) -> int:
        if delay_ns and (info.data.get("command") or info.data.get("image")) is not None:
            raise ValueError("only the sample can wait; take out delay, or the command or image")
        return delay_ns


class Limits(Model):
    """What one container may use."""

    cpus: Cores | None = Field(
        default=None, strict=False, description="Processor cores, as in 0.5; all, if left out."
    )
    memory_bytes: Memory | None = Field(
        default=None, description="Memory, as in 64m; if left out, 512m for an instance and 4g for a proxy."
    )


class Resources(Model):
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
