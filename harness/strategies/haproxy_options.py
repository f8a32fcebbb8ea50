"""What can be chosen for HAProxy."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from harness.strategies.proxy import CheckedOptions, Layer4Options, ProxyOptions, Workers

MOST_WEIGHT = 256
"""The most that a server can weigh."""
MOST_THREADS = 64

_Policy = Literal["round-robin", "random", "p2c", "least-connections", "hash", "consistent-hash"]
_Discovery = Literal["static", "dns", "api"]
_POLICY = (
    "How an instance is chosen. p2c: the one with fewer connections of two drawn at random, which HAProxy "
    "itself calls random; hash and consistent-hash: by the client's address."
)
_DISCOVERY = (
    "static: the configuration lists the instances; dns: HAProxy looks their addresses up at run time; "
    "api: changes are made through its runtime socket."
)
_WORKERS = (
    "Threads of the one process; auto is one for each processor core that it may use, by its affinity and "
    "its quota."
)
_KEEP_ALIVE = (
    "Whether connections to instances are kept for further requests. With discovery dns it is off if left "
    "out: a kept connection outlives its address there."
)
_RETRIES = "How many more instances are tried if connecting to one fails."
_BASE_WEIGHT = (
    "Factor of each weight; HAProxy's weights end at 256. With random and consistent-hash, a "
    "larger one makes shares more exact."
)


_HASH_TYPE = (
    "With hash and consistent-hash, whether the address is mixed before it is looked up (the end of "
    "HAProxy's hash-type)."
)


def _not_too_many(workers: str | int) -> str | int:
    if isinstance(workers, int) and workers > MOST_THREADS:
        raise ValueError(f"{workers} is too many; HAProxy has {MOST_THREADS} threads at most")
    return workers


def _as_chosen(discovery: str, info: ValidationInfo) -> str:
    if discovery == "api" and info.data.get("policy") == "hash":
        raise ValueError(
            "HAProxy adds no server at run time where policy is hash, whose table is fixed; write "
            "discovery: static, or policy: consistent-hash"
        )
    return discovery


class HaproxyTcpOptions(CheckedOptions, Layer4Options):
    """What can be chosen for HAProxy as a TCP proxy."""

    policy: _Policy = Field(default="round-robin", description=_POLICY)
    base_weight: int = Field(default=1, ge=1, le=MOST_WEIGHT, description=_BASE_WEIGHT)
    workers: Annotated[Workers, AfterValidator(_not_too_many)] = Field(default="auto", description=_WORKERS)
    discovery: _Discovery = Field(default="static", description=_DISCOVERY)
    retries: int = Field(default=2, ge=0, le=10, description=_RETRIES)
    hash_type: Literal["plain", "avalanche"] = Field(default="plain", description=_HASH_TYPE)

    _as_chosen = field_validator("discovery")(_as_chosen)


class HaproxyOptions(CheckedOptions, ProxyOptions):
    """What can be chosen for HAProxy as a proxy for HTTP."""

    policy: _Policy = Field(default="round-robin", description=_POLICY)
    base_weight: int = Field(default=1, ge=1, le=MOST_WEIGHT, description=_BASE_WEIGHT)
    workers: Annotated[Workers, AfterValidator(_not_too_many)] = Field(default="auto", description=_WORKERS)
    discovery: _Discovery = Field(default="static", description=_DISCOVERY)
    retries: int = Field(default=2, ge=0, le=10, description=_RETRIES)
    hash_type: Literal["plain", "avalanche"] = Field(default="plain", description=_HASH_TYPE)

    keep_alive: bool = Field(default=True, description=_KEEP_ALIVE)

    _as_chosen = field_validator("discovery")(_as_chosen)

    @model_validator(mode="before")
    @classmethod
    def _with_dns(cls, given: Any) -> Any:
        dns = isinstance(given, dict) and given.get("discovery") == "dns"
        return {"keep_alive": False} | given if dns else given
