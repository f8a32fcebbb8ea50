"""One run of a scenario: provision, expose, warm up, drive, collect, tear down, judge, store."""

from __future__ import annotations

import platform
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from harness._version import __version__
from harness.common.signals import deferred
from harness.engines import ENGINES
from harness.errors import LoadError
from harness.faults.injector import FaultInjector, Watcher
from harness.faults.membership import Membership
from harness.hosts import HOSTS
from harness.load.driver import NO_WORKERS, Driver, Workers, profile_for, raise_if_unanswered
from harness.results.folder import PendingResult
from harness.results.journal import Notes
from harness.runner.counters import Counters
from harness.runner.setup import find_images, make_engine, make_host, require_programs
from harness.types import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from harness.analysis.early_stop import EarlyStop, InterimLook
    from harness.analysis.routes import RoutedEarlyStop
    from harness.common.channel import Message
    from harness.engines.containers import Images
    from harness.faults.events import FaultEvent
    from harness.hosts.base import Host
    from harness.load.driver import OnProgress, PhaseResult
    from harness.recording.spool import Spool
    from harness.report.progress import Progress
    from harness.runner.setup import AnyHost
    from harness.scenario import Scenario
    from harness.strategies.base import Strategy
    from harness.summary.run import Phases as PhaseSeconds
    from harness.summary.run import Summary
    from harness.types import Member, WitnessTable

# Judging and drawing take two seconds to import: they are read in while others are busy.
_ANALYSIS = (
    "harness.recording.spool",
    "harness.recording.table",
    "harness.analysis.summarise",
    "harness.analysis.routes",
    "harness.analysis.early_stop",
    "harness.report.plots.stored",
    "harness.report.terminal",
    "pyarrow.parquet",
)


_EMULATION_FACTOR = 4


@dataclass(frozen=True)
class Outcome:
    """What a run came to: its summary, the folder that holds it, and whether Ctrl-C ended it."""

    summary: Summary
    folder: Path
    interrupted: bool


def run(  # noqa: PLR0913  what a run takes
    scenario: Scenario,
    results: Path,
    progress: Progress,
    repeat_index: int = 0,
    joining: Workers = NO_WORKERS,
    *,
    keep: bool = False,
) -> Outcome:
    """Run a scenario once.

    Parameters
    ----------
    scenario
        What to run.
    results
        The folder that the result's folder is made in.
    progress
        Told of each phase.
    repeat_index
        Which of the scenario's repetitions this is, from 0.
    joining
        Workers that join from elsewhere.
    keep
        Whether to leave a virtual machine up for the next run.

    Raises
    ------
    HarnessError
        Something that the user can mend; nothing is stored.
    KeyboardInterrupt
        Ctrl-C before anything was measured; nothing is stored.
    """
    strategy = scenario.strategy.made()
    made = make_host(scenario, progress.heading, keep=keep)
    scenario = _adapted(scenario, made, progress)
    if HOSTS[scenario.host].here:
        require_programs(scenario, strategy, made)
    phases = _Phases(progress)
    with PendingResult(results, scenario.name) as pending, made as host:
        for folder in pending.incomplete:
            progress.heading(f"kept what a run had recorded that was killed: {folder}")
        images = None
        if ENGINES.find(scenario.engine).images:
            with phases("images", "images"):
                images = find_images(scenario, strategy, progress.heading)
        lab = _Lab(scenario, strategy, images, host, phases)
        lab.provision()
        lab.expose(joining)
        lab.warm_up()
        lab.drive(pending)
        with deferred() as asked_to_end:
            lab.collect()
            lab.tear_down()
            with phases("analyse", "analysis"):
                summary = _judge(lab, pending, repeat_index)
            summary = summary.model_copy(update={"phases_s": phases.passed()})
            pending.write_summary(summary)
            return Outcome(summary, pending.commit(), lab.interrupted or asked_to_end.came)


def _adapted(scenario: Scenario, host: AnyHost, progress: Progress) -> Scenario:
    """Have the load last longer on an emulated host, which answers less often."""
    load = scenario.load
    counted = load.requests is not None or load.until is not None
    if not host.emulated or counted or load.stages or scenario.events:
        return scenario
    longer = load.model_copy(update={"duration_ns": load.duration_ns * _EMULATION_FACTOR})
    progress.heading(f"the host is emulated, so the load lasts {longer.duration_ns / 1e9:g} s")
    return scenario.model_copy(update={"load": longer})


