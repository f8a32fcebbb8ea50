"""Many runs put in order: by strategy, by the conditions that they were made under, and repeats together."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.summary.run import CpuTime, Summary


class Condition(NamedTuple):
    """What a strategy was measured under; runs that differ here can't be compared with each other."""

    replicas: int
    connections: str
    client: str
    host: str
    engine: str


@dataclass(frozen=True)
class Spread:
    """The median of what several runs had, and the range; of one run, it is its figure thrice."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Self | None:
        """Give the spread of what is known; None if nothing is."""
        known = [value for value in values if value is not None]
        return cls(median(known), min(known), max(known)) if known else None

    def told(self, form: str) -> str:
        """Write it, each number in a format such as ``,.1f``."""
        middle = format(self.middle, form)
        if self.low == self.high:
            return middle
        return f"{middle} ({format(self.low, form)} to {format(self.high, form)})"


def condition(summary: Summary) -> Condition:
    """Tell what a run was made under."""
    connections = summary.scenario.get("load", {}).get("connections", "")
    if isinstance(connections, int):
        connections = f"{connections} requests a connection"
    return Condition(summary.replicas, str(connections), summary.client, summary.host, summary.engine)


def labels(conditions: Iterable[Condition]) -> dict[Condition, str]:
    """Name conditions, in order: replicas and connections, and whatever else differs between them."""
    distinct = sorted(set(conditions))
    varying = [
        index for index in range(2, len(Condition._fields)) if len({entry[index] for entry in distinct}) > 1
    ]
    return {
        entry: ", ".join([replicas(entry.replicas), *(str(entry[i]) for i in (1, *varying) if entry[i])])
        for entry in distinct
    }


def replicas(count: int | None) -> str:
    """Write how many there are."""
    return "" if count is None else "1 replica" if count == 1 else f"{count:,} replicas"


def strategies(summaries: Sequence[Summary]) -> list[str]:
    """Name each run's strategy, with the options that differ where the same one comes with several."""
    options = [_options(summary) for summary in summaries]
    named = []
    for summary, own in zip(summaries, options, strict=True):
        others = [
            other
            for sibling, other in zip(summaries, options, strict=True)
            if sibling.strategy == summary.strategy
        ]
        differing = sorted(key for key in own if any(other.get(key) != own[key] for other in others))
        named.append(" ".join([summary.strategy, *(f"{key}={own[key]}" for key in differing)]))
    return named


def _options(summary: Summary) -> dict[str, Any]:
    written = summary.scenario.get("strategy")
    return (
        {key: value for key, value in written.items() if key != "name"} if isinstance(written, dict) else {}
    )


def cpu_in_all(cpu: CpuTime) -> float | None:
    """Add up the processor time of all processes for each request, in microseconds.

    Proxy, engine, instances and generator are processes apart, read from a clock each, so nothing is counted
    twice. What the kernel does for a packet is the time of the process that it interrupts or that sends, on
    virtual links the generator's and the instances', and so in their columns already; the column `kernel`
    would count it once more. Where a kernel keeps the time of interrupts apart
    (CONFIG_IRQ_TIME_ACCOUNTING), that part is missing. None where the instances' time is not known.
    """
    return cpu.in_all


def worst_deviation(summary: Summary) -> float | None:
    """Give by how much the instance that deviates most is off its expected share, as a positive fraction."""
    return max((abs(row.deviation) for row in summary.instances if row.deviation is not None), default=None)


def verdict_of(verdicts: Iterable[str]) -> str:
    """Give the verdict that all have, or ``mixed``."""
    distinct = set(verdicts)
    return distinct.pop() if len(distinct) == 1 else "mixed"
