"""A run in one JSON document: verdict, evidence, and what it was measured with."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from harness.summary.events import EventRow, Recovers  # noqa: TC001  pydantic reads them, too
from harness.summary.service import NetworkSummary, ServiceSummary  # noqa: TC001  pydantic reads them, too
from harness.summary.tests import Model, Tests
from harness.types import (
    Unit,  # noqa: TC001  pydantic reads it when the model is made
    User,  # noqa: TC001  pydantic reads it when the model is made
    Verdict,  # noqa: TC001  pydantic reads it when the model is made
)


class InstanceRow(Model):
    """What one instance got; all after `sources` is of the unit, and null where there are no units.

    The intervals of all instances hold at once, with the scenario's confidence. `residual` is
    standardised: about normal where the expected shares hold. One of a `route` has its shares of that
    route's units, and connections and sources on which it was the first of its route.
    """

    name: str
    route: str | None = None
    connections: NonNegativeInt
    requests: NonNegativeInt
    sources: NonNegativeInt
    networks: NonNegativeInt | None = None
    share: float | None
    expected_share: float
    deviation: float | None
    interval: tuple[float, float] | None = None
    residual: float | None = None


class Counts(Model):
    """Totals, those that no instance can be named for too; errors are failed requests."""

    connections: NonNegativeInt
    requests: NonNegativeInt
    sources: NonNegativeInt
    networks: NonNegativeInt | None = None
    errors: NonNegativeInt


class StatusRow(Model):
    """How many requests failed by an answer's `status`, and whose answer it was.

    `by` is `instance` where the answer names one; `proxy` where it names none and is what a proxy says of
    instances that it can't reach (502, 503 or 504); else `unknown`, such as an application's answer that does
    not name its instance.
    """

    status: int
    count: NonNegativeInt
    by: Literal["instance", "proxy", "unknown"]


class WitnessTotals(Model):
    """What one witness counted in all; null for what it can't count."""

    connections: int | None
    requests: int | None


class Witnesses(Model):
    """The cross-checked counters of requests and connections; null for a counter that isn't there.

    `agree` is null where only the client counted.
    """

    client: WitnessTotals | None
    instances: WitnessTotals | None
    kernel: WitnessTotals | None
    proxy: WitnessTotals | None
    agree: bool | None
    differences: tuple[str, ...]


class LatencySummary(Model):
    """Latency quantiles of successful requests in nanoseconds; null where none succeeded."""

    p50: int | None
    p90: int | None
    p99: int | None
    p99_9: int | None
    max: int | None


class RouteRow(Model):
    """What became of the requests of one route, by `path` or by `host`, and the verdict on its instances.

    `share` is of all requests. Answers by instances of another route were `misrouted`; they count for
    no instance's share. The verdict holds with a confidence such that all routes' do together.
    """

    name: str
    path: str | None = None
    host: str | None = None
    replicas: int
    requests: int
    share: float | None
    expected_share: float
    errors: dict[str, int]
    statuses: tuple[StatusRow, ...] = ()
    misrouted: int
    verdict: Verdict
    reason: str
    tests: Tests
    latency_ns: LatencySummary


class LatencyIntervals(Model):
    """Intervals of the quantiles in nanoseconds, from resampled time blocks; null where there are too few."""

    p50: tuple[int, int] | None = None
    p90: tuple[int, int] | None = None
    p99: tuple[int, int] | None = None
    p99_9: tuple[int, int] | None = None


Limit = Literal["generator", "instances", "proxy", "machine"]


class Lag(Model):
    """How late requests of an open loop were sent, in nanoseconds after they had arrived."""

    p50: int
    p99: int
    max: int


class Worker(Model):
    """One of the processes that shared the load.

    `offset_ns` is how far its clock was ahead of the master's, which the records' times are on: estimated
    before the load, and wrong by `uncertainty_ns` at most, by the comparison after it; both are 0 where it
    was the same clock. One that was `lost` disappeared during the load; what it had sent by then counts.
    """

    number: int
    machine: str
    requests: int
    cpu_fraction: float
    same_clock: bool
    offset_ns: int
    uncertainty_ns: int
    lost: bool


class Generator(Model):
    """The load generator on itself.

    `user` is what sent the requests: the compiled data plane (`wire`), users of plain Python (`gevent`),
    Locust's FastHttpUser (`http`), or the classes of a locustfile. `cpu_fraction` is
    of one core; from nine tenths of it on the generator `limited` the load. `limit` is the component
    that used up its processor time: of one core for the generator, of one for each instance, of all
    for a proxy and for all together (`machine`); null if none did. `lag_ns` and `unsent` are an
    open loop's: how late arrivals were sent, and how many found no free connection before the end.
    `resent` counts requests that a client sent again by itself, because the server had closed the connection
    before the answer began: as many connections were dropped.
    Where several `workers` shared the load, `cpu_fraction` is that of the busiest.
    """

    user: User = "wire"
    cpu_fraction: float
    limited: bool
    limit: Limit | None = None
    lag_ns: Lag | None = None
    unsent: int = 0
    resent: int = 0
    workers: tuple[Worker, ...] = ()


