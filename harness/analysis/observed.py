"""What a run knows beside its scenario and its recording, as the analysis takes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from harness.analysis.early_stop import InterimLook
    from harness.faults.events import FaultEvent
    from harness.load.driver import PhaseResult
    from harness.types import Layer, TcpCounts, Unit, WitnessTable


@dataclass(frozen=True)
class Balancing:
    """What the strategy says of itself.

    Attributes
    ----------
    unit, layer
        What it balances, and where.
    shares
        Expected shares of the units, in the order of the instances that there were at the beginning.
    """

    unit: Unit
    shares: Sequence[float]
    layer: Layer = 4


@dataclass(frozen=True)
class Readings:
    """What counters other than the client's say of the measured load.

    Attributes
    ----------
    tables
        `instances`, `kernel` and `proxy`, where they counted: connections and requests by the instance's
        name, None for what the counter can't count.
    cpu_ns
        Processor time that `proxy`, `instances` and `softirq` used, as `Host.cpu_ns` has it.
    memory_bytes
        Memory that containers of `proxy` and `instances` had at most.
    tcp
        What the network namespaces sent, and had to send again; None where it is not known.
    """

    tables: Mapping[str, WitnessTable] = field(default_factory=dict)
    cpu_ns: Mapping[str, int] = field(default_factory=dict)
    memory_bytes: Mapping[str, int] = field(default_factory=dict)
    tcp: TcpCounts | None = None


@dataclass(frozen=True)
class Environment:
    """What the run was measured on.

    Attributes
    ----------
    versions
        Name to version of everything that took part.
    cores
        Processor cores that all had together.
    emulated
        Whether no hardware ran the host, so that its times are those of no real one.
    workers
        How many workers or threads the proxy had; None where there was none.
    """

    versions: Mapping[str, str] = field(default_factory=dict)
    cores: int = 1
    emulated: bool = False
    workers: int | None = None


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What a run knows beside its scenario and its recording.

    Attributes
    ----------
    balancing
        What the strategy says of itself.
    load
        The phase of load that was measured.
    readings
        What counters other than the client's say.
    environment
        What it was measured on.
    looks
        The looks at the counts that could have ended the load: one list for each route, or one in all
        where there are no routes; None where no look could end it.
    events
        The faults that were applied meanwhile; the verdict is on what came before the first of them.
    died
        What ended without being asked to, one sentence each.
    warnings
        What the run has to say itself.
    interrupted
        Whether Ctrl-C ended the load.
    repeat_index
        Which of the scenario's repetitions this is, from 0.
    started_at
        When the run started; by default, when the measured load did.
    """

    balancing: Balancing
    load: PhaseResult
    readings: Readings = Readings()
    environment: Environment = Environment()
    looks: Sequence[Sequence[InterimLook]] | None = None
    events: Sequence[FaultEvent] = ()
    died: Sequence[str] = ()
    warnings: Sequence[str] = ()
    interrupted: bool = False
    repeat_index: int = 0
    started_at: datetime | None = None