class _Phases:
    """The phases of a run as they pass: shown, and timed."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._began_s = time.monotonic()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str, title: str, detail: str = "") -> Iterator[None]:
        self.progress.phase(title, detail)
        began_s = time.monotonic()
        yield
        self._seconds[name] = time.monotonic() - began_s

    def passed(self) -> PhaseSeconds:
        from harness.summary.run import Phases as PhaseSeconds  # noqa: PLC0415  imported with the analysis

        return PhaseSeconds(**self._seconds, total=time.monotonic() - self._began_s)


class _Lab:
    """A host with instances behind one endpoint, and the load that it is put under."""

    members: list[Member]
    driven: PhaseResult
    blocks: Spool
    tables: dict[str, WitnessTable]
    cpu_ns: dict[str, int]
    memory_bytes: dict[str, int]
    happened: list[FaultEvent]

    def __init__(
        self,
        scenario: Scenario,
        strategy: Strategy,
        images: Images | None,
        host: AnyHost,
        phases: _Phases,
    ) -> None:
        self.scenario = scenario
        self.strategy = strategy
        self.warnings: list[str] = []
        self.versions: dict[str, str] = {}
        self.interrupted = False
        self._images = images
        self.host = host
        self._phases = phases
        self._endpoint = Endpoint(host.address, scenario.port)

    def provision(self) -> None:
        scenario, host = self.scenario, self.host
        if not HOSTS[scenario.host].here:
            with self._phases("machine", "virtual machine"):
                host.start()
            require_programs(scenario, self.strategy, host)
        with self._phases("provision", "provisioning", f"{scenario.replicas} instances on {scenario.host}"):
            if HOSTS[scenario.host].here:
                host.start()
            self._driver = Driver(host)  # it imports Locust while the instances start
            self._engine = make_engine(scenario, host, self.strategy, self._images)
            host.link()
            if self._images is None:
                self._start_instances()
        if self._images is not None:
            with self._phases("engine", "engine", self._engine.title):
                self._engine.prepare()
            with self._phases("instances", "instances", f"{scenario.replicas} containers"):
                self._start_instances()

    def _start_instances(self) -> None:
        instances, routes = self.scenario.instances(), self.scenario.routes_by_instance()
        members = self._engine.start(list(instances), weights=instances)
        self.members = [replace(member, route=routes.get(member.name)) for member in members]

    def expose(self, joining: Workers) -> None:
        worker = ThreadPoolExecutor(1)
        self._analysis = worker.submit(_prepare_analysis)
        worker.shutdown(wait=False)  # it takes no more work; this one goes on beside the run
        with self._phases("expose", "exposing", self.strategy.name):
            self._stage, self._endpoint = self._engine.exposure(self._endpoint)
            self.notes = Notes(self._stage)
            with self.notes.during("expose") as stage:
                self.strategy.expose(stage, self._endpoint, self.members)
            self.host.exposed()
        workers = replace(joining, own=self.scenario.load.workers)
        if workers.others:
            self._phases.progress.heading(
                f"waiting for {workers.others} to join from elsewhere: harness worker --join "
                f"ADDRESS:{workers.port}, with the address under which they reach this run"
            )
        shared = workers.own > 1 or workers.others > 0 or self.host.apart
        with self._phases("generator", "load generator", f"{workers.number} workers" if shared else ""):
            self.versions = {"kernel": self.host.kernel} | _versions(self._stage, self.strategy)
            self.versions |= self._engine.versions()
            self._driver.wait_ready()
            self.versions |= self._driver.versions
            if shared:
                self._driver.gather(workers)

    def warm_up(self) -> None:
        self._profile = profile_for(self.scenario, self.host, wire=self._driver.wire)
        if self.scenario.load.user == "wire" and not self._driver.wire:
            self.warnings.append(
                "the compiled data plane is missing, so users of plain Python took its place, which cost "
                "more processor time: install a C compiler and python3-dev, then the harness again"
            )
        duration_ns = self.scenario.load.warm_up_ns
        with self._phases("warm_up", "warm-up"):
            if duration_ns:
                # An open loop warms up at its first rate.
                stages = tuple((rate, duration_ns) for rate, _ in self._profile.stages[:1])
                unbounded = replace(self._profile, requests=None, stages=stages, user_stages=())
                driven = self._driver.drive("warm_up", unbounded, duration_ns, self._live(duration_ns))
                raise_if_unanswered(driven, self._profile)
            self._analysis.result()  # what it could not import is told here

    def drive(self, pending: PendingResult) -> None:
        self._witnesses = Counters(self._stage, self._engine, self.strategy, self._endpoint, self.members)
        duration_ns = self.scenario.load.duration_ns
        self._watch = self._watching()
        self.blocks = pending.begin(self.scenario)
        membership = Membership(self.members, self._update)
        injector = FaultInjector(self.scenario.script(), self._engine, membership)
        with self._phases("load", "load", _asking(self.scenario)), self._watched(membership) as watcher:
            try:
                live = self._live(duration_ns, self.blocks, self._watch)
                with injector:
                    self.driven = self._driver.drive("load", self._profile, duration_ns, live)
            except KeyboardInterrupt:
                self.driven = self._driver.stop()
                self.interrupted = True
                self.warnings.append(f"interrupted after {self.driven.wall_ns / 1e9:.1f} s of load")
        self.happened = injector.events()
        self._members_changed = bool(membership.followed)
        self.warnings += watcher.failures if watcher else []
        self.warnings += self._never_told()
        if not self.driven.requests:
            if self.interrupted:
                raise KeyboardInterrupt
            raise LoadError("the load made no request at all; see load.rate, load.stages and load.duration")
        ended_early = self.interrupted or self.decided
        if not ended_early and self.driven.requests < (asked := self.scenario.load.requests or 0):
            self.warnings.append(
                f"only {self.driven.requests:,} of {asked:,} requests began within load.duration "
                f"({duration_ns / 1e9:g} s); lengthen it"
            )
        raise_if_unanswered(self.driven, self._profile)
        self.warnings += [
            f"worker {worker['number']} on {worker['machine']} disappeared during the load; the "
            f"{worker['requests']:,} requests that it had told of by then count, others that it made do not"
            for worker in self.driven.workers
            if worker["lost"]
        ]

    @contextmanager
    def _watched(self, membership: Membership) -> Iterator[Watcher | None]:
        """Have a watcher tell the strategy of its members, where one is to."""
        if not self.strategy.watched and self.scenario.membership == "static":
            yield None
            return
        with Watcher(self._engine, membership) as watcher:
            yield watcher

    def _never_told(self) -> list[str]:
        """Say it where a strategy can't be told what it was to be told."""
        replaced = any(event.action == "replace" for event in self.scenario.events)
        if self.strategy.adopts or not (replaced or self.scenario.membership == "followed"):
            return []
        own = self.strategy.follows
        means = f"instances come and go by its own means ({own})" if own else "it keeps what it began with"
        return [f"{self.strategy.name} can't be told of members: {means}, so it was measured as static"]

    def _update(self, members: Sequence[Member]) -> None:
        """Have the strategy take over members, and note what it asks of its host for that."""
        with self.notes.during("update") as stage:
            self.strategy.update(stage, self._endpoint, members)

    @property
    def decided(self) -> bool:
        """Whether the load ended early because it had its verdict."""
        return self._watch is not None and self._watch.decided

    @property
    def looks(self) -> Sequence[Sequence[InterimLook]] | None:
        """The looks at the counts that could have ended the load, as `Observed` has them."""
        return None if self._watch is None else self._watch.all_looks

    def _watching(self) -> EarlyStop | RoutedEarlyStop | None:
        if self.scenario.load.until != "verdict":
            return None
        from harness.analysis.early_stop import EarlyStop  # noqa: PLC0415  imported with the analysis
        from harness.analysis.routes import RoutedEarlyStop  # noqa: PLC0415  imported with the analysis

        names, shares = list(self.scenario.instances()), self.strategy.expected_shares(self.members)
        if self.scenario.routes:
            return RoutedEarlyStop(self.scenario, self.strategy.unit, shares)
        return EarlyStop(self.scenario, self.strategy.unit, names, shares)

    def _live(
        self, duration_ns: int, blocks: Spool | None = None, watch: EarlyStop | RoutedEarlyStop | None = None
    ) -> OnProgress:
        rate = _Rate()

        def show(message: Message, rows: NDArray[np.void]) -> None:
            known = ""
            if blocks is not None:
                blocks.add(rows, message["identities"])
            if watch is not None and not watch.decided and message["event"] == "progress":
                watch.take(rows, message["elapsed_ns"], message["identities"])
                known = watch.known
                if watch.decided:
                    self._driver.end()
            self._phases.progress.live(
                message["elapsed_ns"] / 1e9,
                duration_ns / 1e9,
                message["requests"],
                rate_per_s=rate.per_s(message["elapsed_ns"], message["requests"]),
                errors=message["errors"],
                known=known,
            )

        return show

    def collect(self) -> None:
        self.tables, warnings = self._witnesses.collect(
            self.scenario.all_instances(), changed=bool(self.happened), followed=self._members_changed
        )
        self.memory_bytes = self._engine.memory_bytes()
        self.cpu_ns = self._witnesses.cpu_ns
        self.warnings += warnings

    def tear_down(self) -> None:
        with self._phases("teardown", "teardown"):
            self._driver.quit()
            self.host.close()