class CpuTime(Model):
    """Processor time for each request, in microseconds, by component; null for one that was not there.

    `kernel` is what the machine spent in interrupts, for all processes; where the kernel does not keep it
    apart (CONFIG_IRQ_TIME_ACCOUNTING), it is contained in the others as well. `engine` is what a container
    engine's own programs used, such as the relay of a published port.
    """

    proxy: float | None = None
    kernel: float | None = None
    instances: float | None = None
    generator: float | None = None
    engine: float | None = None

    @property
    def in_all(self) -> float | None:
        """The processes' together, without the kernel's, which they contain; null without the instances'."""
        parts = (self.proxy, self.engine, self.instances, self.generator)
        return None if self.instances is None else sum(part for part in parts if part is not None)


class Memory(Model):
    """Memory that the containers of each role had at most, added up, in bytes; null without containers."""

    instances: int | None = None
    proxy: int | None = None


class Phases(Model):
    """How long each phase of the run took, in seconds; null for one that did not happen.

    On host vagrant, `machine` was brought up. With containers, `images` were looked for or made, `engine` was
    started and given them, and then came the `instances`; else all of this is in `provision`.
    """

    images: float | None = None
    machine: float | None = None
    provision: float | None = None
    engine: float | None = None
    instances: float | None = None
    expose: float | None = None
    generator: float | None = None
    warm_up: float | None = None
    load: float | None = None
    analyse: float | None = None
    teardown: float | None = None
    total: float | None = None


class Summary(Model):
    """A run: summary.json.

    `throughput_per_s` counts successful requests for each second of the measured load. Where the host was
    `emulated`, counts and the verdict are as good as anywhere, but times are those of no real machine.
    `workers` is how many workers or threads the proxy had; null without one.
    It `passed` if there is no reason against it; `not_passed` has the reasons, the first one first
    (`harness.summary.outcome`). `died` tells of each instance and service that ended without being asked to.
    `service` and `network` are null in results of older versions. Where there are `routes`, `tests` has what
    can be said of all of them together: chi-square is added up, and bands and p-values are those that a
    verdict on a route goes by.
    """

    # Goes up when a reader of older summaries would misread a newer one.
    schema_version: Literal[1] = Field(default=1, alias="schema")
    name: str
    strategy: str
    host: str
    engine: str
    emulated: bool = False
    client: str
    replicas: PositiveInt
    unit: Unit
    verdict: Verdict
    reason: str
    expect: Verdict | Literal["refused"]
    passed: bool
    not_passed: tuple[str, ...] = ()
    interrupted: bool
    started_at: str = Field(json_schema_extra={"format": "date-time"})
    tolerance: float
    confidence: float
    seed: int
    repeat_index: int
    tests: Tests
    instances: tuple[InstanceRow, ...] = Field(min_length=1)
    counts: Counts
    errors: dict[str, NonNegativeInt]
    statuses: tuple[StatusRow, ...] = ()
    service: ServiceSummary | None = None
    died: tuple[str, ...] = ()
    network: NetworkSummary | None = None
    witnesses: Witnesses
    latency_ns: LatencySummary
    latency_from_send_ns: LatencySummary | None = None
    latency_intervals_ns: LatencyIntervals = LatencyIntervals()
    throughput_per_s: float
    generator: Generator
    cpu_us_per_request: CpuTime = CpuTime()
    memory_bytes: Memory = Memory()
    events: tuple[EventRow, ...] = ()
    recovers: Recovers | None = None
    routes: tuple[RouteRow, ...] = ()
    phases_s: Phases = Phases()
    workers: int | None = None
    versions: dict[str, str]
    warnings: tuple[str, ...]
    scenario: dict[str, Any]

    @property
    def misrouted(self) -> int:
        """How many requests were answered by instances of another route."""
        return sum(route.misrouted for route in self.routes)

    def to_json(self) -> str:
        """Give the text of summary.json; infinities and NaN, which JSON has not, become null."""
        return self.model_dump_json(indent=2, by_alias=True) + "\n"


class Refusal(Model):
    """A run that ended as expected, before anything was measured: the strategy refused."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    name: str
    strategy: str
    verdict: Literal["refused"] = "refused"
    reason: str
    expect: Literal["refused"] = "refused"
    passed: Literal[True] = True

    def to_json(self) -> str:
        """Give the text of the document."""
        return self.model_dump_json(by_alias=True) + "\n"


def summary_schema() -> dict[str, Any]:
    """Give the JSON Schema (draft 2020-12) of summary.json."""
    schema = Summary.model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