def _asking(scenario: Scenario) -> str:
    """Say who asks, or how often."""
    load = scenario.load
    if load.model == "closed":
        numbers = [stage.users for stage in load.stages or ()] or [load.users]
        return f"{' then '.join(map(str, numbers))} users"
    rates = [load.rate_per_s] if load.rate_per_s else [stage.rate_per_s for stage in load.stages or ()]
    return f"{' then '.join(f'{rate:g}' for rate in rates if rate is not None)} requests/s"


class _Rate:
    """Requests a second since it was last asked."""

    def __init__(self) -> None:
        self._elapsed_ns = 0
        self._requests = 0

    def per_s(self, elapsed_ns: int, requests: int) -> float:
        rate = (requests - self._requests) / max(elapsed_ns - self._elapsed_ns, 1) * 1e9
        self._elapsed_ns, self._requests = elapsed_ns, requests
        return rate


@cache  # once in a process: runs that follow have it
def _prepare_analysis() -> None:
    for module in _ANALYSIS:
        import_module(module)
    import_module("harness.report.plots.save").warm_up()


def _versions(host: Host, strategy: Strategy) -> dict[str, str]:
    versions = {"harness": __version__, "python": platform.python_version()}
    for part, argv in strategy.versions.items():
        versions[part] = host.run(argv).stdout.strip()
    return versions


def _judge(lab: _Lab, pending: PendingResult, repeat_index: int) -> Summary:
    """Turn the records into numbers, and write all but the summary."""
    from harness.analysis.observed import (  # noqa: PLC0415  as above
        Balancing,
        Environment,
        Observed,
        Readings,
    )
    from harness.analysis.summarise import summarise  # noqa: PLC0415  as above
    from harness.recording.table import Recording  # noqa: PLC0415  imported while the host warmed up
    from harness.report.plots.stored import pictures  # noqa: PLC0415  as above

    driven = lab.driven
    scenario, rows = lab.scenario, lab.blocks.rows()
    recording = Recording.of_run(rows, driven.identities, scenario.all_instances(), tuple(scenario.routes))
    observed = Observed(
        balancing=Balancing(lab.strategy.unit, lab.strategy.expected_shares(lab.members), lab.strategy.layer),
        load=driven,
        readings=Readings(lab.tables, lab.cpu_ns, lab.memory_bytes),
        environment=Environment(lab.versions, lab.host.cores, lab.host.emulated),
        looks=lab.looks,
        events=lab.happened,
        warnings=lab.warnings,
        interrupted=lab.interrupted,
        repeat_index=repeat_index,
    )
    summary = summarise(scenario, recording, observed)
    pending.write_applied(lab.notes)
    pending.write_recording(recording)
    pending.write_plots(pictures(recording, summary))
    return summary
